"""Requests of stock clients to `/v1/chat/completions` that llama.cpp answers in this process, over real sockets, on random weights."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from parley.engines.llm.llama import LlamaModel, create
from parley.engines.llm.llama_forwarding import HONOURED, LABELS, ChatForwarding, Completion, answered, forward_error
from parley.engines.llm.reply_stream import TimeLimits
from parley.engines.openai_api.errors import NothingMoreCame, StreamError
from parley.engines.ports import (
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    ForwardedHead,
    ForwardFailed,
    ForwardRefused,
    ForwardRequest,
    Tool,
)
from tests.engines.opening import while_open
from tests.engines.tiny_gguf import TEMPLATE, tiny_gguf
from tests.server.harness import Running
from tests.server.test_language_models import served

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
QUICK = TimeLimits(5.0, 5.0)


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "Does it.", "parameters": NUMBER}}


def request(stream: bool = False, **fields: object) -> ForwardRequest:
    given = {"messages": HELLO, **fields, **({"stream": True} if stream else {})}
    return ForwardRequest("chat", {name: json.dumps(value).encode() for name, value in given.items()}, stream)


# --- what is asked, and what is made of the answer ---------------------------------------------------------------------------


def asking(*, think: bool = False, reads_tools: bool = True, **extra: object) -> ChatForwarding:
    return ChatForwarding("m", think, extra, reads_tools=reads_tools)


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"grammar": "root ::= root"}, "grammar", "has no grammar; leave grammar out"),
        ({"id_slot": 0}, "id_slot", "has no id_slot"),
        ({"n": 2}, "n", "One answer is made for each request; leave n out"),
        ({"functions": [{"name": "f"}]}, "functions", "has no functions"),
        (
            {"tools": [tool("count")], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
            "by",
        ),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice", "auto, none, required"),
        ({"reasoning_effort": 3}, "reasoning_effort", "must be a word"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/x"}}]}]},
            "messages",
            "data: URLs only",
        ),
        ({"messages": [{"role": "user", "content": [{"image_url": "http://127.0.0.1/"}]}]}, "messages", "data: URLs"),
    ],
)
def test_what_llama_cpp_would_pass_over_or_fetch_is_refused_by_name(
    fields: dict[str, Any], param: str, said: str
) -> None:
    with pytest.raises(ForwardRefused, match=said) as raised:
        asking().body(request(**fields))
    assert (raised.value.status, raised.value.param) == (400, param)


def test_tools_are_refused_where_the_template_has_none() -> None:
    with pytest.raises(ForwardRefused, match="The chat template of m has no tools") as raised:
        asking(reads_tools=False).body(request(tools=[tool("count")]))
    assert raised.value.param == "tools"
    assert asking(reads_tools=False).body(request(tools=[]))["tools"] == []


def test_what_is_honoured_goes_on_and_labels_and_nulls_do_not() -> None:
    labels: dict[str, Any] = dict.fromkeys(LABELS, "x")
    body = asking(top_k=7).body(request(**labels, seed=4, top_k=40, stop=None, n=1, temperature=0.5))
    assert (body["seed"], body["temperature"], body["top_k"]) == (4, 0.5, 7), "the owner's fields come last"
    assert not set(body) - HONOURED - {"chat_template_kwargs", "cache_prompt"}
    assert "stop" not in body
    assert body["stream_options"] == {"include_usage": True}, "a document has its usage"
    assert "stream_options" not in asking().body(request(stream=True))


def test_a_forced_tool_is_put_in_llama_cpps_words() -> None:
    forced = {"type": "function", "function": {"name": "count"}}
    body = asking().body(request(tools=[tool("other"), tool("count")], tool_choice=forced))
    assert (body["tools"], body["tool_choice"]) == ([tool("count")], "required")


def test_the_limit_and_the_effort_are_put_in_llama_cpps_words() -> None:
    body = asking(think=True).body(request(max_completion_tokens=5))
    assert (body["max_tokens"], body["chat_template_kwargs"]) == (5, {"enable_thinking": True})
    assert asking(think=True).body(request(reasoning_effort="minimal"))["chat_template_kwargs"] == {
        "enable_thinking": False
    }
    assert asking().body(request(reasoning_effort="high"))["chat_template_kwargs"] == {
        "enable_thinking": True,
        "reasoning_effort": "high",
    }


def delta(finish: str | None = None, **delta_: object) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "choices": [{"delta": delta_, "finish_reason": finish}]}


def test_a_document_has_the_calls_and_scores_of_its_pieces() -> None:
    whole = Completion()
    whole.add(delta(role="assistant", content=None))
    whole.add(
        delta(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}])
    )
    whole.add(delta(tool_calls=[{"index": 0, "function": {"arguments": '{"n"'}}]))
    whole.add(delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]))
    whole.add(delta(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]))
    scored = delta(content="Hi")
    scored["choices"][0]["logprobs"] = {"content": [{"token": "Hi", "logprob": -1.0}]}
    whole.add(scored)
    whole.add({**delta(finish="tool_calls"), "usage": {"total_tokens": 3}})
    made = json.loads(whole.document())
    (choice,) = made["choices"]
    assert [call["function"] for call in choice["message"]["tool_calls"]] == [
        {"name": "f", "arguments": '{"n": 1}'},
        {"name": "g", "arguments": "{}"},
    ]
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["a", "b"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi", "tool_calls")
    assert choice["logprobs"] == {"content": [{"token": "Hi", "logprob": -1.0}]}
    assert (made["object"], made["usage"]) == ("chat.completion", {"total_tokens": 3})


async def chunks(*given: dict[str, Any], stall: bool = False) -> AsyncIterator[dict[str, Any]]:
    for one in given:
        yield one
    if stall:
        await asyncio.Event().wait()


async def pieces(*given: dict[str, Any], streamed: bool, stall: bool = False, limits: TimeLimits = QUICK) -> list[Any]:
    made = answered(chunks(*given, stall=stall), "m", streamed, limits)  # type: ignore[arg-type]
    return [piece async for piece in made]


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_that_breaks_off_or_fails_is_an_error(streamed: bool) -> None:
    with pytest.raises(EngineError, match="without the end"):
        await pieces(delta(content="Hi"), streamed=streamed)
    with pytest.raises(StreamError):
        await pieces({"error": {"code": 500, "message": "lost"}}, streamed=streamed)


async def test_an_answer_that_stalls_is_given_up() -> None:
    with pytest.raises(NothingMoreCame):
        await pieces(delta(content="Hi"), streamed=True, stall=True, limits=TimeLimits(5.0, 0.01))
    with pytest.raises(TimeoutError):
        await pieces({"prompt_progress": {}}, streamed=True, stall=True, limits=TimeLimits(0.01, 5.0))
    with pytest.raises(TimeoutError):
        await pieces(delta(content="Hi"), streamed=False, stall=True, limits=TimeLimits(0.01, 0.005))


def test_what_is_wrong_with_the_request_is_the_clients_and_the_rest_is_not() -> None:
    long = forward_error(EngineRefused("Too long.", code="context_length_exceeded"))
    assert isinstance(long, ForwardRefused)
    assert (long.status, long.param) == (400, "messages")
    busy = forward_error(EngineRefused("Too many wait.", code="overloaded"))
    assert isinstance(busy, ForwardFailed)
    assert busy.retry_after_s > 0
    lost = EngineError("Lost.", code="server_error")
    assert forward_error(lost) is lost


# --- llama.cpp itself ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("xllamacpp", reason="the extra llama is not installed: make test-weights")
    return tiny_gguf(tmp_path_factory.mktemp("llama") / "tiny.gguf")


@asynccontextmanager
async def serving(weights: Path, tmp_path: Path, options: str = "") -> AsyncIterator[Running]:
    file = tmp_path / "parley.toml"
    file.write_text(
        f'[server]\ntext_api = true\n[pipelines.default]\nllm = "llama:{weights}"\n'
        f"[pipelines.default.llm_options]\nthreads = 1\n{options}\n",
        encoding="utf-8",
    )
    async with served({}, file) as server:
        yield server


async def test_stock_clients_are_answered_whole_and_streamed_alike(weights: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO, "temperature": 0, "max_completion_tokens": 8}
    async with serving(weights, tmp_path) as server, server.client() as client:
        whole = await client.chat.completions.create(**asked)
        stream = await client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        events = [event async for event in stream]
        short = await client.chat.completions.create(**{**asked, "max_completion_tokens": 2})
    (choice,) = whole.choices
    text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    assert choice.message.content == text != ""
    assert choice.finish_reason == "length"
    assert whole.usage is not None
    assert events[-1].usage is not None
    assert whole.usage.completion_tokens == events[-1].usage.completion_tokens == 8
    assert short.usage is not None
    assert short.usage.completion_tokens == 2
    assert {whole.model, *(event.model for event in events)} == {"tiny.gguf"}, "the folder is the owner's"
    assert str(weights.parent) not in whole.to_json() + "".join(event.to_json() for event in events)


async def test_a_forced_tool_is_called_and_a_schema_kept_to(weights: Path, tmp_path: Path) -> None:
    forced: Any = {"type": "function", "function": {"name": "count"}}
    tools: Any = [tool("other"), tool("count")]
    schema: Any = {"type": "json_schema", "json_schema": {"name": "reply", "schema": NUMBER}}
    async with serving(weights, tmp_path) as server, server.client() as client:
        called = await client.chat.completions.create(
            model="default", messages=HELLO, tools=tools, tool_choice=forced, temperature=2, max_tokens=900
        )
        said = await client.chat.completions.create(
            model="default", messages=HELLO, response_format=schema, temperature=0, max_tokens=80
        )
    assert {call.function.name for call in called.choices[0].message.tool_calls} == {"count"}  # type: ignore[union-attr]
    assert isinstance(json.loads(said.choices[0].message.content or "")["n"], int)


async def test_refusals_have_openais_shape(weights: Path, tmp_path: Path) -> None:
    async with serving(weights, tmp_path, "num_ctx = 256") as server, server.client() as client:

        async def refused(**fields: Any) -> openai.BadRequestError:
            with pytest.raises(openai.BadRequestError) as raised:
                await client.chat.completions.create(**{"model": "default", "messages": HELLO, **fields})
            assert str(weights.parent) not in raised.value.response.text
            return raised.value

        long = await refused(messages=[{"role": "user", "content": "word " * 100}])
        assert (long.code, long.param) == ("context_length_exceeded", "messages")
        streamed = await refused(messages=[{"role": "user", "content": "word " * 100}], stream=True)
        assert streamed.code == "context_length_exceeded"
        assert (await refused(n=2)).param == "n"
        assert "max_tokens" in (await refused(max_tokens="x")).message
        with pytest.raises(openai.BadRequestError) as raised:
            await client.responses.create(model="default", input="hello")
        assert raised.value.code == "api_not_available"
        assert "llama" in raised.value.message


async def test_a_client_that_leaves_frees_the_model(weights: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": "default", "messages": HELLO, "temperature": 2, "max_tokens": 900}
    async with serving(weights, tmp_path, "parallel = 1") as server, server.client() as client:
        stream = await client.chat.completions.create(**asked, stream=True)
        await anext(stream)
        await stream.close()
        whole = asyncio.create_task(client.chat.completions.create(**asked))
        await asyncio.sleep(0.05)
        whole.cancel()
        made = await client.chat.completions.create(**{**asked, "max_tokens": 3})
    assert made.usage is not None
    assert made.usage.completion_tokens == 3


async def test_requests_leave_room_for_a_conversation(weights: Path) -> None:
    """With two replies at once, the second request waits for the first, and a conversation does not."""
    async with while_open(create(str(weights), {"threads": 1, "parallel": 2})) as engine:
        assert isinstance(engine, LlamaModel)
        long = request(stream=True, max_tokens=900, temperature=2.0)
        async with aclosing(engine.forward(long)) as first:  # type: ignore[type-var]
            assert await anext(first) == ForwardedHead(streamed=True)
            second = asyncio.create_task(_all(engine, request(max_tokens=2, temperature=0)))
            reply = engine.reply(ChatRequest((ChatMessage("user", "hello"),), max_tokens=4, temperature=0.0))
            assert [event async for event in reply]
            assert not second.done()
        assert (await second)[0] == ForwardedHead(streamed=False)
    with pytest.raises(EngineUnavailable, match="not open"):
        await _all(engine, request())


async def test_tools_without_a_template_for_them(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the extra llama is not installed: make test-weights")
    plain = tiny_gguf(tmp_path / "plain.gguf", template=TEMPLATE.replace("tools", "none"))
    async with while_open(create(str(plain), {"threads": 1})) as engine:
        with pytest.raises(ForwardRefused, match=r"The chat template of plain\.gguf has no tools"):
            await _all(engine, request(tools=[tool("count")]))
        assert isinstance(engine, LlamaModel)
        assert engine.info.tools is False
        asked = ChatRequest((ChatMessage("user", "Count."),), (Tool("count", "Counts."),), max_tokens=2)
        with pytest.raises(EngineRefused, match="has no tools"):
            _ = [event async for event in engine.reply(asked)]
        assert [event async for event in engine.reply(replace(asked, tools=()))], "it still answers"


async def _all(engine: LlamaModel, asked: ForwardRequest) -> list[ForwardedHead | bytes]:
    return [piece async for piece in engine.forward(asked)]
