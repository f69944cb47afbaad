"""Whatever a chat endpoint streams is read as it was meant, or named: nothing of a reply is dropped in silence."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from parley.engines.llm.openai_stream import MAX_COMPARED_CHARS, MAX_PARTS, StreamReader
from parley.engines.llm.reasoning import ReasoningFilter
from parley.engines.openai_api.server_events import MAX_EVENT_BYTES, EventReader, EventTooLarge, ServerEvent
from parley.engines.ports import ChatEnd, ChatEvent, ChatMessage, ChatRequest, EngineError, TextDelta, Tool
from tests.engines.chat_server import Answer, Request, Script
from tests.engines.llm_replies import HELLO, calls_of, error_of, replied, text_of
from tests.engines.test_llm_openai import connected

TOOLS = ChatRequest(HELLO.messages, (Tool("one", ""), Tool("two", "")))


def chunk(finish: object = None, **delta: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def sending(*chunks: object, done: bool = True) -> Script:
    """A reply of these chunks (text is sent as it is), closed by `[DONE]`."""

    async def script(request: Request, answer: Answer) -> None:
        for one in chunks:
            await answer.event(one)
        if done:
            await answer.done()
        else:
            await answer.end()

    return script


async def reply_of(*chunks: object, done: bool = True) -> list[ChatEvent]:
    async with connected(sending(*chunks, done=done)) as (engine, _):
        return await replied(engine, TOOLS)


# --- text ---

STOP = chunk("stop")

TEXTS: dict[str, list[object]] = {
    "as a list of parts": [
        chunk(content=[{"type": "text", "text": "Hel"}, {"type": "thinking", "thinking": [{"text": "hm"}]}]),
        chunk(content=[{"type": "text", "text": "lo!"}]),
        STOP,
    ],
    "as one part": [chunk(content={"type": "text", "text": "Hello!"}), STOP],
    "as pieces of messages": [
        {"choices": [{"message": {"content": "Hel"}}]},
        {"choices": [{"message": {"content": "lo!"}, "finish_reason": "stop"}]},
    ],
    "as a message that is sent once more at the end": [
        chunk(content="Hel"),
        chunk(content="lo!"),
        {"choices": [{"delta": {}, "message": {"content": "Hello!"}, "finish_reason": "stop"}]},
    ],
    "as a message that is longer than its pieces": [
        chunk(content="Hel"),
        {"choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}]},
    ],
    "as a whole message in the one chunk": [
        {"choices": [{"delta": {}, "message": {"content": "Hello!"}, "finish_reason": "stop"}]}
    ],
    "as completions": [{"choices": [{"text": "Hel"}]}, {"choices": [{"text": "lo!", "finish_reason": "stop"}]}],
    "as a string for a delta": [{"choices": [{"delta": "Hello!", "finish_reason": "stop"}]}],
    "after chunks that say nothing": [
        chunk(role="assistant"),
        chunk(content=None),
        {"choices": []},
        {"choices": None, "usage": None},
        "",
        '{"type":"ping"}',
        chunk(content="Hello!", tool_calls=[], function_call=None),
        STOP,
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    ],
    "with an empty finish_reason all along": [chunk("", content="Hel"), chunk("null", content="lo!"), STOP],
    "without any finish_reason": [chunk(content="Hello!")],
    "as the only choice, numbered 1": [
        {"choices": [{"index": 1, "delta": {"content": "Hello!"}, "finish_reason": "stop"}]}
    ],
}


@pytest.mark.parametrize("habit", TEXTS)
async def test_a_text_comes_out_whole_whatever_the_server_s_habit(habit: str) -> None:
    events = await reply_of(*TEXTS[habit])
    assert text_of(events) == "Hello!"
    assert isinstance(events[-1], ChatEnd)
    assert events[-1].reason == "stop"


FRAMES: dict[str, list[bytes]] = {
    "CRLF, comments, ids and a byte order mark": [
        b"\xef\xbb\xbf: hello\r\n\r\nid: 7\r\nretry: 3\r\ndata: {A}\r\n\r\n: PROCESSING\r\n\r\ndata:{B}\r\n\r\ndata: [DONE]\r\n\r\n"
    ],
    "lone CR": [b"data: {A}\r\rdata: {B}\r\rdata: [DONE]\r\r"],
    "data in several lines": [
        b'data: {"choices":\ndata: [{"delta":{"content":"Gr\xc3\xbc\xc3\x9f"}}]}\n\ndata: {B}\n\n'
    ],
    "characters and line ends torn": [bytes([byte]) for byte in b"data: {A}\r\n\r\nevent: x\r\ndata: {B}\r\n\r\n"],
    "an end without an empty line": [b"data: {A}\n\n", b"data: {B}"],
}


@pytest.mark.parametrize("frame", FRAMES)
async def test_events_are_read_however_their_bytes_come(frame: str) -> None:
    a = json.dumps(chunk(content="Grüß"), ensure_ascii=False).encode()
    b = json.dumps(chunk("stop", content=" Gott"), ensure_ascii=False).encode()
    whole = b"".join(FRAMES[frame]).replace(b"{A}", a).replace(b"{B}", b)
    pieces = [whole[i : i + 1] for i in range(len(whole))] if len(FRAMES[frame]) > 2 else [whole]

    async def script(request: Request, answer: Answer) -> None:
        for piece in pieces:
            await answer.raw(piece)
        await answer.end()

    async with connected(script) as (engine, _):
        events = await replied(engine)
        assert text_of(events) == "Grüß Gott"
        assert events[-1] == ChatEnd("stop")


async def test_only_the_first_of_several_choices_is_spoken_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    both = {"choices": [{"index": i, "delta": {"content": text}} for i, text in enumerate(["Hello!", "Bye!"])]}
    with caplog.at_level(logging.WARNING):
        assert text_of(await reply_of(both, STOP)) == "Hello!"
    assert "choice '1'" in caplog.text


# --- calls ---


def call(arguments: object, name: str | None = None, **piece: object) -> dict[str, Any]:
    return {**piece, "function": {"arguments": arguments} | ({"name": name} if name else {})}


CALLS: dict[str, list[object]] = {
    "without ids, both at index 0": [
        chunk(tool_calls=[call('{"x":1}', "one", index=0)]),
        chunk(tool_calls=[call('{"x":2}', "one", index=0)]),
    ],
    "without ids, both at index 0, in one chunk": [
        chunk(tool_calls=[call('{"x":1}', "one", index=0), call('{"x":2}', "one", index=0)])
    ],
    "without ids, in pieces that repeat the name": [
        chunk(tool_calls=[call('{"x"', "one", index=0)]),
        chunk(tool_calls=[call(":1}", "one", index=0)]),
        chunk(tool_calls=[call('{"x":2', "one", index=0)]),
        chunk(tool_calls=[call("}", index=0)]),
    ],
    "without ids, each with its name before its arguments": [
        chunk(tool_calls=[call("", "one", index=0)]),
        chunk(tool_calls=[call('{"x":1}', index=0)]),
        chunk(tool_calls=[call("", "one", index=0)]),
        chunk(tool_calls=[call('{"x":2}', index=0)]),
    ],
    "with the name in every piece, the empty last one too": [
        chunk(tool_calls=[call('{"x":1', "one", index=0)]),
        chunk(tool_calls=[call("}", "one", index=0)]),
        chunk(tool_calls=[call("", "one", index=0)]),
        chunk(tool_calls=[call('{"x":2}', "one", index=1)]),
        chunk(tool_calls=[call("", "one", index=1)]),
    ],
    "with nothing but names": [
        chunk(tool_calls=[call({"x": 1}, "one")]),
        chunk(tool_calls=[call({"x": 2}, "one")]),
    ],
    "complete in the last chunk": [
        chunk(content=""),
        chunk("tool_calls", tool_calls=[call('{"x":1}', "one", id="a"), call('{"x":2}', "one", id="b")]),
    ],
    "in the message at the end": [
        chunk(role="assistant"),
        {
            "choices": [
                {
                    "delta": {},
                    "message": {"tool_calls": [call('{"x":1}', "one", id="a"), call('{"x":2}', "one", id="b")]},
                    "finish_reason": "tool_calls",
                }
            ]
        },
    ],
    "flat, beside the id, with the index as text": [
        chunk(tool_calls=[{"index": "0", "id": "a", "name": "one", "arguments": '{"x":1}'}]),
        chunk(tool_calls=[{"index": "1", "id": "b", "name": "one", "arguments": '{"x":2}'}]),
    ],
    "with quotes and brackets inside": [
        chunk(tool_calls=[call('{"x":', "one", index=0)]),
        chunk(tool_calls=[call('1,"y":"\\"}{', "one", index=0)]),
        chunk(tool_calls=[call('\\\\"}', "one", index=0)]),
        chunk(tool_calls=[call('{"x":2}', "one", index=0)]),
    ],
}


@pytest.mark.parametrize("habit", CALLS)
async def test_two_calls_stay_two_whatever_the_server_s_habit(habit: str) -> None:
    events = await reply_of(*CALLS[habit])
    assert [(name, json.loads(arguments)["x"]) for _, name, arguments in calls_of(events)] == [("one", 1), ("one", 2)]
    assert events[-1] == ChatEnd("tool_calls")


async def test_a_legacy_function_call_is_a_call() -> None:
    events = await reply_of(
        chunk(function_call={"name": "one", "arguments": '{"x"'}),
        chunk(function_call={"arguments": ":1}"}),
        chunk("function_call"),
    )
    assert [(name, arguments) for _, name, arguments in calls_of(events)] == [("one", '{"x":1}')]
    assert events[-1] == ChatEnd("tool_calls")


async def test_calls_of_different_names_without_arguments_are_different_calls() -> None:
    events = await reply_of(
        chunk(tool_calls=[call("", "one", index=0)]), chunk(tool_calls=[call("", "two", index=0)]), STOP
    )
    assert [name for _, name, _ in calls_of(events)] == ["one", "two"]


# --- ends and failures ---


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("max_tokens", "length"), ("model_length", "length"), ("SAFETY", "content_filter"), ("stop_sequence", "stop")],
)
async def test_the_end_is_understood_in_the_words_of_other_servers(finish: str, reason: str) -> None:
    assert (await reply_of(chunk(content="x"), chunk(finish)))[-1] == ChatEnd(reason)  # type: ignore[arg-type]


FAILURES: dict[str, tuple[list[object], str]] = {
    "a finish_reason that is a failure": ([chunk(content="x"), chunk("error")], "finish_reason 'error'"),
    "a finish_reason that no one knows": ([chunk(content="x"), chunk("unknown")], "finish_reason 'unknown'"),
    "a picture": (
        [chunk(content=[{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]), STOP],
        "content part 'image_url'",
    ),
    "content that is a number": ([chunk(content=7), STOP], "'7'"),
    "a tool that is no function": (
        [chunk(content="x", tool_calls=[{"id": "a", "type": "custom", "custom": {"name": "one"}}]), STOP],
        "tool call 'custom'",
    ),
    "another API's events": ([{"type": "content_block_delta", "delta": {"text": "x"}}], "'content_block_delta'"),
    "nothing but a field of its own": ([chunk(images=["x"]), STOP], "field 'images'"),
    "nothing at all": ([], "before anything was written"),
    "an error with its words at the top": (
        [chunk(content="x"), {"message": "CUDA out of memory", "code": 500}],
        "CUDA out of memory",
    ),
    "an error of one choice": (
        [{"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": "upstream died"}}]}],
        "upstream died",
    ),
    "an object that is an error": ([{"object": "error", "message": "no memory"}], "no memory"),
    "text that is no JSON": ([chunk(content="x"), "Internal Server Error"], "'Internal Server Error'"),
    "more parts than a chunk can have": ([chunk(content=["x"] * (MAX_PARTS + 1)), STOP], "parts in one chunk"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_is_not_understood_fails_the_reply_and_is_named(failure: str) -> None:
    chunks, words = FAILURES[failure]
    async with connected(sending(*chunks)) as (engine, _):
        error = await error_of(engine, TOOLS)
        assert error.code == "server_error"
        assert words in str(error)


@pytest.mark.parametrize(
    "data", ['{"message":"no memory"}', '{"error":{"message":"no memory"}}', '"no memory"', "no memory"]
)
async def test_an_error_event_keeps_its_words_in_every_form(data: str) -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.delta(content="x")
        await answer.event(data, name="error")
        await answer.done()

    async def line(request: Request, answer: Answer) -> None:
        await answer.delta(content="x")
        await answer.raw(f"error: {data}\n\n".encode())
        await answer.done()

    for kind in (script, line):
        async with connected(kind) as (engine, _):
            error = await error_of(engine)
            assert "broke the reply off: no memory." in str(error)


async def test_a_line_outside_the_grammar_is_named_and_fails_a_reply_without_anything_else() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.raw(b"Internal Server Error\n\n")
        await answer.done()

    async def beside(request: Request, answer: Answer) -> None:
        await answer.raw(b"x-trace: 7\n\n")
        await answer.text("Hello!")

    async with connected(script) as (engine, _):
        assert "the line 'Internal Server Error'" in str(await error_of(engine))
    async with connected(beside) as (engine, _):
        assert text_of(await replied(engine)) == "Hello!"


async def test_fields_that_are_not_read_are_named_in_the_log_once_and_harm_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = sending(chunk(content="Hello!", annotations=[{"url": "x"}]), STOP)
    with caplog.at_level(logging.WARNING):
        async with connected(script) as (engine, _):
            for _ in range(2):
                assert text_of(await replied(engine)) == "Hello!"
    assert [record.getMessage().partition("read: ")[2] for record in caplog.records] == ["the field 'annotations'"]


# --- bounds ---


def test_a_line_or_an_event_without_an_end_is_refused_before_it_is_held() -> None:
    for piece in (b"x" * 1_000, b"data: " + b"x" * 1_000 + b"\n"):
        reader = EventReader()
        for _ in range(MAX_EVENT_BYTES // len(piece)):
            assert reader.feed(piece) == []
        with pytest.raises(EventTooLarge):
            reader.feed(piece)
    whole = EventReader()
    for _ in range(10):
        assert len(whole.feed(b"data: " + b"x" * (MAX_EVENT_BYTES - 100) + b"\n\n")) == 1


def test_what_is_compared_with_a_last_message_is_bounded() -> None:
    reader = StreamReader(HELLO)
    for _ in range(MAX_COMPARED_CHARS // 10_000 + 10):
        reader.read(ServerEvent("", json.dumps(chunk(content="x" * 10_000))))
    assert sum(map(len, reader._said)) <= MAX_COMPARED_CHARS


def test_only_what_the_model_makes_is_progress() -> None:
    reader = StreamReader(HELLO)
    nothing: list[object] = [
        chunk(role="assistant", content=""),
        chunk(content=None),
        {"choices": []},
        {"type": "ping"},
    ]
    for empty in nothing:
        reader.read(ServerEvent("", json.dumps(empty)))
    assert reader.progress == 0
    for made in (chunk(reasoning="hm"), chunk(content="x"), chunk(tool_calls=[call("", "one")]), chunk("stop")):
        before = reader.progress
        reader.read(ServerEvent("", json.dumps(made)))
        assert reader.progress > before


def test_many_tags_of_reasoning_in_one_piece_are_one_pass() -> None:
    """Counted in characters copied: each tag used to copy all that followed it."""

    class Counted(str):
        copied = 0

        def __getitem__(self, key: Any) -> str:
            piece = super().__getitem__(key)
            Counted.copied += len(piece)
            return piece

        def __radd__(self, other: str) -> Counted:
            return Counted(other + str(self))

    text = Counted("<think>a</think>b" * 5_000)
    taken = ReasoningFilter().push(text)
    assert taken == "b" * 5_000
    assert Counted.copied < 4 * len(text)


async def test_calls_of_a_thousand_pieces_are_refused_as_malformed() -> None:
    with pytest.raises(EngineError, match="parts in one chunk"):
        await reply_of(chunk(tool_calls=[{}] * (MAX_PARTS + 1)))


def test_text_deltas_are_what_was_said() -> None:
    reader = StreamReader(ChatRequest((ChatMessage("user", "x"),)))
    assert reader.read(ServerEvent("", json.dumps(chunk(content="a")))) == [TextDelta("a")]


async def test_arguments_that_come_without_a_name_are_held_only_so_far() -> None:
    async with connected(sending(*[chunk(tool_calls=[call("x" * 100_000, index=0)])] * 30, STOP)) as (engine, _):
        error = await error_of(engine, TOOLS)
    assert "256 Ki characters of arguments without naming a tool" in error.message
