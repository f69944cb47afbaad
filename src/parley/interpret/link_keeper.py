"""The sessions of one direction, one after another: opened, handed over before they expire, replaced when they are lost.

Laws:
- What cannot be sent waits for at most `STALE_S`; what is older is dropped, and is never sent in a burst later. Speech in it is counted and
  said, silence is not.
- A session is replaced before it expires, in a pause where there is one; a lost one after growing delays. What no other attempt can mend
  (a refused key) ends the direction.
Does not know: devices, what the updates say.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from parley.audio.types import Int16
from parley.interpret.figures import DirectionAccount
from parley.interpret.link_run import LinkRun
from parley.interpret.ports import STALE_S, WIRE_RATE, RouteLink, RouteWishes, TranslationRoute
from parley.interpret.updates import NoteLevel, RouteUpdate

RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Between attempts to reach a lost server; the last one repeats."""

SETTLED_S: Final = 10.0
"""After a link that lasted so long, `RETRY_S` starts from the beginning."""

LAST_WORDS_S: Final = 5.0
"""How long the end of the call waits for the translation of what was just said."""

HANDOVER_S: Final = 20.0
"""How long a session that another one has replaced may take for its last translations."""

LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class LinkHooks:
    """What the keeper asks and tells. `flush` sends what was captured and not sent yet."""

    apply: Callable[[LinkRun, RouteUpdate], None]
    note: Callable[[NoteLevel, str], None]
    changed: Callable[[], None]
    speaking: Callable[[], bool]
    flush: Callable[[], None]


class LinkKeeper:
    """`run()` until `stop()`, or until `failed` says why there is no session any more. Meanwhile `send()` the speaker."""

    def __init__(
        self, route: TranslationRoute, wishes: RouteWishes, account: DirectionAccount, hooks: LinkHooks
    ) -> None:
        self._route = route
        self._wishes = wishes
        self._account = account
        self._hooks = hooks
        self._pending: deque[tuple[Int16, float, bool]] = deque()
        """What could not be sent yet, when its last sample was recorded, and whether somebody spoke."""
        self._run: LinkRun | None = None
        self._retiring: list[LinkRun] = []
        self._new_session = False
        """Whether the user has asked for something that needs another session."""
        self._ever_open = False
        self._failed = ""
        self._left_out_s = 0.0
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keep a session open until `stop()`; then let what was just said be translated, for `LAST_WORDS_S`."""
        try:
            await self._keep()
        finally:
            for run in (*self._retiring, *([] if self._run is None else [self._run])):
                run.end()

    def stop(self) -> None:
        """End the last session."""
        self._stopping.set()

    def renew(self) -> None:
        """Hand over to another session now: the wishes have changed."""
        self._new_session = True

    @property
    def link(self) -> RouteLink | None:
        """The open session."""
        return None if self._run is None else self._run.link

    @property
    def ever_open(self) -> bool:
        """Whether there was a session before."""
        return self._ever_open

    def send(self, audio: Int16, at_s: float) -> None:
        """More of the speaker, whose last sample was recorded at `at_s`. Without a session it waits."""
        run = self._run
        if run is None or run.link is None:
            self._pending.append((audio, at_s, self._hooks.speaking()))
            self._drop_stale(at_s)
            return
        run.send(audio, at_s)

    async def _keep(self) -> None:
        """One session after another."""
        attempt = 0
        while not self._stopping.is_set() and not self._failed:
            began_s = time.monotonic()
            self._run = self._started(None)
            await self._serve()
            if self._stopping.is_set() or self._failed:
                return
            attempt = 0 if time.monotonic() - began_s >= SETTLED_S else attempt
            await self._within(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    def _started(self, predecessor: LinkRun | None) -> LinkRun:
        run = LinkRun(self._route, self._wishes, self._hooks.apply, predecessor)
        run.start()
        return run

    async def _serve(self) -> None:
        """Until the session in use is over, through any number of handovers."""
        while True:
            run = self._run
            assert run is not None
            assert run.task is not None
            if not run.opened.is_set():
                opening = asyncio.create_task(run.opened.wait())
                stopping = asyncio.create_task(self._stopping.wait())
                await asyncio.wait((run.task, opening, stopping), return_when=asyncio.FIRST_COMPLETED)
                opening.cancel()
                stopping.cancel()
                if run.opened.is_set():
                    self._opened()
            await asyncio.wait((run.task,), timeout=LOOK_S)
            if run.over:
                self._ended(run)
                return
            if self._stopping.is_set():
                await self._finish(run)
                return
            if self._new_session or run.wants_successor(time.monotonic(), speaking=self._hooks.speaking()):
                await self._hand_over(run)
            self._look_after_retiring()

    def _opened(self) -> None:
        """The session is there: send what waited and is not too old."""
        if self._ever_open:
            self._account.reconnected()
            self._hooks.note("note", "The connection is back.")
        self._ever_open = True
        self._drop_stale(time.monotonic())
        while self._pending and self._run is not None:
            audio, at_s, _ = self._pending.popleft()
            self._run.send(audio, at_s)
        self._hooks.changed()

    def _ended(self, run: LinkRun) -> None:
        """Say why, and whether another attempt makes sense."""
        assert run.task is not None
        error = None if run.task.cancelled() else run.task.exception()
        if error is not None:
            self._fail(f"A fault ended the session: {type(error).__name__}: {error}.")
        elif run.failure is not None and not run.failure.again:
            self._fail(f"{run.failure.message} {run.failure.remedy}".strip())
        elif run.ended is not None and not run.ended.again:
            self._fail(f"The server ended the session for good: {run.ended.why}.")
        elif run.opened.is_set():
            why = run.ended.why if run.ended is not None else "the connection broke"
            self._hooks.note("warning", f"The session is lost ({why}); connecting again.")
        elif run.failure is not None:
            self._hooks.note("warning", f"{run.failure.message} Trying again.")
        self._hooks.changed()

    def _fail(self, message: str) -> None:
        self._failed = message
        self._hooks.note("error", message)

    @property
    def failed(self) -> str:
        """Why this direction has ended; "" while it has not."""
        return self._failed

    async def _finish(self, run: LinkRun) -> None:
        """The last words."""
        self._hooks.flush()
        run.retire()
        if run.task is not None and run.opened.is_set():
            await asyncio.wait((run.task,), timeout=LAST_WORDS_S)

    async def _hand_over(self, run: LinkRun) -> None:
        """Open the next session beside this one, then send everything to that."""
        asked, self._new_session = self._new_session, False
        successor = self._started(run)
        assert successor.task is not None
        opening = asyncio.create_task(successor.opened.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((successor.task, opening, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            opening.cancel()
            stopping.cancel()
            if not successor.opened.is_set():
                successor.end()
        if not successor.opened.is_set():
            # This session goes on until its end; then the usual way to another one begins. What the user asked for is tried again.
            self._new_session = self._new_session or asked
            if asked and successor.failure is not None:
                self._hooks.note("warning", f"{successor.failure.message} The change waits for another session.")
            await self._within(RETRY_S[-1])
            return
        run.retire()
        self._retiring.append(run)
        asyncio.get_running_loop().call_later(HANDOVER_S, run.end)
        self._run = successor

    def _look_after_retiring(self) -> None:
        for run in [each for each in self._retiring if each.over]:
            self._retiring.remove(run)
            if run.task is not None and not run.task.cancelled() and (error := run.task.exception()) is not None:
                self._hooks.note("warning", f"A fault ended the previous session: {type(error).__name__}: {error}.")
        if not self._retiring and self._run is not None:
            self._run.release()

    async def _within(self, seconds: float) -> None:
        """Wait, but not beyond `stop()`."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((stopping,), timeout=seconds)
        stopping.cancel()

    def _drop_stale(self, now_s: float) -> None:
        dropped_s = 0.0
        while self._pending and self._pending[0][1] < now_s - STALE_S:
            audio, _, speech = self._pending.popleft()
            dropped_s += len(audio) / WIRE_RATE * speech
        if dropped_s:
            self._dropped(dropped_s, "there is no connection")

    def _dropped(self, seconds: float, why: str) -> None:
        before = self._left_out_s
        self._left_out_s += seconds
        self._account.dropped(seconds)
        if before < 1.0 <= self._left_out_s or int(before / 5) != int(self._left_out_s / 5):
            self._hooks.note("warning", f"Speech is being left out, {self._left_out_s:.0f} s so far: {why}.")
