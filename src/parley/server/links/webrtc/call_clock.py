"""The clock of all calls of an event loop: one timer serves many calls, instead of a timer and a task for each.

Laws:
- A member is called every 20 ms, on the grid of its slot; late ticks are not made up for here (`outgoing.Pace` does that).
- The calls are spread over `SLOTS` timers, so that a tick does not hold the loop for all of them at once.
- No timer runs for a slot without calls.
- A member that raises is its own affair: it catches what belongs to its call.

Does not know: calls, audio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from parley.server.links.pacing import PacingClock

SLOTS: Final = 4
"""With a hundred calls, 25 in each: some milliseconds of work."""


class _Slot:
    """The calls of one timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._members: dict[object, Callable[[], None]] = {}
        self._clock = PacingClock(loop, self._ring)

    def __len__(self) -> int:
        return len(self._members)

    def join(self, member: Callable[[], None]) -> Callable[[], None]:
        place = object()
        self._members[place] = member
        if not self._clock.running:
            self._clock.start()

        def leave() -> None:
            self._members.pop(place, None)
            if not self._members:
                self._clock.stop()

        return leave

    def _ring(self) -> None:
        for place, member in list(self._members.items()):
            if place in self._members:  # an earlier member may have ended this call
                member()


class CallClock:
    """The clock of one event loop. Get it with `clock_of_running_loop()`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._slots = [_Slot(loop) for _ in range(SLOTS)]

    def join(self, member: Callable[[], None]) -> Callable[[], None]:
        """Call `member` every 20 ms until the function that is returned is called; a second call of that does nothing."""
        return min(self._slots, key=len).join(member)


_OF_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, CallClock] = WeakKeyDictionary()


def clock_of_running_loop() -> CallClock:
    """The clock that all calls on the running event loop share."""
    loop = asyncio.get_running_loop()
    clock = _OF_LOOPS.get(loop)
    if clock is None:
        clock = _OF_LOOPS[loop] = CallClock(loop)
    return clock
