"""A caller of whom nothing comes: silence suppression, a call on hold, a muted telephone.

Laws:
- After `STALL_MS` without audio the session hears silence in real time, until audio comes: a turn must be able to end.
- Asterisk ends an `AudioSocket()` on which neither side has sent anything for two seconds. While the caller stalls, a frame of silence
  goes out wherever nothing else has for `KEEP_MS`.

Does not know: sockets, formats, sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from parley.server.links.pacing import Alarm, EventLoop, PacingClock

STALL_MS: Final = 200
"""Longer than the jitter of a network that can carry a conversation."""

KEEP_MS: Final = 1_000
"""Half of what Asterisk waits."""


class CallerStalls:
    """`heard` and `said` for each frame of audio, in and out; `close` at the end.

    `hear_silence` is called every 20 ms of a stall, `say_silence` once nothing was said for `KEEP_MS` of it.
    """

    def __init__(self, loop: EventLoop, hear_silence: Callable[[], None], say_silence: Callable[[], None]) -> None:
        self._loop = loop
        self._hear_silence = hear_silence
        self._say_silence = say_silence
        self._heard_s = self._said_s = loop.time()
        self._clock = PacingClock(loop, self._tick)
        self._alarm: Alarm | None = loop.call_at(self._heard_s + STALL_MS / 1000, self._look)

    def heard(self) -> None:
        self._heard_s = self._loop.time()
        if self._clock.running:
            self._clock.stop()
            self._look()

    def said(self) -> None:
        self._said_s = self._loop.time()

    def close(self) -> None:
        self._clock.close()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._hear_silence = self._say_silence = _nothing

    def _look(self) -> None:
        """Begin a stall, or look again when there may be one: no timer is set anew for each frame."""
        due = self._heard_s + STALL_MS / 1000
        if self._loop.time() < due:
            self._alarm = self._loop.call_at(due, self._look)
        else:
            self._alarm = None
            self._clock.start()

    def _tick(self) -> None:
        self._hear_silence()
        if self._loop.time() - self._said_s >= KEEP_MS / 1000:
            self._say_silence()


def _nothing() -> None:
    """In place of the callbacks once the call is over."""
