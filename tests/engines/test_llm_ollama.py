"""Ollama through its own API: the context is never cut silently, thinking is off, and each fault names the command that mends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from parley.engines.llm.ollama import OllamaModel, create
from parley.engines.ports import (
    ChatEnd,
    ChatMessage,
    ChatRequest,
    EngineRefused,
    EngineUnavailable,
    ForceTool,
    ImagePart,
    LanguageModel,
    TextDelta,
    TokenUsage,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from tests.engines.chat_server import Answer, Request, Script
from tests.engines.llm_replies import HELLO, error_of, replied
from tests.engines.ollama_server import OllamaServer, Pulled, finish, line, piece, text

LOOK = Tool("look", "Looks.", '{"type":"object","properties":{"x":{"type":"string"}}}')
THINKER = Pulled(capabilities=["completion", "tools", "thinking"])
PIXEL = "data:image/png;base64,AAAA"


@asynccontextmanager
async def connected(
    *scripts: Script, pulled: Pulled | None = None, version: str = "0.33.3", memory_gib: float = 64.0, **options: object
) -> AsyncIterator[tuple[OllamaModel, OllamaServer]]:
    server = OllamaServer(
        list(scripts) or [say_hello], pulled={"m": pulled or Pulled()}, version=version, memory_gib=memory_gib
    )
    async with server.running():
        engine = create("m", {"base_url": server.url, **options})
        await engine.open()
        try:
            yield engine, server
        finally:
            await engine.close()


async def say_hello(request: Request, answer: Answer) -> None:
    await text(answer, "Hel", "lo!")


async def refused_at_start(server: OllamaServer, model: str = "m", **options: object) -> EngineUnavailable:
    async with server.running():
        with pytest.raises(EngineUnavailable) as caught:
            await create(model, {"base_url": server.url, **options}).open()
    return caught.value


# --- replies ---


async def test_a_reply_streams_line_by_line_with_its_counts() -> None:
    written = asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        await piece(answer, "Good ")
        await written.wait()
        await piece(answer, "day.")
        await finish(answer, prompt=12, made=3)

    async with connected(script) as (engine, _):
        assert isinstance(engine, LanguageModel)
        stream = engine.reply(HELLO)
        assert await anext(stream) == TextDelta("Good ")
        written.set()
        assert [event async for event in stream] == [TextDelta("day."), ChatEnd("stop", TokenUsage(12, 3))]


async def test_lines_are_read_however_their_bytes_come() -> None:
    whole = b'{"message":{"content":"\xc3\xa9t\xc3\xa9"},"done":false}\r\n\n{"message":{"content":"."},"done":true}'

    async def script(request: Request, answer: Answer) -> None:
        for at in range(len(whole)):
            await answer.raw(whole[at : at + 1], content_type="application/x-ndjson")
        await answer.end()

    async with connected(script) as (engine, _):
        assert await replied(engine) == [TextDelta("été"), TextDelta("."), ChatEnd("stop")]


async def test_the_whole_request_reaches_ollama() -> None:
    request = ChatRequest(
        (
            ChatMessage("system", "Be kind."),
            ChatMessage("user", "See"),
            ChatMessage("assistant", "", tool_calls=(ToolCall("c9", "look", '{"x":"y"}'),)),
            ChatMessage("tool", "nothing", call_id="c9"),
        ),
        (LOOK,),
        max_tokens=77,
        json_schema='{"type":"object"}',
    )
    options: dict[str, Any] = {"temperature": 0.5, "keep_alive": "30m", "extra_body": {"options": {"top_k": 4}}}
    async with connected(num_ctx=8192, **options) as (engine, server):
        await replied(engine, request)
    assert server.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "See"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": "c9", "function": {"name": "look", "arguments": {"x": "y"}}}],
                },
                {"role": "tool", "content": "nothing", "tool_name": "look", "tool_call_id": "c9"},
            ],
            "stream": True,
            "truncate": False,
            "shift": False,
            "options": {"num_ctx": 8192, "num_predict": 77, "temperature": 0.5, "top_k": 4},
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "look",
                        "description": "Looks.",
                        "parameters": {"type": "object", "properties": {"x": {"type": "string"}}},
                    },
                }
            ],
            "format": {"type": "object"},
            "keep_alive": "30m",
        }
    ]


async def test_whole_calls_without_ids_come_out_numbered_with_ids_of_their_own() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await piece(answer, tool_calls=[{"function": {"name": "look", "arguments": {"x": "a"}}}])
        await piece(answer, tool_calls=[{"function": {"name": "look", "arguments": {}}}])
        await piece(answer, tool_calls=[{"id": "z", "function": {"index": 0, "name": "go", "arguments": {"y": [1]}}}])
        await finish(answer)

    earlier = ChatMessage("assistant", "", tool_calls=(ToolCall("call_0", "look", "{}"),))
    messages = (ChatMessage("user", "Hi"), earlier, ChatMessage("tool", "x", call_id="call_0"))
    async with connected(script) as (engine, _):
        *calls, end = await replied(engine, ChatRequest(messages, (LOOK,)))
    assert [(call.index, call.name, call.arguments) for call in calls if isinstance(call, ToolCallDelta)] == [
        (0, "look", '{"x": "a"}'),
        (1, "look", "{}"),
        (2, "go", '{"y": [1]}'),
    ]
    ids = [call.call_id for call in calls if isinstance(call, ToolCallDelta)]
    assert len({*ids, "call_0", ""}) == 5
    assert ids[2] == "z"
    assert isinstance(end, ChatEnd)
    assert end.reason == "tool_calls"


@pytest.mark.parametrize("choice", ["required", ForceTool("look")])
async def test_a_demanded_call_is_refused_as_ollama_has_no_way_to_demand_one(choice: ToolChoice) -> None:
    async with connected() as (engine, server):
        error = await error_of(engine, ChatRequest(HELLO.messages, (LOOK,), choice))
        assert isinstance(error, EngineRefused)
        assert error.code == "tool_choice_unsupported"
        await replied(engine, ChatRequest(HELLO.messages, (LOOK,), "none"))
    assert "tools" not in server.bodies[0]


@pytest.mark.parametrize("capabilities", [["completion"], None])
async def test_tools_for_a_model_without_them_are_refused(capabilities: list[str] | None) -> None:
    async with connected(pulled=Pulled(capabilities=capabilities)) as (engine, server):
        error = await error_of(engine, ChatRequest(HELLO.messages, (LOOK,)))
        assert (type(error), error.code) == (EngineRefused, "tools_unsupported")
        assert "'m'" in error.message
        assert "ollama show" in error.remedy
    # An Ollama that does not tell capabilities is asked, and refuses itself.
    assert len(server.bodies) == (1 if capabilities is None else 0)


async def test_images_go_as_base64_to_models_that_see() -> None:
    request = ChatRequest((ChatMessage("user", "What is it?", (ImagePart(PIXEL),)),))
    async with connected(pulled=Pulled(capabilities=["completion", "vision"])) as (engine, server):
        assert engine.info.images
        await replied(engine, request)
        assert server.bodies[0]["messages"] == [{"role": "user", "content": "What is it?", "images": ["AAAA"]}]
        remote = ChatRequest((ChatMessage("user", "It?", (ImagePart("https://example.com/a.png"),)),))
        assert (await error_of(engine, remote)).code == "invalid_image"
    async with connected() as (engine, _):
        assert not engine.info.images
        assert (await error_of(engine, request)).code == "images_unsupported"


# --- thinking ---


@pytest.mark.parametrize(
    ("pulled", "option", "effort", "sent"),
    [
        (THINKER, None, "", False),
        (THINKER, True, "", True),
        (THINKER, "true", "none", False),
        (THINKER, None, "high", True),
        (Pulled(family="gptoss", capabilities=["thinking"]), None, "", "low"),
        (Pulled(family="gptoss", capabilities=["thinking"]), True, "", "medium"),
        (Pulled(family="gptoss", capabilities=["thinking"]), None, "xhigh", "high"),
        (Pulled(), None, "high", None),
        (Pulled(capabilities=None), None, "high", None),
    ],
)
async def test_a_model_thinks_only_where_it_is_asked_to(
    pulled: Pulled, option: object, effort: str, sent: object
) -> None:
    options: dict[str, Any] = {} if option is None else {"think": option}
    async with connected(pulled=pulled, **options) as (engine, server):
        await replied(engine, ChatRequest(HELLO.messages, reasoning_effort=effort))
    assert server.bodies[0].get("think") == sent


async def test_thinking_is_not_text_wherever_it_stands() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await piece(answer, thinking="Hmm, ")
        await piece(answer, "<thi")
        await piece(answer, "nk>what?</think>\nYes.")
        await finish(answer)

    async with connected(script, pulled=THINKER, think=True) as (engine, _):
        assert [event for event in await replied(engine) if isinstance(event, TextDelta)] == [TextDelta("Yes.")]


async def test_thinking_asked_of_a_model_without_it_is_found_out_at_start_up() -> None:
    error = await refused_at_start(OllamaServer([say_hello]), think="true")
    assert error.code == "invalid_engine_option"
    assert "ollama show" in error.remedy


# --- the context ---


@pytest.mark.parametrize(
    ("pulled", "option", "num_ctx"),
    [
        (Pulled(), None, 16_384),
        (Pulled(context_length=2048), None, 2048),
        (Pulled(parameters="stop x\nnum_ctx                        32768"), None, 32_768),
        (Pulled(parameters="num_ctx 32768"), 20_000, 20_000),
    ],
)
async def test_every_request_sets_the_context_that_the_model_was_loaded_with(
    pulled: Pulled, option: int | None, num_ctx: int
) -> None:
    options: dict[str, Any] = {} if option is None else {"num_ctx": option}
    async with connected(pulled=pulled, **options) as (engine, server):
        assert engine.num_ctx == num_ctx
        assert str(num_ctx) in engine.notice
        await replied(engine)
    assert [chat["options"]["num_ctx"] for chat in server.chats] == [num_ctx, num_ctx]


async def test_a_prompt_beyond_the_context_is_an_error_and_reaches_no_model_cut() -> None:
    long = ChatRequest((ChatMessage("system", "Rule."), ChatMessage("user", "word " * 300)))
    async with connected(num_ctx=256) as (engine, server):
        error = await error_of(engine, long)
        assert (type(error), error.code) == (EngineRefused, "context_length_exceeded")
        assert "request (301 tokens)" in error.message
        assert "num_ctx" in error.remedy
        assert server.prompts == []
        # The server of this test would cut the prompt if it was not told otherwise.
        server.requests.clear()
    async with connected(num_ctx=256, extra_body={"truncate": True}) as (engine, server):
        await replied(engine, long)
        assert [message["role"] for message in server.prompts[0]] == ["user"]


async def test_a_context_larger_than_the_models_is_refused_at_start_up() -> None:
    error = await refused_at_start(OllamaServer([say_hello], pulled={"m": Pulled(context_length=8192)}), num_ctx=9000)
    assert error.code == "invalid_engine_option"
    assert "8192" in error.remedy


@pytest.mark.parametrize(("version", "cuts"), [("0.11.2", True), ("0.33.3", False), ("0.0.0", False)])
async def test_an_ollama_that_cuts_silently_is_announced(version: str, cuts: bool) -> None:
    async with connected(version=version) as (engine, _):
        assert (version in engine.notice and "update" in engine.notice) is cuts


async def test_a_reply_that_fills_the_context_ends_for_its_length() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await piece(answer, "And so on")
        await finish(answer, "length")

    async with connected(script) as (engine, _):
        assert (await replied(engine))[-1] == ChatEnd("length", TokenUsage(12, 3))


# --- start-up ---


async def test_the_model_is_loaded_at_start_up_and_kept() -> None:
    async with connected(keep_alive=-1) as (_, server):
        assert server.chats == [
            {"model": "m", "messages": [], "options": {"num_ctx": 16_384}, "keep_alive": -1.0, "stream": False}
        ]
    async with connected(warm_up=False) as (_, server):
        assert server.chats == []


async def test_without_a_model_the_first_that_chats_is_taken() -> None:
    server = OllamaServer([say_hello], pulled={"nomic-embed-text": Pulled(), "qwen3:4b": Pulled()})
    async with server.running():
        engine = create("", {"base_url": f"{server.url}/v1"})
        await engine.open()
        assert engine.model == "qwen3:4b"
        await engine.close()
    assert "ollama pull" in (await refused_at_start(OllamaServer([say_hello], pulled={}), "")).remedy


async def test_a_model_that_was_not_pulled_names_the_command_that_pulls_it() -> None:
    error = await refused_at_start(OllamaServer([say_hello], pulled={"qwen3:4b": Pulled()}), "qwen3:8b")
    assert error.code == "model_not_found"
    assert "`ollama pull qwen3:8b`" in error.remedy
    assert "qwen3:4b" in error.remedy


async def test_an_ollama_that_does_not_run_says_so() -> None:
    server = OllamaServer([say_hello])
    async with server.running():
        pass
    with pytest.raises(EngineUnavailable) as caught:
        await create("m", {"base_url": server.url}).open()
    assert caught.value.code == "connection_failed"
    assert "ollama serve" in caught.value.remedy


async def test_another_server_at_the_address_is_no_ollama() -> None:
    class Other(OllamaServer):
        async def _answer(self, request: Request, answer: Answer) -> None:
            await answer.json(404, b"<title>Nothing here</title>")

    error = await refused_at_start(Other([say_hello]))
    assert error.code == "invalid_base_url"
    assert "no Ollama" in error.message


async def test_a_model_without_room_in_memory_is_found_out_at_start_up_and_in_a_reply() -> None:
    error = await refused_at_start(OllamaServer([say_hello], memory_gib=2))
    assert (type(error), error.code) == (EngineUnavailable, "out_of_memory")
    assert "lower num_ctx (now 16384)" in error.remedy
    assert "4.0 GiB" in error.message
    async with connected(memory_gib=2, warm_up=False) as (engine, _):
        assert (await error_of(engine)).code == "out_of_memory"


async def test_a_key_and_headers_reach_a_proxy_before_ollama_and_never_a_message() -> None:
    async def refuse(request: Request, answer: Answer) -> None:
        await answer.json(500, {"error": f"bad {request.headers['authorization']}"})

    key = "secret-of-the-proxy"
    async with connected(refuse, api_key=key, headers={"x-team": "a"}) as (engine, server):
        error = await error_of(engine)
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {key}"}
        assert {request.headers["x-team"] for request in server.requests} == {"a"}
    assert key not in str(error)
    assert key not in repr(engine.info)


# --- faults of a reply ---


async def status_503(request: Request, answer: Answer) -> None:
    await answer.json(503, {"error": "server busy, please try again.  maximum pending requests exceeded"})


async def error_line(request: Request, answer: Answer) -> None:
    await piece(answer, "One ")
    await line(answer, error="cudaMalloc failed: out of memory")
    await answer.end()


async def broken_line(request: Request, answer: Answer) -> None:
    await answer.raw(b'{"message":{"content":"On\n', content_type="application/x-ndjson")
    await answer.end()


async def no_object(request: Request, answer: Answer) -> None:
    await answer.raw(b"[1]\n", content_type="application/x-ndjson")
    await answer.end()


async def no_reply(request: Request, answer: Answer) -> None:
    await answer.raw(b'{"status":"pulling manifest"}\n', content_type="application/x-ndjson")
    await answer.end()


async def no_done(request: Request, answer: Answer) -> None:
    await piece(answer, "One ")
    await answer.end()


async def runner_died(request: Request, answer: Answer) -> None:
    await answer.json(500, {"error": "llama runner process has terminated: exit status 2"})


async def unloaded(request: Request, answer: Answer) -> None:
    await finish(answer, "unload")


async def endless_line(request: Request, answer: Answer) -> None:
    await answer.raw(b'{"message":{"content":"' + b"a" * 300_000, content_type="application/x-ndjson")
    await answer.until_client_leaves()


FAULTS: dict[str, tuple[Callable[[Request, Answer], Awaitable[None]], str, str]] = {
    "busy": (status_503, "server_overloaded", "busy"),
    "an error in a line": (error_line, "out_of_memory", "out of memory"),
    "a broken line": (broken_line, "server_error", '{"message":{"content":"On'),
    "no object": (no_object, "server_error", "[1]"),
    "no line of a reply": (no_reply, "server_error", "pulling manifest"),
    "no done": (no_done, "server_error", "in the middle"),
    "the runner died": (runner_died, "server_error", "exit status 2"),
    "another reason": (unloaded, "server_error", "'unload'"),
    "a line without an end": (endless_line, "server_error", "256 KiB"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_of_a_reply_is_named(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.engines.openai_api.retries.FIRST_PAUSE_S", 0.001)
    script, code, words = FAULTS[fault]
    async with connected(script) as (engine, _):
        error = await error_of(engine)
    assert error.code == code
    assert words in error.message


def test_wrong_options_are_named() -> None:
    for options, words in (
        ({"num_ctx": 1}, "256"),
        ({"keep_alive": "long"}, "30m"),
        ({"think": "hard"}, "low, medium or high"),
        ({"ctx": 1}, "'ctx'"),
    ):
        with pytest.raises(ValueError, match=words):
            create("m", options)
