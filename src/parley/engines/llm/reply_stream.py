"""Reads the stream of one reply within its time limits, whatever protocol it speaks.

Laws:
- Time limits run on what the model makes, not on bytes: signs of life and empty pieces renew none.
- A listener who takes time over an event costs the server none of its own.
- A connection whose reply has ended is left clean for the next request, where that takes no more than `DRAIN_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from parley.engines.openai_api.answer import DRAIN_S
from parley.engines.openai_api.errors import NothingMoreCame
from parley.engines.ports import ChatEvent

USAGE_WAIT_S: Final = 1.0
"""How long the usage may lag behind the end of the text."""

Piece = TypeVar("Piece")
Contra = TypeVar("Contra", contravariant=True)


class ReplyReader(Protocol[Contra]):
    """Turns the pieces of one reply into chat events. Pure; one object for one reply."""

    @property
    def progress(self) -> int:
        """Grows with each piece of the reply."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the server has said why it stopped (its usage may still come)."""
        ...

    @property
    def done(self) -> bool:
        """Whether the server has closed the stream by its word."""
        ...

    def read(self, piece: Contra, /) -> list[ChatEvent]:
        """The chat events of one piece."""
        ...

    def end(self) -> list[ChatEvent]:
        """What the end of the stream completes, the `ChatEnd` last. Raises `EngineError` where it broke off."""
        ...


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds to the first token, and between tokens."""

    first_s: float
    idle_s: float


async def read_reply(
    begin: Callable[[AsyncExitStack], Awaitable[AsyncGenerator[Piece, None]]],
    reader: ReplyReader[Piece],
    limits: TimeLimits,
) -> AsyncGenerator[ChatEvent, None]:
    """The events of one reply. `begin` sends the request and gives its pieces; the stack closes it.

    Raises whatever `begin` and `reader` raise, `TimeoutError` where no token comes, `NothingMoreCame` where no further one does.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.first_s
    async with AsyncExitStack() as stack:
        async with asyncio.timeout_at(deadline):
            pieces = await begin(stack)
        while not reader.done:
            made, was_finished = reader.progress, reader.finished
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await anext(pieces, None)
            except TimeoutError:
                if reader.finished:  # only the usage is missing
                    break
                raise (NothingMoreCame(limits.idle_s) if made else TimeoutError()) from None
            if piece is None:
                break
            for event in reader.read(piece):
                yield event
            # Reckoned after the yield: a listener who takes his time is not the server's fault.
            if reader.finished and not was_finished:
                deadline = loop.time() + USAGE_WAIT_S
            elif reader.progress > made and not reader.finished:
                deadline = loop.time() + limits.idle_s
        try:
            for event in reader.end():
                yield event
        finally:
            if reader.done:
                await _drain(pieces)


async def _drain(pieces: AsyncGenerator[object, None]) -> None:
    """Read what follows the last piece, so that the connection can serve the next request."""
    with contextlib.suppress(Exception):  # the reply is whole: what goes wrong now concerns the connection only
        async with asyncio.timeout(DRAIN_S):
            await anext(pieces, None)
