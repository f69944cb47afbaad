"""What of the audio that was sent was really played, by the marks that come back.

Laws:
- A mark follows every `MARK_SAMPLES` of speech, and the last of what waits. When it comes back, all speech before it counts as played.
- Marks that come back after a `clear` count nothing: the audio before them was dropped.
- A mark that has not come back `LOST_S` after its audio's time is lost, and its audio counts as played: a session does not wait for ever.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from parley.core.words.limits import SAMPLES_PER_MS
from parley.server.links.pacing import Alarm, EventLoop

log = logging.getLogger("parley.server")

MARK_SAMPLES: Final = 100 * SAMPLES_PER_MS
"""An interruption is cut to this, and ten marks a second are a tenth of the frames."""

LOST_S: Final = 3.0
"""Longer than any network that carries a conversation takes there and back."""


class MarkReports:
    """`pacing.Reports`. `marked` for each mark that comes back. `send_mark` sends one by its name, `clear` has the audio dropped."""

    def __init__(
        self,
        send_mark: Callable[[str], None],
        clear: Callable[[], None],
        played: Callable[[int], None],
        loop: EventLoop,
    ) -> None:
        self._send_mark = send_mark
        self._clear = clear
        self._played = played
        self._loop = loop
        self._count = 0
        self._unmarked = 0
        self._sent = 0
        """Speech since the last clear, in samples."""
        self._passed = 0
        self._reported = 0
        self._waiting: deque[tuple[str, int]] = deque()
        """Marks that are to come back, and the speech that was sent before each."""
        self._alarm: Alarm | None = None
        self._watched = ""
        """The mark that the alarm is for."""

    def sent(self, samples: int, *, last: bool) -> None:
        self._sent += samples
        self._unmarked += samples
        if self._unmarked >= MARK_SAMPLES or (last and self._unmarked):
            self._unmarked = 0
            self._count += 1
            name = f"parley-{self._count}"
            self._waiting.append((name, self._sent))
            self._send_mark(name)

    def passed(self, samples: int) -> None:
        self._passed += samples
        self._watch()

    def cleared(self) -> None:
        self._waiting.clear()
        self._sent = self._passed = self._reported = self._unmarked = 0
        self._watch()
        self._clear()

    def marked(self, name: str) -> None:
        """The mark of this name has come back."""
        if any(waiting == name for waiting, _ in self._waiting):
            while self._waiting:
                passed, before = self._waiting.popleft()
                if passed == name:
                    self._report(before)
                    return

    def close(self) -> None:
        """The call is over."""
        self._waiting.clear()
        self._watch()

    def _report(self, before: int) -> None:
        samples, self._reported = before - self._reported, before
        self._watch()
        self._played(samples)

    def _watch(self) -> None:
        """Watch over the first mark, once its audio's time has passed."""
        overdue = self._waiting[0][0] if self._waiting and self._waiting[0][1] <= self._passed else ""
        if overdue == self._watched:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._loop.time() + LOST_S, self._lost) if overdue else None
        self._watched = overdue

    def _lost(self) -> None:
        self._alarm, self._watched = None, ""
        before = self._reported
        while self._waiting and self._waiting[0][1] <= self._passed:
            _, before = self._waiting.popleft()
        log.warning("a mark of a call did not come back: its audio counts as played")
        self._report(before)
