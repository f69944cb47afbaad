"""The events of a call: a data channel, which the client makes, with one JSON event in each message.

Laws:
- What is sent before the channel is open waits for it, and goes first. A client that has no channel loses its events and goes on talking.
- The channel holds `CHANNEL_BYTES` at a time. What it does not take waits here, up to `OUTBOX_BYTES`, and the session is notified, so
  that it makes no more; a client that lets more pile up, or takes nothing for `STALL_S`, loses the call.
- An event that is longer than the client's limit for a message is not sent; the session's client is told so instead.

Does not know: what an event means.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from parley.server.time_limits import STALL_S

log = logging.getLogger("parley.server")

CHANNEL_BYTES: Final = 64 * 1024
"""Handed to SCTP at a time; it sends as fast as the network takes it."""

LOW_BYTES: Final = 16 * 1024

OUTBOX_BYTES: Final = 8 * 1024 * 1024
"""As on a WebSocket."""


class Channel(Protocol):
    """aiortc's `RTCDataChannel`, as far as it is used."""

    @property
    def readyState(self) -> str: ...  # noqa: N802  (aiortc's names)
    @property
    def bufferedAmount(self) -> int: ...  # noqa: N802
    def send(self, data: str) -> None: ...


class EventChannel:
    """`send` events from the first moment on; `opened` once the client's channel is there, `closed` when it is gone.

    `congested` and `give_up` are the link's; `too_long` is called with the bytes of an event that was not sent.
    """

    def __init__(
        self,
        *,
        expected: bool,
        congested: Callable[[bool], None],
        give_up: Callable[[str], None],
        too_long: Callable[[int], None],
    ) -> None:
        self._channel: Channel | None = None
        self._limit = 0
        self._over = not expected
        self._congested = congested
        self._give_up = give_up
        self._too_long = too_long
        self._outbox: deque[str] = deque()
        self._bytes = 0
        self._stall: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        return self._channel is not None and not self._over

    @property
    def idle(self) -> bool:
        """Whether nothing waits here."""
        return not self._outbox

    def send(self, text: str) -> None:
        if self._over:
            return
        self._outbox.append(text)
        self._bytes += len(text)
        if self._bytes > OUTBOX_BYTES:
            self._fail(f"{self._bytes >> 20} MiB of events wait to be read")
        elif self._channel is not None:
            self._pump()

    def opened(self, channel: Channel, limit: int) -> None:
        """The client's channel is open, and takes messages of `limit` bytes (0: any)."""
        self._channel, self._limit = channel, limit
        self._pump()

    def closed(self) -> None:
        """No more events go out."""
        self._over = True
        self._outbox.clear()
        self._bytes = 0
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
            self._congested(False)

    def pump(self) -> None:
        """The channel has taken some of what it had."""
        if self.open:
            self._pump()

    def _pump(self) -> None:
        channel = self._channel
        assert channel is not None
        before = len(self._outbox)
        while self._outbox and channel.readyState == "open" and channel.bufferedAmount < CHANNEL_BYTES:
            text = self._outbox.popleft()
            self._bytes -= len(text)
            size = len(text.encode())
            if self._limit and size > self._limit:
                self._too_long(size)
            else:
                channel.send(text)
        if len(self._outbox) < before and self._stall is not None:
            self._stall.cancel()
            self._stall = None
            if not self._outbox:
                self._congested(False)
        if self._outbox and self._stall is None:
            self._congested(True)
            self._stall = asyncio.get_running_loop().call_later(
                STALL_S, self._fail, f"no event was read for {STALL_S:.0f} s"
            )

    def _fail(self, why: str) -> None:
        self.closed()
        self._give_up(why)
