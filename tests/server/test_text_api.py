"""`/v1/chat/completions` and `/v1/responses`, handed on to a pipeline's language model: with the stock client, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pydantic
import pytest

from parley.config import load
from parley.engines import registry
from parley.engines.ports import LLM, MODERATION, Engine, EngineSpec, Stage
from parley.runtime.engines import LoadedEngines
from parley.server.access import key_file
from parley.server.access.key_file import SCOPES
from parley.server.text_body import MAX_BODY, MAX_VALUES
from parley.server.text_rest import MAX_REQUESTS
from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.engines.llm_protocols import Chat
from tests.engines.ollama_server import OllamaServer
from tests.server.harness import PATIENCE_S, Running, running, turn_the_loop
from tests.server.test_language_models import create, served

OWNERS_KEY = "sk-the-owners-upstream-key-0123456789"
CLIENTS_KEY = "sk-parley-of-the-client"
HELLO = [{"role": "user", "content": "Hello."}]
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hi.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "PARLEY_LLM_API_KEY", "PARLEY_LLM_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def written(tmp_path: Path, pipeline: str, server: str = "text_api = true") -> Path:
    file = tmp_path / f"parley-{len(list(tmp_path.iterdir()))}.toml"
    file.write_text(f"[server]\n{server}\n[pipelines.default]\n{pipeline}\n", encoding="utf-8")
    return file


def at(model: ChatServer, engine: str = "openai:m", more: str = "") -> str:
    url = model.url
    return (
        f'llm = "{engine}"\n[pipelines.default.llm_options]\nbase_url = "{url}"\n'
        f'api_key = "{OWNERS_KEY}"\nwarm_up = false\n{more}'
    )


@asynccontextmanager
async def before(
    tmp_path: Path, *scripts: Script, engine: str = "openai:m", more: str = "", server: str = "text_api = true"
) -> AsyncIterator[tuple[Running, ChatServer]]:
    """A server that hands on to a model of these scripts."""
    api = "/responses" if engine.startswith("responses") else "/chat/completions"
    async with (
        ChatServer(list(scripts), api=api).running() as model,
        served({}, written(tmp_path, at(model, engine, more), server)) as served_now,
    ):
        yield served_now, model


async def says_hi(request: Request, answer: Answer) -> None:
    if request.body.get("stream"):
        await answer.text("Hi", ".")
    else:
        await answer.json(200, ANSWER)


async def responds(request: Request, answer: Answer) -> None:
    await answer.json(200, RESPONSE)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await turn_the_loop()


async def refused(answered: Any) -> Any:
    with pytest.raises(openai.APIStatusError) as caught:
        await answered
    assert OWNERS_KEY not in caught.value.response.text
    return caught.value


# --- the stock client --------------------------------------------------------------------------------------------------


async def test_a_stock_client_is_answered_by_the_pipelines_model(tmp_path: Path) -> None:
    async with (
        before(tmp_path, says_hi, more="extra_body = { top_k = 7 }") as (server, model),
        server.client() as client,
    ):
        done = await client.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "Hello."}], temperature=0.5
        )
        assert done.choices[0].message.content == "Hi."
        assert done.usage is not None
        (request,) = [one for one in model.requests if one.path.endswith("/chat/completions")]
        assert request.body == {"model": "m", "messages": HELLO, "temperature": 0.5, "top_k": 7}
        assert request.headers["authorization"] == f"Bearer {OWNERS_KEY}"
        assert request.headers["user-agent"] == "parley", "no header of the client's goes on"


async def test_a_stream_comes_as_it_is_written(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow(request: Request, answer: Answer) -> None:
        await answer.delta(role="assistant", content="One")
        await go_on.wait()
        await answer.text(" two")

    async with before(tmp_path, slow) as (server, _), server.client() as client:
        stream = await client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "."}], stream=True
        )
        first = await asyncio.wait_for(anext(stream), PATIENCE_S)
        assert first.choices[0].delta.content == "One"
        go_on.set()
        rest = [chunk async for chunk in stream]
        assert [chunk.choices[0].delta.content for chunk in rest] == [" two", None]


async def test_a_blocking_client_streams_too(tmp_path: Path) -> None:
    async with before(tmp_path, says_hi) as (server, _):

        def ask() -> str:
            with (
                server.sync_client() as client,
                client.chat.completions.stream(model="gpt-4o", messages=[{"role": "user", "content": "."}]) as stream,
            ):
                stream.until_done()
                return stream.get_final_completion().choices[0].message.content or ""

        assert await asyncio.to_thread(ask) == "Hi."


async def test_tools_and_structured_output_reach_the_model_and_come_back(tmp_path: Path) -> None:
    class Weather(pydantic.BaseModel):
        city: str

    async def calls(request: Request, answer: Answer) -> None:
        assert request.body["tools"][0]["function"]["name"] == "look"
        await Chat().call(answer, "look", '{"city": "Paris"}')

    async def structured(request: Request, answer: Answer) -> None:
        assert request.body["response_format"]["json_schema"]["name"] == "Weather"
        message = {"role": "assistant", "content": '{"city": "Paris"}'}
        await answer.json(200, {**ANSWER, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]})

    tool: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    async with before(tmp_path, calls, structured) as (server, _), server.client() as client:
        stream = client.chat.completions.stream(
            model="gpt-4o", messages=[{"role": "user", "content": "."}], tools=[tool]
        )
        async with stream as events:
            call = ((await events.get_final_completion()).choices[0].message.tool_calls or [])[0]
        assert (call.function.name, call.function.arguments) == ("look", '{"city": "Paris"}')
        parsed = await client.chat.completions.parse(
            model="gpt-4o", messages=[{"role": "user", "content": "."}], response_format=Weather
        )
        assert parsed.choices[0].message.parsed == Weather(city="Paris")


async def test_responses_are_handed_on_and_nothing_is_stored(tmp_path: Path) -> None:
    async def streams(request: Request, answer: Answer) -> None:
        created = {"type": "response.created", "sequence_number": 0, "response": RESPONSE}
        delta = {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1", "output_index": 0}
        await answer.event(created, "response.created")
        await answer.event({**delta, "content_index": 0, "delta": "Hi.", "logprobs": []}, "response.output_text.delta")
        await answer.event(
            {"type": "response.completed", "sequence_number": 2, "response": RESPONSE}, "response.completed"
        )
        await answer.end()

    async with before(tmp_path, responds, streams, engine="responses:m") as (server, model), server.client() as client:
        whole = await client.responses.create(model="gpt-5-mini", input="Hello.")
        assert whole.output_text == "Hi."
        stream = await client.responses.create(model="gpt-5-mini", input="Hello.", stream=True)
        events = [event async for event in stream]
        assert [event.type for event in events] == [
            "response.created",
            "response.output_text.delta",
            "response.completed",
        ]
        assert [body["store"] for body in model.bodies] == [False, False]
        for answered in (
            client.responses.retrieve("resp_1"),
            client.responses.delete("resp_1"),
            client.chat.completions.list(),
        ):
            with pytest.raises((openai.NotFoundError, openai.APIStatusError)) as caught:
                await answered
            assert caught.value.status_code in (404, 405)
        assert (await refused(client.responses.cancel("resp_1"))).code == "nothing_stored"


async def test_leaving_closes_the_models_request(tmp_path: Path) -> None:
    async def endless(request: Request, answer: Answer) -> None:
        if request.body.get("stream"):
            await answer.delta(content="One")
        await answer.until_client_leaves()

    async with before(tmp_path, endless) as (server, model), server.client() as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "."}], stream=True
        )
        await anext(stream)
        assert len(server.app.text) == 1
        await stream.close()
        await asyncio.wait_for(model.client_left.wait(), PATIENCE_S)
        model.client_left.clear()
        waiting = asyncio.create_task(
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "."}])
        )
        await until(lambda: len(model.bodies) == 2)
        waiting.cancel()
        await asyncio.wait_for(model.client_left.wait(), PATIENCE_S)
        await until(lambda: not len(server.app.text))


# --- other servers -----------------------------------------------------------------------------------------------------


async def test_a_second_parley_hands_on_to_the_first(tmp_path: Path) -> None:
    async with before(tmp_path, says_hi) as (first, model):
        config = (
            f'llm = "openai:default"\n[pipelines.default.llm_options]\nbase_url = "{first.http}/v1"\nwarm_up = false'
        )
        async with served({}, written(tmp_path, config)) as second, second.client() as client:
            done = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Hello."}]
            )
            assert done.choices[0].message.content == "Hi."
            stream = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Hello."}], stream=True
            )
            said = [chunk.choices[0].delta.content async for chunk in stream]
            assert said == ["Hi", ".", None]
            assert [body["model"] for body in model.bodies] == ["m", "m"]
            error = await refused(client.responses.create(model="gpt-4o", input="Hello."))
            assert (error.status_code, error.code) == (400, "api_not_available")


async def test_the_next_engine_of_a_chain_is_asked_before_anything_came_and_not_after(tmp_path: Path) -> None:
    async def broken(request: Request, answer: Answer) -> None:
        if len(first.bodies) == 1:
            await answer.json(503, {"error": {"message": "down"}})
        else:
            await answer.delta(content="Half")
            answer.break_off()

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(ChatServer([broken]).running())
        second = await stack.enter_async_context(ChatServer([says_hi]).running())
        text = f"""llm = ["openai:a", "openai:b", "responder"]
            [pipelines.default.llm_options]
            retry_s = 0
            ["pipelines".default.llm_options."openai:a"]
            base_url = "{first.url}"
            warm_up = false
            ["pipelines".default.llm_options."openai:b"]
            base_url = "{second.url}"
            warm_up = false
        """
        for upstream in (first, second):
            upstream.models = ["a", "b"]
        server = await stack.enter_async_context(served({}, written(tmp_path, text)))
        client = await stack.enter_async_context(server.client())
        ask: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO}
        assert (await client.chat.completions.create(**ask)).choices[0].message.content == "Hi."
        assert [body["model"] for body in (*first.bodies, *second.bodies)] == ["a", "b"]
        stream = await client.chat.completions.create(**ask, stream=True)
        assert (await anext(stream)).choices[0].delta.content == "Half"
        with pytest.raises(openai.APIError, match="the connection broke"):
            await anext(stream)
        assert len(second.bodies) == 1


async def test_ollama_is_asked_through_its_own_openai_api(tmp_path: Path) -> None:
    class BothApis(OllamaServer):
        async def _answer(self, request: Request, answer: Answer) -> None:
            if request.path == "/v1/chat/completions":
                await says_hi(request, answer)
            else:
                await super()._answer(request, answer)

    async with BothApis([says_hi]).running() as model:
        text = f'llm = "ollama:m"\n[pipelines.default.llm_options]\nbase_url = "{model.url}"\nextra_body = {{ options = {{ top_k = 3 }} }}'
        async with served({}, written(tmp_path, text)) as server, server.client() as client:
            done = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello."}])
            assert done.choices[0].message.content == "Hi."
            assert model.requests[-1].body == {"model": "m", "messages": HELLO}


# --- what is refused ---------------------------------------------------------------------------------------------------


async def test_it_is_off_by_default(tmp_path: Path) -> None:
    async with before(tmp_path, says_hi, server="") as (server, model), server.client() as client:
        for answered in (
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "."}]),
            client.responses.create(model="gpt-4o", input="."),
            client.responses.retrieve("resp_1"),
        ):
            error = await refused(answered)
            assert (error.status_code, error.code) == (404, "text_api_disabled")
            assert "server.text_api" in error.message
        assert not model.bodies


async def test_only_a_key_with_the_scope_text_opens_it_and_it_never_goes_upstream(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = {name: key_file.add(path, name, frozenset({name}), 1)[1] for name in SCOPES}
    usual = key_file.add(path, "usual")[1]

    async def waits(request: Request, answer: Answer) -> None:
        await held.wait()
        await answer.json(200, ANSWER)

    held = asyncio.Event()
    ask: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO}
    async with AsyncExitStack() as stack:
        settings = f'text_api = true\nkeys_file = "{path}"'
        server, model = await stack.enter_async_context(before(tmp_path, waits, server=settings))
        for key in (keys["realtime"], keys["audio"], keys["admin"], usual):
            async with server.client(key) as client:
                error = await refused(client.chat.completions.create(**ask))
            assert (error.status_code, error.code) == (403, "missing_scope")
        client = await stack.enter_async_context(server.client(keys["text"]))
        first = asyncio.create_task(client.chat.completions.create(**ask))
        await until(lambda: bool(model.bodies))
        error = await refused(client.chat.completions.create(**ask))
        assert (error.status_code, error.code) == (429, "rate_limit_exceeded"), "its quota counts requests"
        held.set()
        assert (await first).choices[0].message.content == "Hi."
        assert keys["text"] not in json.dumps([(one.headers, one.body) for one in model.requests])


async def test_a_moderated_pipeline_is_refused_rather_than_passed_by(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("darn\n", encoding="utf-8")
    async with ChatServer([says_hi]).running() as model:
        text = f'moderation = "words:{tmp_path}/words.txt"\n' + at(model)

        def made(stage: Stage[Any], spec: EngineSpec) -> Engine:
            return registry.create(stage, spec) if stage in (LLM, MODERATION) else create(stage, spec)

        config = load(written(tmp_path, text), {"port": 0}, {})
        engines = await LoadedEngines.open_all([config.pipelines["default"]], create=made)
        assert not engines.failures
        async with running(config, engines) as server, server.client() as client:
            error = await refused(
                client.chat.completions.create(model="default", messages=[{"role": "user", "content": "darn"}])
            )
            assert (error.status_code, error.code) == (400, "pipeline_moderated")
            assert not model.bodies


async def test_a_model_without_the_api_is_named_with_those_that_have_it(tmp_path: Path) -> None:
    async with served({}, written(tmp_path, 'llm = "responder"')) as server, server.client() as client:
        error = await refused(
            client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "."}])
        )
        assert (error.status_code, error.code) == (400, "api_not_available")
        assert "responder" in error.message
        assert "openai, ollama and llama" in error.message
        error = await refused(
            client.chat.completions.create(model="llama-9", messages=[{"role": "user", "content": "."}])
        )
        assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")


BAD: Mapping[str, tuple[str, Any, str]] = {
    "another type": ("chat", {"messages": HELLO, "stream": "yes"}, "stream"),
    "no messages": ("chat", {"model": "gpt-4o"}, "messages"),
    "empty messages": ("chat", {"messages": []}, "messages"),
    "messages as text": ("chat", {"messages": "Hello."}, "messages"),
    "a stored answer": ("chat", {"messages": HELLO, "store": True}, "store"),
    "a search": ("chat", {"messages": HELLO, "web_search_options": {}}, "web_search_options"),
    "a stored file": (
        "chat",
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        "file_id",
    ),
    "an earlier response": ("responses", {"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
    "a stored conversation": ("responses", {"input": "x", "conversation": "conv_1"}, "conversation"),
    "a stored prompt": ("responses", {"input": "x", "prompt": {"id": "p"}}, "prompt"),
    "a background response": ("responses", {"input": "x", "background": True}, "background"),
    "a hosted tool": ("responses", {"input": "x", "tools": [{"type": "file_search"}]}, "tools"),
    "an MCP server": (
        "responses",
        {"input": "x", "tools": [{"type": "mcp", "server_url": "http://10.0.0.1"}]},
        "tools",
    ),
    "a tool of no type": ("chat", {"messages": HELLO, "tools": [{"type": {}}]}, "tools"),
    "tools as text": ("chat", {"messages": HELLO, "tools": "all"}, "tools"),
    "an item by its id": ("responses", {"input": [{"type": "item_reference", "id": "msg_1"}]}, "id"),
    "a file by an escaped name": ("responses", b'{"input":[{"type":"input_file","file\\u005fid":"f"}]}', "file_id"),
    "no object": ("chat", [1], ""),
    "no JSON": ("chat", b"{", ""),
    "half a character": ("chat", b'{"messages":[{"role":"user","content":"\xff"}]}', ""),
    "too deep": ("chat", b'{"messages":' + b"[" * 100_000, ""),
    "too many values": ("chat", b'{"messages":[' + b"[]," * MAX_VALUES + b"1]}", ""),
}


async def test_what_may_not_be_asked_for_is_refused_by_name(tmp_path: Path) -> None:
    async with (
        before(tmp_path, says_hi, engine="responses:m") as (server, model),
        httpx.AsyncClient(timeout=PATIENCE_S) as client,
    ):
        for what, (api, body, param) in BAD.items():
            url = f"{server.http}/v1/{'chat/completions' if api == 'chat' else 'responses'}"
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await client.post(url, content=content, headers={"content-type": "application/json"})
            error = answer.json()["error"]
            assert (answer.status_code, error["param"] or "") == (400, param), what
        answer = await client.post(
            f"{server.http}/v1/responses", content=b" " * (MAX_BODY + 1), headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
        answer = await client.post(
            f"{server.http}/v1/responses", content=b'{"input":"x"}', headers={"content-type": "text/plain"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_content_type")
        answer = await client.post(
            f"{server.http}/v1/responses", json={"input": "x"}, headers={"origin": "https://evil.example"}
        )
        assert answer.status_code == 403
        assert not model.bodies


async def test_no_more_than_so_many_are_handed_on_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = asyncio.Event()

    async def waits(request: Request, answer: Answer) -> None:
        await held.wait()
        await answer.json(200, ANSWER)

    ask: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO}
    async with before(tmp_path, waits) as (server, model), server.client() as client:
        asked = [asyncio.create_task(client.chat.completions.create(**ask)) for _ in range(MAX_REQUESTS)]
        await until(lambda: len(model.bodies) == MAX_REQUESTS)
        error = await refused(client.chat.completions.create(**ask))
        assert (error.status_code, error.code) == (429, "too_many_text_requests")
        assert error.response.headers["retry-after"]
        held.set()
        assert len(await asyncio.gather(*asked)) == MAX_REQUESTS


async def test_a_body_that_breaks_off_frees_its_place(tmp_path: Path) -> None:
    head = "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
    async with before(tmp_path, says_hi) as (server, _):
        host, _, port = server.host.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + b"{")
        await until(lambda: len(server.app.text) == 1)
        writer.close()
        await until(lambda: not len(server.app.text))


# --- what the endpoint does --------------------------------------------------------------------------------------------


async def test_an_endpoints_errors_come_through_in_openais_shape_and_without_its_key(tmp_path: Path) -> None:
    refusal = {
        "message": f"Bad temperature ({OWNERS_KEY}).",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "bad_value",
    }
    cases: list[tuple[int, Any, dict[str, str], int, str]] = [
        (400, {"error": refusal}, {}, 400, "bad_value"),
        (422, {"detail": "no such field"}, {}, 422, "invalid_request"),
        (429, {"error": {"message": "slow down"}}, {"retry-after": "7"}, 429, "rate_limit_exceeded"),
        (401, {"error": {"message": f"wrong key {OWNERS_KEY}"}}, {}, 502, "invalid_api_key"),
        (403, {"error": {"message": "no"}}, {}, 502, "permission_denied"),
        (
            404,
            {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}},
            {},
            502,
            "model_not_found",
        ),
        (500, {"error": {"message": f"oops {OWNERS_KEY}"}}, {}, 502, "server_error"),
        (500, b"<html><script>alert(1)</script>", {}, 502, "server_error"),
        (200, b"<html><script>alert(1)</script>", {}, 502, "invalid_base_url"),
        (307, {}, {"location": "http://elsewhere.example/v1"}, 502, "invalid_base_url"),
    ]

    async def next_case(request: Request, answer: Answer) -> None:
        status, body, headers, *_ = cases[len(model.bodies) - 1]
        await answer.json(status, body, headers)

    async with before(tmp_path, next_case) as (server, model), server.client(CLIENTS_KEY) as client:
        for status, _, headers, shown, code in cases:
            error = await refused(
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "."}])
            )
            assert (error.status_code, error.code) == (shown, code), status
            assert error.response.headers["content-type"] == "application/json"
            assert set(error.response.json()["error"]) == {"message", "type", "param", "code"}
            assert error.response.headers.get("retry-after") == headers.get("retry-after")
            assert "<script>" not in error.response.text
            if code == "bad_value":
                assert (error.param, error.message.count("temperature")) == ("temperature", 1)


async def test_only_content_type_and_body_of_an_answer_come_back_and_no_key_in_them(tmp_path: Path) -> None:
    async def echoes(request: Request, answer: Answer) -> None:
        key = request.headers["authorization"]
        if request.body.get("stream"):
            await answer.raw(f'data: {{"echo": "{key[:20]}'.encode(), set_cookie="a=b", x_secret=key)
            await answer.raw(f'{key[20:]}"}}\n\n'.encode())
            await answer.end()
        else:
            await answer.json(
                200, {"echo": key}, {"set-cookie": "a=b", "x-secret": key, "connection": "keep-alive, x-secret"}
            )

    async with before(tmp_path, echoes) as (server, _), httpx.AsyncClient(timeout=PATIENCE_S) as client:
        for stream in (False, True):
            answer = await client.post(
                f"{server.http}/v1/chat/completions", json={"messages": HELLO, "model": "gpt-4o", "stream": stream}
            )
            assert answer.status_code == 200
            assert OWNERS_KEY not in answer.text
            assert "*" * len(OWNERS_KEY) in answer.text
            assert OWNERS_KEY not in str(answer.headers)
            assert not {"set-cookie", "x-secret"} & set(answer.headers)


async def test_a_compressed_answer_is_unpacked_within_bounds(tmp_path: Path) -> None:
    async def bomb(request: Request, answer: Answer) -> None:
        await answer.raw(gzip.compress(b" " * (20 << 20)), content_encoding="gzip", content_type="application/json")
        await answer.end()

    async with before(tmp_path, bomb) as (server, _), server.client() as client:
        error = await refused(
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "."}])
        )
        assert (error.status_code, error.code) == (502, "server_error")


async def test_a_stream_that_stalls_ends_with_an_error_for_either_api(tmp_path: Path) -> None:
    async def stalls(request: Request, answer: Answer) -> None:
        await answer.event({"type": "response.in_progress", "sequence_number": 0, "response": RESPONSE})
        await answer.until_client_leaves()

    for engine, path, body in (
        ("openai:m", "chat/completions", {"messages": HELLO}),
        ("responses:m", "responses", {"input": "x"}),
    ):
        async with before(tmp_path, stalls, engine=engine, more="token_timeout_s = 0.05") as (server, _):
            async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
                answer = await client.post(f"{server.http}/v1/{path}", json={"model": "gpt-4o", "stream": True, **body})
            last = json.loads(answer.text.rpartition("data: ")[2])
            assert last["error"]["code"] == "timeout"


async def test_a_document_that_takes_long_is_not_given_up_at_the_first_tokens_limit(tmp_path: Path) -> None:
    async def slow(request: Request, answer: Answer) -> None:
        if request.body.get("stream"):
            await answer.until_client_leaves()
        await asyncio.sleep(0.2)
        await answer.json(200, ANSWER)

    ask: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO}
    async with before(tmp_path, slow, more="timeout_s = 0.1") as (server, _), server.client() as client:
        assert (await client.chat.completions.create(**ask)).choices[0].message.content == "Hi."
        error = await refused(client.chat.completions.create(**ask, stream=True))
        assert (error.status_code, error.code) == (504, "timeout")
