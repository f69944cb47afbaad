"""A session outlives whatever an endpoint of its language model answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.server.harness import talking
from tests.server.test_language_models import TOOL, answer_to, served


def stream(*chunks: object) -> Script:
    """Answers with these chunks (bytes as they are) and the end of the stream."""

    async def script(request: Request, answer: Answer) -> None:
        for chunk in chunks:
            data = chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()
            await answer.raw(b"data: " + data + b"\n\n")
        await answer.raw(b"data: [DONE]\n\n")

    return script


def chunk(finish: str | None = None, usage: object = None, **delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage}


def call(arguments: str, call_id: str = "x", name: str = "look") -> dict[str, object]:
    return chunk(tool_calls=[{"index": 0, "id": call_id, "function": {"name": name, "arguments": arguments}}])


END = chunk("stop")
CALLED = chunk("tool_calls")
HUGE = b'{"prompt_tokens": ' + b"9" * 400 + b', "completion_tokens": 1}'

ANSWERS: dict[str, Script] = {
    "counts below zero": stream(chunk(content="Hi."), chunk("stop", {"prompt_tokens": -5, "completion_tokens": -1})),
    "counts without end": stream(
        chunk(content="Hi."),
        b'{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": ' + HUGE + b"}",
    ),
    "counts that are flags": stream(
        chunk(content="Hi."), chunk("stop", {"prompt_tokens": True, "completion_tokens": True})
    ),
    "half a character in a call": stream(call('{"a": "\ud83d"}', "\udfff", "lo\ud800ok"), CALLED),
    "half a character in a text": stream(chunk(content="Hi \ud83d"), chunk(content="you."), END),
    "arguments that are no JSON": stream(call("{not json"), CALLED),
    "a thousand pieces of a call": stream(call("["), *(call("1,") for _ in range(1_000)), CALLED),
    "a name of a hundred thousand letters": stream(call("{}", name="n" * 100_000), CALLED),
    "an id of a hundred thousand letters": stream(call("{}", call_id="n" * 100_000), CALLED),
    "control characters": stream(chunk(content="a\0b\x1b[31m\r\n"), END),
    "nothing": stream(),
    "a hundred calls": stream(*(call("{}", f"call_{n}") for n in range(100)), CALLED),
}


@pytest.mark.parametrize("answers", ANSWERS)
async def test_a_session_goes_on_after(answers: str) -> None:
    warm = stream(chunk(content="Warm."), END)
    model = ChatServer([warm, ANSWERS[answers], stream(chunk(content="I am here."), END)])
    async with model.running():
        flags = {"llm": "openai:m", "llm_base_url": model.url}
        async with served(flags) as server, talking(server) as talk:
            await talk.send(type="session.update", session={"type": "realtime", "tools": [TOOL]})
            first: Any = await answer_to(talk, "How is the weather?")
            assert first.status in ("completed", "failed", "incomplete")
            usage = first.usage
            counts = () if usage is None else (usage.input_tokens, usage.output_tokens, usage.total_tokens)
            assert all(0 <= count < 1e9 for count in counts)
            for item in first.output:
                if item.type == "function_call":
                    output = {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
                    await talk.send(type="conversation.item.create", item=output)
            second = await answer_to(talk, "Are you there?")
            assert second.status == "completed"
            assert second.output[0].content[0].transcript == "I am here."
