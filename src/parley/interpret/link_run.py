"""The life of one link: opened, fed, listened to, and replaced before its session expires.

    LinkRun: opening -> open -> retiring (finish() was called) -> over

Laws: a run reports every update in order. While its predecessor still speaks, its updates are held back, bounded, so that nothing is heard
out of order when one session hands over to the next.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from parley.audio.types import Int16
from parley.client.connection import ServerUnavailable
from parley.client.input_clock import InputClock
from parley.interpret.ports import WIRE_RATE, RouteLink, RouteWishes, TranslationRoute
from parley.interpret.updates import RouteLinkEnded, RouteUpdate

HELD: Final = 3000
"""Updates that wait for the predecessor: half a minute of audio in pieces of 20 ms, and its text."""

ROLL_EARLY_S: Final = 60.0
"""So long before a session expires the next pause of the speaker is waited for; a shorter session gives a fifth of its time."""

ROLL_LATE_S: Final = 10.0
"""So long before it expires the next session takes over, pause or not."""


class LinkRun:
    """One link of a direction. `start()`, then `send()` once `opened`; `retire()` when another takes over; `over` at the end.

    `take(run, update)` is called for each update, on the event loop.
    """

    def __init__(
        self,
        route: TranslationRoute,
        wishes: RouteWishes,
        take: Callable[[LinkRun, RouteUpdate], None],
        predecessor: LinkRun | None = None,
    ) -> None:
        self._route = route
        self._wishes = wishes
        self._take = take
        self._predecessor = predecessor
        self._held: deque[RouteUpdate] = deque()
        self._clock = InputClock()
        self._opened_at_s = 0.0
        self.opened = asyncio.Event()
        self.link: RouteLink | None = None
        self.ended: RouteLinkEnded | None = None
        self.failure: ServerUnavailable | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Open the link."""
        self.task = asyncio.create_task(self._live())

    @property
    def over(self) -> bool:
        return self.task is not None and self.task.done()

    async def _live(self) -> None:
        try:
            async with self._route.open(self._wishes) as link:
                self.link = link
                self._opened_at_s = time.monotonic()
                self.opened.set()
                async for update in link:
                    if isinstance(update, RouteLinkEnded):
                        self.ended = update
                    self._pass_on(update)
        except ServerUnavailable as error:
            self.failure = error
        finally:
            self.link = None
            self.release()

    # --- audio -------------------------------------------------------------------------------------------------------------

    def send(self, audio: Int16, at_s: float) -> None:
        """More of the speaker; its last sample was recorded at `at_s`."""
        if self.link is not None:
            self._clock.recorded(1000 * len(audio) / WIRE_RATE, at_s)
            self.link.send(audio)

    def recorded_at_s(self, until_ms: float | None) -> float | None:
        """When the sample at this position of the link's input was recorded; None where it is not known."""
        return None if until_ms is None or until_ms <= 0 else self._clock.time_of(until_ms)

    # --- handing over ------------------------------------------------------------------------------------------------------

    def wants_successor(self, now_s: float, *, speaking: bool) -> bool:
        """Whether another session should take over now: soon before this one expires, in a pause if there is one."""
        if self.link is None or not self.link.expires_in_s or self.link.expires_in_s < 0:
            # A session that was expired when it opened says that the two clocks disagree, not when it ends.
            return False
        whole_s = self.link.expires_in_s
        left_s = whole_s - (now_s - self._opened_at_s)
        early_s = min(ROLL_EARLY_S, whole_s / 5)
        return left_s <= (min(ROLL_LATE_S, early_s / 3) if speaking else early_s)

    def retire(self) -> None:
        """No more audio comes: what was sent is still translated."""
        if self.link is not None:
            self.link.finish()

    def end(self) -> None:
        """Close the link at once."""
        if self.task is not None:
            self.task.cancel()

    def _pass_on(self, update: RouteUpdate) -> None:
        if self._predecessor is not None and self._predecessor.over:
            self.release()
        if self._predecessor is None:
            self._take(self, update)
            return
        self._held.append(update)
        if len(self._held) > HELD:
            self.release()

    def release(self) -> None:
        """Report what was held back: the predecessor is over, or has taken too long."""
        self._predecessor = None
        while self._held:
            self._take(self, self._held.popleft())
