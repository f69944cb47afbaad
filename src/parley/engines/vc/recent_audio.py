"""The latest audio of a stream, each sample by its position. Pure.

Laws: what is kept is what was not yet forgotten; adding costs no copy of what is kept, but now and then.
"""

from __future__ import annotations

import numpy as np

from parley.engines.ports import Samples


class RecentAudio:
    """Mono float32 audio from position `start` to position `end`."""

    __slots__ = ("_audio", "_begin", "_used", "start")

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self._audio: Samples = np.zeros(4_096, np.float32)
        self._begin = 0
        self._used = 0

    @property
    def end(self) -> int:
        return self.start + self._used - self._begin

    def append(self, audio: Samples) -> None:
        kept = self._used - self._begin
        if self._used + len(audio) > len(self._audio):
            room = len(self._audio)
            if 2 * (kept + len(audio)) > room:
                room = 2 * (kept + len(audio))
            moved = np.zeros(room, np.float32)
            moved[:kept] = self._audio[self._begin : self._used]
            self._audio, self._begin, self._used = moved, 0, kept
        self._audio[self._used : self._used + len(audio)] = audio
        self._used += len(audio)

    def between(self, begin: int, end: int) -> Samples:
        """A copy of the samples of these positions, as far as they are kept."""
        first = self._begin + max(0, begin - self.start)
        last = self._begin + min(end, self.end) - self.start
        return self._audio[first : max(first, last)].copy()

    def sample(self, position: int) -> float:
        """One sample; 0 for a position that is not kept."""
        if not self.start <= position < self.end:
            return 0.0
        return float(self._audio[self._begin + position - self.start])

    def forget(self, before: int) -> None:
        """Keep nothing from before this position."""
        dropped = min(before, self.end) - self.start
        if dropped > 0:
            self._begin += dropped
            self.start += dropped
