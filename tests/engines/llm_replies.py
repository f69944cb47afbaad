"""What the tests of language models ask, and how they read the replies."""

from __future__ import annotations

import pytest

from parley.engines.ports import (
    ChatEvent,
    ChatMessage,
    ChatRequest,
    EngineError,
    LanguageModel,
    TextDelta,
    ToolCallDelta,
)

HELLO = ChatRequest((ChatMessage("user", "Hello"),))
KEY = "sk-secret-1234567890abcdef"


async def replied(engine: LanguageModel, request: ChatRequest = HELLO) -> list[ChatEvent]:
    return [event async for event in engine.reply(request)]


async def error_of(engine: LanguageModel, request: ChatRequest = HELLO) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await replied(engine, request)
    return caught.value


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: list[ChatEvent]) -> list[tuple[str, str, str]]:
    """(id, name, arguments) of each call, put together from its pieces."""
    calls: dict[int, tuple[str, str, str]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            call_id, name, arguments = calls.get(event.index, ("", "", ""))
            calls[event.index] = (call_id or event.call_id, name or event.name, arguments + event.arguments)
    assert list(calls) == list(range(len(calls)))
    return list(calls.values())
