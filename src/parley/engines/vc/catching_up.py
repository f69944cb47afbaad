"""Whether a converter that is late gets back in time by itself, as its speed says. Pure.

Laws:
- One late piece says nothing about the speed: what counts is the median of the last pieces of about `MEASURE_MS` of the same stream,
  once there are `_ENOUGH` of them. A new stream computes its context with its first piece.
- A converter that is no more than `TOLERATED_MS` behind, or a block where that is longer, is let be, however fast it is.
- One that is `MOST_BEHIND_MS` behind, or a block where that is longer, does not get back.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

TOLERATED_MS: Final = 300.0
"""What a new stream takes to hear its context of three seconds, and more: dropping one sooner gains nothing."""

MOST_BEHIND_MS: Final = 2_000.0
"""A call that does not return tells no speed. It bounds the audio that is kept for a converter that is late, and leaves a new stream the
time to hear its context on a busy machine."""

USEFUL_MS: Final = 1_000.0
"""A converter that needs longer than that to catch up is better put ahead of the output, though a new stream computes its context first."""

TOO_SLOW: Final = 0.95
"""Computing time by audio from which on a converter is taken for too slow for live speech: it would never catch up."""

MEASURE_MS: Final = 100.0
"""Long enough to hold a block of most engines."""

_LATELY: Final = 5
_ENOUGH: Final = 3
_MEASURED: Final = 512


class ConverterSpeed:
    """Computing time by audio, over pieces that are long enough to hold a block of `block_ms`."""

    __slots__ = ("_block_s", "_lately", "_rate", "_ratios", "_samples", "_spent_s")

    def __init__(self, rate: int, block_ms: float) -> None:
        self._rate = rate
        self._block_s = block_ms / 1_000
        self._ratios: deque[float] = deque(maxlen=_MEASURED)
        self._lately: deque[float] = deque(maxlen=_LATELY)
        self._samples = 0
        self._spent_s = 0.0

    def begin_stream(self) -> None:
        """What follows is computed by a new stream, whose speed is not known."""
        self._lately.clear()
        self._samples, self._spent_s = 0, 0.0

    def add(self, samples: int, spent_s: float) -> None:
        """So many samples took so many seconds."""
        self._samples += samples
        self._spent_s += spent_s
        if self._samples >= self._rate * max(MEASURE_MS / 1_000, self._block_s):
            ratio = self._spent_s * self._rate / self._samples
            self._ratios.append(ratio)
            self._lately.append(ratio)
            self._samples, self._spent_s = 0, 0.0

    def percentiles(self) -> tuple[float, float]:
        """The median and the 95th percentile of the last minute or so; 0 before the first piece."""
        if not self._ratios:
            return 0.0, 0.0
        ratios = list(self._ratios)
        return float(np.percentile(ratios, 50)), float(np.percentile(ratios, 95))

    @property
    def too_slow(self) -> bool:
        """Whether audio takes about as long as it lasts, or longer."""
        return self._speed() >= TOO_SLOW

    def catches_up(self, behind: int, *, some_time: bool = False) -> bool:
        """Whether a converter that is so many samples late is back in useful time, at the speed of the last half second; with
        `some_time`, at any time."""
        behind_s = behind / self._rate
        if behind_s <= max(self._block_s, TOLERATED_MS / 1_000):
            return True
        speed = self._speed()
        if speed >= TOO_SLOW or behind_s > max(self._block_s, MOST_BEHIND_MS / 1_000):
            return False
        return some_time or behind_s * speed / (1 - speed) <= max(self._block_s, USEFUL_MS / 1_000)

    def _speed(self) -> float:
        last = sorted(self._lately)
        return last[len(last) // 2] if len(last) >= _ENOUGH else 0.0
