"""Long work in slices: one slice of one session in each turn of the event loop, so that sockets and timers never wait for more than one.

Laws:
- `slice_turn(due_s)` returns in the order of `due_s`, equal ones in the order of the calls, and at most once in each turn of the loop.
  What the caller does until it next awaits is one slice: a few milliseconds at the most.
- `due_s` is an absolute time, so work that waits becomes the most urgent in the end: no session starves another.
- A caller that is cancelled while it waits is passed over.

Does not know: what the work is. Synthesis passes the time at which its listener runs out of audio; work that somebody waits for passes now.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from weakref import WeakKeyDictionary


class LoopSlices:
    """The turns of one event loop. Get it with `of_running_loop()`."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()
        self._scheduled = False

    async def turn(self, due_s: float) -> None:
        """Wait for the next slice that is this caller's."""
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (due_s, next(self._order), place))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._grant, loop)
        await place

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            _, _, place = heapq.heappop(self._waiting)
            if not place.done():
                place.set_result(None)
                break
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            loop.call_soon(self._grant, loop)


_OF_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopSlices] = WeakKeyDictionary()


def of_running_loop() -> LoopSlices:
    """The slices of the running event loop, shared by everything that runs on it: they divide the loop, not a session."""
    loop = asyncio.get_running_loop()
    slices = _OF_LOOPS.get(loop)
    if slices is None:
        slices = _OF_LOOPS[loop] = LoopSlices()
    return slices


async def slice_turn(due_s: float | None = None) -> None:
    """Wait for this caller's next slice on the running loop. `due_s`: monotonic seconds; None: the work is due now."""
    await of_running_loop().turn(time.monotonic() if due_s is None else due_s)
