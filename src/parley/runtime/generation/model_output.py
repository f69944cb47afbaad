"""What a language model gives, in pieces that a session can take one at a time.

Laws: text and arguments come in whole characters, in the order they were written; no piece is longer than `SLICE_CHARS`, and the event loop
runs after every `SLICE_CHARS` at the latest, however much a model gives at once and whether it ever waits itself: a slice is this
reply's turn among all long work (`loop_slices`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from parley.engines.ports import ChatEvent, TextDelta, ToolCallDelta
from parley.runtime.loop_slices import slice_turn
from parley.text.whole_characters import WholeCharacters, writable

SLICE_CHARS = 500
"""Characters between two turns of the event loop: cutting and booking them takes 1 to 7 ms."""

EVENT_CHARS = 20
"""What an event costs beside its characters, in characters: a stream of empty ones must not hold the loop either."""


async def in_slices(events: AsyncIterator[ChatEvent]) -> AsyncGenerator[ChatEvent, None]:
    """The same reply in pieces of at most `SLICE_CHARS`; raises what the model raises."""
    words = WholeCharacters()
    calls: dict[int, WholeCharacters] = {}
    since = 0
    async for event in events:
        match event:
            case TextDelta(text):
                pieces: list[ChatEvent] = [TextDelta(piece) for piece in _slices(words.push(text))]
            case ToolCallDelta(index, call_id, name, arguments):
                written = _slices(calls.setdefault(index, WholeCharacters()).push(arguments)) or [""]
                first = replace(event, call_id=writable(call_id), name=writable(name), arguments=written[0])
                pieces = [first, *(ToolCallDelta(index, arguments=piece) for piece in written[1:])]
            case _:
                pieces = [event]
        since += EVENT_CHARS
        for piece in pieces:
            yield piece
            since += _length(piece)
            if since >= SLICE_CHARS:
                since = 0
                await slice_turn()
        if since >= SLICE_CHARS:
            since = 0
            await slice_turn()


def _slices(text: str) -> list[str]:
    return [text[at : at + SLICE_CHARS] for at in range(0, len(text), SLICE_CHARS)]


def _length(event: ChatEvent) -> int:
    match event:
        case TextDelta(text):
            return len(text)
        case ToolCallDelta(arguments=arguments):
            return len(arguments)
        case _:
            return 0
