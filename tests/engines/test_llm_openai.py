"""Any OpenAI-compatible server serves as the language model, with its own habits; and what goes wrong is said clearly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from parley.engines.llm.openai import OpenAIModel, create
from parley.engines.ports import (
    ChatEnd,
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    ForceTool,
    ImagePart,
    LanguageModel,
    TextDelta,
    TokenUsage,
    Tool,
    ToolCall,
)
from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.engines.llm_replies import HELLO, KEY, calls_of, error_of, replied, text_of


@asynccontextmanager
async def connected(*scripts: Script, **options: object) -> AsyncIterator[tuple[OpenAIModel, ChatServer]]:
    server = ChatServer(list(scripts))
    async with server.running():
        engine = create("m", {"base_url": server.url, "warm_up": False, **options})
        await engine.open()
        try:
            yield engine, server
        finally:
            await engine.close()


async def say_hello(request: Request, answer: Answer) -> None:
    await answer.text("Hel", "lo!")


# --- replies ---


async def test_a_reply_streams_as_it_is_written_with_its_usage() -> None:
    written = asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(role="assistant", content="")
        await answer.delta(content="Good ")
        await written.wait()
        await answer.delta(content="day.")
        await answer.delta(finish="stop")
        await answer.usage(12, 3, cached=8)
        await answer.done()

    async with connected(script) as (engine, server):
        assert isinstance(engine, LanguageModel)
        stream = engine.reply(HELLO)
        assert await anext(stream) == TextDelta("Good ")
        written.set()
        assert [event async for event in stream] == [TextDelta("day."), ChatEnd("stop", TokenUsage(12, 3, 8))]
        assert server.bodies[0]["stream_options"] == {"include_usage": True}
        assert "tools" not in server.bodies[0]
        assert "parallel_tool_calls" not in server.bodies[0]


async def test_images_reach_the_server_in_their_places_between_the_words() -> None:
    images = (ImagePart("https://a", at=0), ImagePart("https://b", at=2), ImagePart("https://c"))
    async with connected(say_hello) as (engine, server):
        await replied(engine, ChatRequest((ChatMessage("user", "or\nwhich?", images),)))
    content = server.bodies[0]["messages"][0]["content"]
    sent = [part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in content]
    assert sent == ["https://a", "or", "https://b", "which?", "https://c"]


async def test_the_whole_request_reaches_the_server() -> None:
    tool = Tool("look", "Looks.", '{"type":"object","properties":{"x":{"type":"string"}}}')
    messages = (
        ChatMessage("system", "Be kind."),
        ChatMessage("user", "See", images=(ImagePart("data:image/png;base64,AA==", "low"),)),
        ChatMessage("assistant", "", tool_calls=(ToolCall("c9", "look", '{"x":"y"}'),)),
        ChatMessage("tool", "nothing", call_id="c9"),
    )
    request = ChatRequest(
        messages,
        (tool,),
        ForceTool("look"),
        False,
        max_tokens=77,
        reasoning_effort="low",
        json_schema='{"type":"object"}',
    )
    options: dict[str, Any] = {
        "temperature": 0.5,
        "extra_body": {"top_k": 4},
        "headers": {"X-Team": "a"},
        "api_key": KEY,
    }
    async with connected(say_hello, **options) as (engine, server):
        await replied(engine, request)
    body = server.bodies[0]
    assert body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c9", "type": "function", "function": {"name": "look", "arguments": '{"x":"y"}'}}],
        },
        {"role": "tool", "tool_call_id": "c9", "content": "nothing"},
    ]
    assert body["tools"][0]["function"]["parameters"]["properties"] == {"x": {"type": "string"}}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert body["parallel_tool_calls"] is False
    assert body["max_tokens"] == 77
    assert body["reasoning_effort"] == "low"
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert body["temperature"] == 0.5
    assert body["top_k"] == 4
    headers = server.requests[-1].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-team"] == "a"


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
async def test_each_tool_choice_is_passed_on(choice: Any) -> None:
    async with connected(say_hello) as (engine, server):
        await replied(engine, ChatRequest(HELLO.messages, (Tool("look", ""),), choice))
        assert server.bodies[0]["tool_choice"] == choice


async def test_without_a_key_no_authorization_is_sent_and_openai_s_key_goes_to_openai_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with connected(say_hello) as (engine, server):
        await replied(engine)
        assert all("authorization" not in request.headers for request in server.requests)


# --- tool calls, as servers send them ---

PIECES: dict[str, list[list[dict[str, Any]]]] = {
    "in pieces, by index": [
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "one", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x"'}}],
        [{"index": 1, "id": "b", "function": {"name": "two", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
        [{"index": 1, "function": {"arguments": "{}"}}],
    ],
    "whole, in one chunk": [
        [
            {"index": 0, "id": "a", "function": {"name": "one", "arguments": '{"x":1}'}},
            {"index": 1, "id": "b", "function": {"name": "two", "arguments": "{}"}},
        ]
    ],
    "whole, all with index 0": [
        [{"index": 0, "id": "a", "function": {"name": "one", "arguments": '{"x":1}'}}],
        [{"index": 0, "id": "b", "function": {"name": "two", "arguments": "{}"}}],
    ],
    "without an index": [
        [{"id": "a", "function": {"name": "one", "arguments": '{"x":'}}],
        [{"function": {"arguments": "1}"}}],
        [{"id": "b", "function": {"name": "two", "arguments": "{}"}}],
    ],
    "repeating id and name": [
        [{"index": 0, "id": "a", "function": {"name": "one", "arguments": '{"x":'}}],
        [{"index": 0, "id": "a", "function": {"name": "one", "arguments": "1}"}}],
        [{"index": 1, "id": "b", "function": {"name": "two", "arguments": "{}"}}],
    ],
    "with objects for arguments": [
        [{"index": 0, "id": "a", "function": {"name": "one", "arguments": {"x": 1}}}],
        [{"index": 1, "id": "b", "function": {"name": "two", "arguments": {}}}],
    ],
    "id before name": [
        [{"index": 0, "id": "a"}],
        [{"index": 0, "function": {"name": "one", "arguments": '{"x":1}'}}],
        [{"index": 1, "id": "b", "function": {"name": "two"}}],
        [{"index": 1, "function": {"arguments": "{}"}}],
    ],
}


@pytest.mark.parametrize("habit", PIECES)
async def test_several_tool_calls_come_out_whole_whatever_the_server_s_habit(habit: str) -> None:
    async def script(request: Request, answer: Answer) -> None:
        for pieces in PIECES[habit]:
            await answer.delta(tool_calls=pieces)
        await answer.delta(finish="tool_calls")
        await answer.done()

    async with connected(script) as (engine, _):
        events = await replied(engine, ChatRequest(HELLO.messages, (Tool("one", ""), Tool("two", ""))))
    calls = [(call_id, name, arguments.replace(" ", "")) for call_id, name, arguments in calls_of(events)]
    assert calls[0] == ("a", "one", '{"x":1}')
    assert calls[1][:2] == ("b", "two")
    assert calls[1][2] in ("{}", "")
    assert events[-1] == ChatEnd("tool_calls")


async def test_missing_and_repeated_call_ids_are_replaced_by_unique_ones() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(tool_calls=[{"index": 0, "function": {"name": "one", "arguments": "{}"}}])
        await answer.delta(tool_calls=[{"index": 1, "id": "call_0", "function": {"name": "two", "arguments": "{}"}}])
        await answer.delta(finish="stop")  # (as Ollama says it)
        await answer.done()

    earlier = (
        *HELLO.messages,
        ChatMessage("assistant", tool_calls=(ToolCall("call_0", "one", "{}"),)),
        ChatMessage("tool", "x", call_id="call_0"),
    )
    request = ChatRequest(earlier, (Tool("one", ""), Tool("two", "")))
    async with connected(script) as (engine, _):
        first, again = await replied(engine, request), await replied(engine, request)
    ids = [call_id for call_id, _, _ in calls_of(first)]
    assert len({*ids, "call_0"}) == 3
    assert [call_id for call_id, _, _ in calls_of(again)] == ids, "the same request gives the same ids"
    assert first[-1] == ChatEnd("tool_calls")


# --- reasoning is never spoken ---


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 100])
async def test_inline_reasoning_is_taken_out_wherever_it_is_torn(cut: int) -> None:
    written = "<think>\nThe user <b>says</b> hello, 1 < 2.</think>\n\nHello! 1 < 2 and <thin ice> holds."

    async def script(request: Request, answer: Answer) -> None:
        await answer.text(*(written[i : i + cut] for i in range(0, len(written), cut)))

    async with connected(script) as (engine, _):
        assert text_of(await replied(engine)) == "Hello! 1 < 2 and <thin ice> holds."


async def test_reasoning_fields_are_not_text() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(reasoning_content="Let me think.")
        await answer.delta(reasoning="Hm.", content="")
        await answer.text("Yes.")

    async with connected(script) as (engine, _):
        assert text_of(await replied(engine)) == "Yes."


async def test_a_model_that_omits_the_opening_tag_is_known_by_name_or_after_its_first_reply() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.text("Some reason", "ing.</th", "ink>\nAnswer.")

    async def plain(request: Request, answer: Answer) -> None:
        await answer.text("Plain ", "answer.")

    server = ChatServer([script], models=["deepseek-r1:8b", "m"])
    async with server.running():
        for name, spoken in (("deepseek-r1:8b", ["Answer.", "Answer."]), ("m", ["Some reasoning.Answer.", "Answer."])):
            engine = create(name, {"base_url": server.url, "warm_up": False})
            await engine.open()
            assert [text_of(await replied(engine)) for _ in spoken] == spoken
            server.scripts[:] = [plain, script]
            assert text_of(await replied(engine)) == "Plain answer.", "held back, and given in the end"
            await engine.close()


# --- ends ---


async def test_cancelling_closes_the_upstream_request() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(content="Once upon a time")
        await answer.until_client_leaves()

    async with connected(script) as (engine, server):
        stream = engine.reply(HELLO)
        await anext(stream)
        assert not server.client_left.is_set()
        await stream.aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(1):
            await server.client_left.wait()


@pytest.mark.parametrize("begun", [False, True])
async def test_cancelling_the_task_closes_the_upstream_request_also_before_the_first_token(begun: bool) -> None:
    asked, got = asyncio.Event(), asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        if begun:
            await answer.delta(content="Once")
        asked.set()
        await answer.until_client_leaves()

    async with connected(script) as (engine, server):

        async def consume() -> None:
            async for _ in engine.reply(HELLO):
                got.set()

        task = asyncio.create_task(consume())
        await asked.wait()
        if begun:
            await got.wait()
        task.cancel()
        async with asyncio.timeout(1):
            await server.client_left.wait()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "length"), ("content_filter", "content_filter"), ("eos", "stop")]
)
async def test_the_reason_of_the_end_is_reported(finish: str, reason: str) -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(content="x")
        await answer.delta(finish=finish)
        await answer.done()

    async with connected(script) as (engine, _):
        assert (await replied(engine))[-1] == ChatEnd(reason)  # type: ignore[arg-type]


async def test_a_server_that_never_sends_its_usage_does_not_hold_the_end_back() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(content="x", finish="stop")
        await answer.until_client_leaves()

    async with connected(script) as (engine, _):
        async with asyncio.timeout(3):
            assert (await replied(engine))[-1] == ChatEnd("stop")


# --- fields that servers refuse ---


async def test_a_server_without_stream_options_is_asked_again_without_them_once() -> None:
    async def script(request: Request, answer: Answer) -> None:
        if "stream_options" in request.body:
            await answer.json(400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}})
        else:
            await answer.text("Yes.")

    async with connected(script) as (engine, server):
        assert text_of(await replied(engine)) == "Yes."
        assert text_of(await replied(engine)) == "Yes."
        assert ["stream_options" in body for body in server.bodies] == [True, False, False]


async def test_the_other_name_of_the_token_limit_is_learnt() -> None:
    async def script(request: Request, answer: Answer) -> None:
        if "max_tokens" in request.body:
            said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            await answer.json(400, {"error": {"message": said, "param": "max_tokens", "code": "unsupported_parameter"}})
        else:
            await answer.text("Yes.")

    async with connected(script) as (engine, server):
        for _ in range(2):
            assert text_of(await replied(engine, ChatRequest(HELLO.messages, max_tokens=9))) == "Yes."
        assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 9, 9]


async def test_the_temperature_asked_for_goes_before_the_owners() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.text("Yes.")

    async with connected(script, temperature=0.5) as (engine, server):
        await replied(engine)
        await replied(engine, ChatRequest(HELLO.messages, temperature=0.9))
        assert [body["temperature"] for body in server.bodies] == [0.5, 0.9]


async def test_a_model_that_takes_no_temperature_is_asked_without_it() -> None:
    async def script(request: Request, answer: Answer) -> None:
        if "temperature" in request.body:
            said = "Unsupported value: 'temperature' does not support 0.8 with this model. Only the default (1) is supported."
            await answer.json(400, {"error": {"message": said, "param": "temperature", "code": "unsupported_value"}})
        else:
            await answer.text("Yes.")

    async with connected(script) as (engine, server):
        for _ in range(2):
            assert text_of(await replied(engine, ChatRequest(HELLO.messages, temperature=0.8))) == "Yes."
        assert [body.get("temperature") for body in server.bodies] == [0.8, None, None]


# --- faults ---


def failing(status: int, body: object, headers: dict[str, str] | None = None) -> Script:
    async def script(request: Request, answer: Answer) -> None:
        await answer.json(status, body, headers)

    return script


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (
            401,
            {"error": {"message": f"Incorrect API key provided: {KEY}."}},
            "invalid_api_key",
            "Correct llm_options.api_key",
        ),
        (403, {"error": {"message": "Not yours."}}, "permission_denied", "Not yours"),
        (
            404,
            {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}},
            "model_not_found",
            "It has",
        ),
        (404, {"error": {"message": "model 'm' not found, try pulling it first"}}, "model_not_found", "It has"),
        (404, {"detail": "Not Found"}, "invalid_base_url", "/v1"),
        (
            400,
            {"error": {"message": "x", "code": "context_length_exceeded"}},
            "context_length_exceeded",
            "context_tokens",
        ),
        (
            400,
            {"message": "This model's maximum context length is 512 tokens, max_tokens is too large"},
            "context_length_exceeded",
            "context_tokens",
        ),
        (400, {"error": {"message": "tools are not served"}}, "invalid_request", "tools are not served"),
        (429, {"error": {"message": "slow down", "code": "rate_limit"}}, "rate_limit_exceeded", "slow down"),
        (429, {"error": {"message": "no money", "code": "insufficient_quota"}}, "insufficient_quota", "no money"),
        (500, b"<html>oops</html>", "server_error", "500"),
    ],
)
async def test_every_fault_is_named_with_its_remedy_and_without_the_key(
    status: int, body: object, code: str, words: str
) -> None:
    async with connected(failing(status, body), api_key=KEY) as (engine, server):
        error = await error_of(engine)
        assert error.code == code
        assert words in str(error)
        assert KEY not in str(error)
        assert KEY not in repr(error.__cause__)
        assert error.__suppress_context__
        assert "127.0.0.1" in str(error) or code == "context_length_exceeded"
        assert len(server.bodies) == (3 if status in (500,) or code == "rate_limit_exceeded" else 1)


async def test_it_tries_again_before_the_first_token_and_then_succeeds() -> None:
    async def dropped(request: Request, answer: Answer) -> None:
        answer.break_off()

    async with connected(failing(503, {}), dropped, say_hello) as (engine, server):
        assert text_of(await replied(engine)) == "Hello!"
        assert len(server.bodies) == 3


async def test_a_short_retry_after_is_honoured_and_a_long_one_is_reported() -> None:
    loop = asyncio.get_running_loop()
    async with connected(failing(429, {}, {"retry-after": "0.6"}), say_hello) as (engine, _):
        began = loop.time()
        assert text_of(await replied(engine)) == "Hello!"
        assert 0.55 <= loop.time() - began < 2
    async with connected(failing(429, {}, {"retry-after": "60"}), say_hello) as (engine, server):
        assert "wait 60 s" in str(await error_of(engine))
        assert len(server.bodies) == 1


async def test_a_reply_that_breaks_off_is_an_error_and_is_never_begun_again() -> None:
    heard = asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(content="Once ")
        await heard.wait()
        answer.break_off()

    async with connected(script) as (engine, server):
        stream = engine.reply(HELLO)
        assert await anext(stream) == TextDelta("Once ")
        heard.set()
        with pytest.raises(EngineError) as caught:
            await anext(stream)
        assert caught.value.code == "connection_failed"
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "garbage", ["{not json", '{"choices": 7}', "[1, 2]", '{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}']
)
async def test_a_malformed_stream_is_an_error_of_the_server(garbage: str) -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(content="x")
        await answer.event(garbage)
        await answer.done()

    async with connected(script) as (engine, _):
        assert (await error_of(engine)).code == "server_error"


async def test_an_error_inside_the_stream_is_reported() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(content="x")
        await answer.event({"error": {"message": "CUDA out of memory", "code": 500}})
        await answer.done()

    async with connected(script) as (engine, _):
        error = await error_of(engine)
        assert error.code == "server_error"
        assert "CUDA out of memory" in str(error)


async def test_a_server_that_answers_without_streaming_is_an_error() -> None:
    message = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    async with connected(failing(200, message)) as (engine, _):
        assert (await error_of(engine)).code == "server_error"


@pytest.mark.parametrize("begun", [False, True])
async def test_silence_is_a_timeout_before_the_first_token_and_between_tokens(begun: bool) -> None:
    async def script(request: Request, answer: Answer) -> None:
        if begun:
            await answer.delta(content="x")
        await answer.until_client_leaves()

    options = {"timeout_s": 5, "token_timeout_s": 0.2} if begun else {"timeout_s": 0.2}
    async with connected(script, **options) as (engine, server):
        error = await error_of(engine)
        assert error.code == "timeout"
        assert len(server.bodies) == 1
        async with asyncio.timeout(1):
            await server.client_left.wait()


async def test_a_slow_listener_is_no_timeout() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.text("one ", "two")

    async with connected(script, token_timeout_s=0.1) as (engine, _):
        stream = engine.reply(HELLO)
        await anext(stream)
        loop = asyncio.get_running_loop()
        waited = loop.create_future()
        loop.call_later(0.3, waited.set_result, None)
        await waited
        assert [event async for event in stream][-1] == ChatEnd("stop")


async def test_a_schema_that_is_no_json_is_refused_by_name() -> None:
    async with connected(say_hello) as (engine, server):
        error = await error_of(engine, ChatRequest(HELLO.messages, (Tool("look", "", "{oops"),)))
        assert isinstance(error, EngineRefused)
        assert "'look'" in str(error)
        assert server.bodies == []


# --- start-up ---


async def opened(server: ChatServer, model: str = "m", **options: object) -> OpenAIModel:
    async with server.running():
        engine = create(model, {"base_url": server.url, "warm_up": False, **options})
        await engine.open()
        await engine.close()
        return engine


async def test_a_wrong_model_is_found_out_at_start_up_and_the_right_ones_named() -> None:
    server = ChatServer(
        [failing(404, {"error": {"message": "model not found"}})], models=["qwen3:8b", "llama3.2:latest"]
    )
    with pytest.raises(
        EngineUnavailable, match=r"no model 'qwen3:8'. It has: qwen3:8b, llama3.2:latest. Did you mean 'qwen3:8b'\?"
    ):
        await opened(server, "qwen3:8")
    await opened(server, "llama3.2")


async def test_a_model_that_is_not_listed_but_served_is_used() -> None:
    await opened(ChatServer([say_hello], models=["/models/some.gguf"]), "anything")


async def test_without_a_model_the_server_s_first_chat_model_is_taken() -> None:
    engine = await opened(ChatServer([say_hello], models=["nomic-embed-text", "gemma3"]), "")
    assert engine.model == "gemma3"


@pytest.mark.parametrize("status", [404, 405, 401])
async def test_start_up_tolerates_a_server_without_a_list_of_models_but_not_a_wrong_key(status: int) -> None:
    server = ChatServer([say_hello], models=status)
    if status == 401:
        with pytest.raises(EngineUnavailable, match="wants an API key") as caught:
            await opened(server)
        assert caught.value.code == "invalid_api_key"
    else:
        await opened(server)


async def test_a_base_url_without_v1_is_completed() -> None:
    server = ChatServer([say_hello])
    async with server.running():
        engine = create("m", {"base_url": server.url.removesuffix("/v1"), "warm_up": False})
        await engine.open()
        assert text_of(await replied(engine)) == "Hello!"
        await engine.close()


async def test_a_page_where_the_api_should_be_is_a_wrong_url() -> None:
    with pytest.raises(EngineUnavailable) as caught:
        await opened(ChatServer([say_hello], models=b"<html>Welcome</html>"))
    assert caught.value.code == "invalid_base_url"


async def test_a_refused_connection_and_an_unknown_host_say_so_at_once() -> None:
    server = ChatServer([say_hello])
    async with server.running():
        url = server.url
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(EngineUnavailable, match="connection was refused") as refused:
        await create("m", {"base_url": url}).open()
    assert refused.value.code == "connection_failed"
    assert loop.time() - began < 4
    with pytest.raises(EngineUnavailable) as scheme:
        await create("m", {"base_url": "localhost:11434/v1"}).open()
    assert "http://" in str(scheme.value)


async def test_openai_itself_needs_a_key_and_a_model_before_anything_is_sent() -> None:
    with pytest.raises(EngineUnavailable, match="OPENAI_API_KEY"):
        await create("gpt-5-mini", {}).open()
    with pytest.raises(EngineUnavailable, match="--llm openai:MODEL"):
        await create("", {"api_key": KEY}).open()


async def test_a_local_server_is_warmed_with_one_token() -> None:
    server = ChatServer([say_hello])
    await opened(server, warm_up=True)
    assert [body["max_tokens"] for body in server.bodies] == [1]


def test_passwords_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create("m", {"base_url": "http://user:pass@127.0.0.1:1/v1?token=t", "api_key": KEY})
    assert "pass" not in engine.info.summary
    assert "token" not in engine.info.summary
    assert KEY not in repr(vars(engine))
    with pytest.raises(ValueError, match=r"'base_ulr'. Did you mean 'base_url'"):
        create("m", {"base_ulr": "x"})
