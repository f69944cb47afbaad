"""An answer that is sent while it is made.

Laws: what it holds (its place among the requests, the work, the uploaded file) is released when it has been sent, when its client goes
away, and when the server stops; a piece is made when the one before it has been sent. A server that stops tells the client so, where the
answer has a place for it; any other answer breaks off, and so does not look whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from parley.server.audio_upload import STOPPING
from parley.server.refusals import Refusal, Refused

EVENT_STREAM: Final = "text/event-stream"

COMMENT: Final = b": working\n\n"
"""What clients of server-sent events ignore."""


def event(value: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def failure(refusal: Refusal) -> bytes:
    """The event that ends a stream which cannot be finished."""
    return event({"type": "error", **msgspec.json.decode(refusal.body())})


async def kept_alive(events: AsyncGenerator[bytes, None], every_s: float) -> AsyncGenerator[bytes, None]:
    """The events, and a comment whenever there was none for `every_s`: proxies close a connection that says nothing."""
    coming = asyncio.ensure_future(anext(events, b""))
    try:
        while True:
            if not (await asyncio.wait((coming,), timeout=every_s))[0]:
                yield COMMENT
            elif piece := coming.result():
                yield piece
                coming = asyncio.ensure_future(anext(events, b""))
            else:
                return
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


class StreamedAnswer(StreamingResponse):
    """Sends `head` and then the pieces; `stack` holds what is released at the end. `stopped` is sent last where the server stops before
    the end; without it, the answer breaks off."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        stack: AsyncExitStack,
        *,
        head: bytes = b"",
        stopped: bytes = b"",
    ) -> None:
        super().__init__(_behind(head, pieces), media_type=media_type, headers={"cache-control": "no-store"})
        self._stack = stack
        self._stopped = stopped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with self._stack:
                await super().__call__(scope, receive, noted)
        except asyncio.CancelledError:
            # A request is cancelled by a server that stops, when its grace is over.
            if not begun:
                raise Refused(STOPPING) from None
            if self._stopped:
                await send({"type": "http.response.body", "body": self._stopped, "more_body": False})


async def _behind(head: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    if head:
        yield head
    async for piece in rest:
        yield piece
