"""OpenAI's Responses API: the conversation becomes input items, and the typed events of the server become a reply."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from parley.engines.llm.responses import ResponsesModel, create
from parley.engines.ports import (
    ChatEnd,
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineRefused,
    ForceTool,
    ImagePart,
    LanguageModel,
    TextDelta,
    TokenUsage,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from tests.engines.chat_server import Answer, Request, Script
from tests.engines.llm_replies import HELLO, KEY, error_of, replied
from tests.engines.responses_server import ResponsesServer, Stream, text

LOOK = Tool("look", "Looks.", '{"type":"object","properties":{"x":{"type":"string"}}}')


@asynccontextmanager
async def connected(*scripts: Script, **options: object) -> AsyncIterator[tuple[ResponsesModel, ResponsesServer]]:
    server = ResponsesServer(list(scripts))
    async with server.running():
        engine = create("m", {"base_url": server.url, "warm_up": False, **options})
        await engine.open()
        try:
            yield engine, server
        finally:
            await engine.close()


async def say_hello(request: Request, answer: Answer) -> None:
    await text(answer, "Hel", "lo!")


async def test_a_reply_streams_with_its_usage() -> None:
    async def script(request: Request, answer: Answer) -> None:
        stream = Stream(answer)
        await stream.created()
        await stream.reasoning()
        await stream.text("Good ", "day.")
        await stream.completed(read=12, made=3, cached=8)

    async with connected(script) as (engine, server):
        assert isinstance(engine, LanguageModel)
        assert await replied(engine) == [
            TextDelta("Good "),
            TextDelta("day."),
            ChatEnd("stop", TokenUsage(12, 3, 8)),
        ]
        assert server.bodies == [
            {
                "model": "m",
                "input": [{"type": "message", "role": "user", "content": "Hello"}],
                "stream": True,
                "store": False,
            }
        ]


async def test_the_whole_request_reaches_the_server() -> None:
    messages = (
        ChatMessage("system", "Be kind."),
        ChatMessage("user", "or\nwhich?", (ImagePart("https://a", at=0), ImagePart("https://b", "low"))),
        ChatMessage("assistant", "Let me see.", tool_calls=(ToolCall("c9", "look", '{"x":"y"}'),)),
        ChatMessage("tool", "nothing", call_id="c9"),
    )
    request = ChatRequest(
        messages,
        (LOOK,),
        ForceTool("look"),
        False,
        max_tokens=77,
        reasoning_effort="low",
        json_schema='{"type":"object"}',
    )
    options: dict[str, Any] = {"temperature": 0.5, "extra_body": {"top_p": 0.5}, "api_key": KEY}
    async with connected(say_hello, **options) as (engine, server):
        await replied(engine, request)
    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    assert server.bodies == [
        {
            "model": "m",
            "input": [
                {"type": "message", "role": "system", "content": "Be kind."},
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": "https://a", "detail": "auto"},
                        {"type": "input_text", "text": "or\nwhich?"},
                        {"type": "input_image", "image_url": "https://b", "detail": "low"},
                    ],
                },
                {"type": "message", "role": "assistant", "content": "Let me see."},
                {"type": "function_call", "call_id": "c9", "name": "look", "arguments": '{"x":"y"}'},
                {"type": "function_call_output", "call_id": "c9", "output": "nothing"},
            ],
            "stream": True,
            "store": False,
            "tools": [
                {
                    "type": "function",
                    "name": "look",
                    "description": "Looks.",
                    "parameters": {"type": "object", "properties": {"x": {"type": "string"}}},
                    "strict": False,
                }
            ],
            "tool_choice": {"type": "function", "name": "look"},
            "parallel_tool_calls": False,
            "max_output_tokens": 77,
            "reasoning": {"effort": "low"},
            "text": {"format": {"type": "json_schema", "name": "reply", "schema": {"type": "object"}}},
            "temperature": 0.5,
            "top_p": 0.5,
        }
    ]


@pytest.mark.parametrize(("effort", "sent"), [("", {"effort": "none"}), ("high", {"effort": "high"})])
async def test_the_effort_of_the_request_goes_before_the_owners(effort: str, sent: object) -> None:
    async with connected(say_hello, reasoning_effort="none") as (engine, server):
        await replied(engine, ChatRequest(HELLO.messages, reasoning_effort=effort))
    assert server.bodies[0]["reasoning"] == sent


async def test_calls_in_pieces_come_out_in_their_order_beside_the_text() -> None:
    async def script(request: Request, answer: Answer) -> None:
        stream = Stream(answer)
        await stream.text("Wait.")
        first, second = await stream.begin_call("look", "c1"), await stream.begin_call("go", "c2")
        for index, piece in ((second, '{"y"'), (first, '{"x":'), (second, ":2}"), (first, "1}")):
            await stream.argue(index, piece)
        await stream.end_call(first, '{"x":1}')
        await stream.end_call(second, '{"y":2}')
        await stream.call("rest", call_id="c3")
        await stream.completed()

    async with connected(script) as (engine, _):
        said, *calls, end = await replied(engine)
    assert said == TextDelta("Wait.")
    whole: dict[int, tuple[str, str, str]] = {}
    for call in calls:
        assert isinstance(call, ToolCallDelta)
        call_id, name, arguments = whole.get(call.index, ("", "", ""))
        whole[call.index] = (call_id or call.call_id, name or call.name, arguments + call.arguments)
    assert whole == {0: ("c1", "look", '{"x":1}'), 1: ("c2", "go", '{"y":2}'), 2: ("c3", "rest", "")}
    assert end == ChatEnd("tool_calls", TokenUsage(12, 3))


async def test_a_refusal_is_said() -> None:
    async def script(request: Request, answer: Answer) -> None:
        stream = Stream(answer)
        await stream.refusal("I cannot ", "help.")
        await stream.completed()

    async with connected(script) as (engine, _):
        assert await replied(engine) == [
            TextDelta("I cannot "),
            TextDelta("help."),
            ChatEnd("stop", TokenUsage(12, 3)),
        ]


async def test_a_server_without_deltas_is_read_from_what_it_sends_whole() -> None:
    items = [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Here."}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
    ]

    def event(kind: str, **fields: object) -> bytes:
        return f"data: {json.dumps({'type': kind, **fields})}\n\n".encode()

    async def in_items(request: Request, answer: Answer) -> None:
        for index, item in enumerate(items):
            await answer.raw(event("response.output_item.done", output_index=index, item=item))
        await answer.raw(event("response.completed", response={"output": items}))
        await answer.end()

    async def in_the_response(request: Request, answer: Answer) -> None:
        await answer.raw(event("response.completed", response={"output": items}))
        await answer.done()

    async with connected(in_items, in_the_response) as (engine, _):
        for _ in range(2):
            assert await replied(engine) == [
                TextDelta("Here."),
                ToolCallDelta(0, "c1", "look", ""),
                ToolCallDelta(0, arguments="{}"),
                ChatEnd("tool_calls"),
            ]


async def test_what_came_in_pieces_is_not_said_again_where_the_server_numbers_it_otherwise() -> None:
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Once."}]}

    async def without_numbers(request: Request, answer: Answer) -> None:
        await answer.event({"type": "response.output_text.delta", "delta": "Once."})
        await answer.event({"type": "response.output_item.done", "output_index": 0, "item": item})
        await answer.event({"type": "response.completed", "response": {"output": [item]}})
        await answer.end()

    async def other_numbers(request: Request, answer: Answer) -> None:
        stream = Stream(answer)
        await stream.reasoning()
        await stream.text("Once.")
        await answer.event({"type": "response.completed", "response": {"output": [item]}})
        await answer.end()

    async with connected(without_numbers, other_numbers) as (engine, _):
        for _ in range(2):
            assert await replied(engine) == [TextDelta("Once."), ChatEnd("stop")]


async def test_the_server_of_these_tests_refuses_what_the_api_does() -> None:
    for wrong in ({"input": [{"type": "message", "role": "robot", "content": "x"}]}, {"tools": [{"type": "function"}]}):
        async with connected(say_hello, extra_body=wrong) as (engine, _):
            error = await error_of(engine)
            assert (type(error), error.code) == (EngineRefused, "invalid_request")


@pytest.mark.parametrize(("why", "reason"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
async def test_an_incomplete_response_ends_for_its_reason(why: str, reason: str) -> None:
    async def script(request: Request, answer: Answer) -> None:
        stream = Stream(answer)
        await stream.text("And so")
        await stream.incomplete(why)

    async with connected(script) as (engine, _):
        end = (await replied(engine))[-1]
    assert isinstance(end, ChatEnd)
    assert end.reason == reason


async def test_a_model_that_takes_no_temperature_is_asked_without_it_from_then_on() -> None:
    async def refuse(request: Request, answer: Answer) -> None:
        message = "Unsupported parameter: 'temperature' is not supported with this model."
        await answer.json(400, {"error": {"message": message, "type": "invalid_request_error"}})

    async with connected(refuse, say_hello, temperature=0.5) as (engine, server):
        await replied(engine)
        await replied(engine)
    assert [body.get("temperature") for body in server.bodies] == [0.5, None, None]


# --- faults ---


async def failed(request: Request, answer: Answer) -> None:
    stream = Stream(answer)
    await stream.text("One.")
    await stream.failed("server_error", f"The model broke with {KEY}.")


async def refused(request: Request, answer: Answer) -> None:
    await Stream(answer).failed("invalid_image_url", "The image cannot be fetched.")


async def overloaded(request: Request, answer: Answer) -> None:
    await Stream(answer).failed("rate_limit_exceeded", "Slow down.")


async def error_event(request: Request, answer: Answer) -> None:
    stream = Stream(answer)
    await stream.text("One.")
    await stream.error("server_error", "Something went wrong.")


async def too_long(request: Request, answer: Answer) -> None:
    await Stream(answer).error("context_length_exceeded", "Your input exceeds the context window of this model.")


async def steered(request: Request, answer: Answer) -> None:
    await Stream(answer).incomplete("steered")


async def broke_off(request: Request, answer: Answer) -> None:
    await Stream(answer).text("One.")
    await answer.end()


async def garbage(request: Request, answer: Answer) -> None:
    await answer.event("{ no")
    await answer.end()


async def other_tool(request: Request, answer: Answer) -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    await answer.event({"type": "response.output_item.added", "output_index": 0, "item": item})
    await Stream(answer).completed()


async def chat_chunks(request: Request, answer: Answer) -> None:
    await answer.text("Hel", "lo!")


FAULTS: dict[str, tuple[Callable[[Request, Answer], Awaitable[None]], type[EngineError], str, str]] = {
    "failed": (failed, EngineError, "server_error", "The model broke"),
    "refused": (refused, EngineRefused, "invalid_request", "cannot be fetched"),
    "overloaded": (overloaded, EngineError, "rate_limit_exceeded", "Slow down"),
    "an error event": (error_event, EngineError, "server_error", "Something went wrong"),
    "too long": (too_long, EngineRefused, "context_length_exceeded", "context window"),
    "steered": (steered, EngineError, "server_error", "'steered'"),
    "broken off": (broke_off, EngineError, "server_error", "in the middle"),
    "garbage": (garbage, EngineError, "server_error", "{ no"),
    "a tool of the server": (other_tool, EngineError, "server_error", "web_search_call"),
    "chat chunks": (chat_chunks, EngineError, "server_error", "in the middle"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_named_without_the_key(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.engines.openai_api.retries.FIRST_PAUSE_S", 0.001)
    script, kind, code, words = FAULTS[fault]
    async with connected(script, api_key=KEY) as (engine, _):
        error = await error_of(engine)
    assert (type(error), error.code) == (kind, code)
    assert words in error.message
    assert KEY not in str(error)


async def test_a_server_without_the_api_says_which_is_missing() -> None:
    async def missing(request: Request, answer: Answer) -> None:
        await answer.json(404, {"error": {"message": "Not Found"}})

    async with connected(missing) as (engine, _):
        error = await error_of(engine)
    assert error.code == "invalid_base_url"
    assert "Responses API" in error.message


async def test_a_local_server_is_warmed_with_as_few_tokens_as_the_api_takes() -> None:
    async with connected(say_hello, warm_up=True) as (_, server):
        assert [body["max_output_tokens"] for body in server.bodies] == [16]
