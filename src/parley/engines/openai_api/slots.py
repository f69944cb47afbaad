"""How many requests of one engine are on their way at once, and whose is next.

Laws: live requests come before others, and owners take turns (see `fair_queue`); a request that is cancelled, waiting or not, leaves its
place at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from parley.engines.fair_queue import FairQueue


class RequestSlots:
    """`count` places. Send a request inside of `slot()`."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()

    @asynccontextmanager
    async def slot(self, share: object = None, *, live: bool = True) -> AsyncGenerator[None, None]:
        """Wait for a place of `share`'s, and hold it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put(turn, share, live=live)
        self._grant()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += 1
            else:
                self._waiting.discard(turn, share)
            self._grant()

    def _grant(self) -> None:
        while self._free and (turn := self._waiting.take()) is not None:
            if not turn.done():  # else its request was cancelled
                self._free -= 1
                turn.set_result(None)
