"""When each sample of the input audio was recorded: the server sends positions, figures need times.

Laws: pure; positions are milliseconds of audio sent in this session; remembers the last `SPAN_S` seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

SPAN_S = 120.0
"""A turn's figures are made within seconds of its end; two minutes survive a slow recogniser."""


class InputClock:
    """Call `recorded()` for each chunk that is sent, then ask `time_of()`."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque()
        self._sent_ms = 0.0

    def recorded(self, chunk_ms: float, now_s: float) -> None:
        """A chunk of `chunk_ms` whose last sample was recorded at `now_s` has been sent."""
        self._sent_ms += chunk_ms
        self._marks.append((self._sent_ms, now_s))
        while self._marks[0][1] < now_s - SPAN_S:
            self._marks.popleft()

    def time_of(self, at_ms: float) -> float | None:
        """When the sample at `at_ms` was recorded; None if that is too long ago, or was not sent yet."""
        index = bisect_left(self._marks, (at_ms,))
        if index == len(self._marks) or (index == 0 and at_ms < self._marks[0][0] - 1000):
            return None
        end_ms, end_s = self._marks[index]
        return end_s - (end_ms - at_ms) / 1000
