"""Raw and converted audio of one time line, joined without clicks. Pure.

Laws:
- Where raw audio follows converted audio, it begins at the last sample that was given: the difference fades within `FADE_MS`, since what
  the converter would have said next is not known.
- Where converted audio follows raw audio, the two are cross-faded over `FADE_MS`.
- So a seam adds no step between two samples that is larger than the steps of both sides together.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from parley.engines.ports import Samples

FADE_MS: Final = 5.0


class Seams:
    """Give it the pieces of the output in order, each as it was chosen; it returns what to play."""

    __slots__ = ("_decayed", "_faded", "_last", "_length", "_offset", "_raw", "_rise")

    def __init__(self, rate: int) -> None:
        self._length = max(1, round(rate * FADE_MS / 1_000))
        self._rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(self._length) + 1) / (self._length + 1))).astype(np.float32)
        self._raw = False
        self._last = 0.0
        self._offset = 0.0
        self._decayed = self._length
        self._faded = self._length

    def raw(self, audio: Samples, before: float) -> Samples:
        """The next piece is raw; `before` is the raw sample just before it (0 at the beginning)."""
        if not len(audio):
            return audio
        if not self._raw:
            self._raw = True
            self._offset, self._decayed = self._last - before, 0
        return self._given(self._lifted(audio))

    def converted(self, audio: Samples, raw: Samples) -> Samples:
        """The next piece is converted; `raw` is the raw audio of its first samples: as much as both have, `FADE_MS` are enough."""
        if not len(audio):
            return audio
        if self._raw:
            self._raw = False
            self._faded = 0
        size = min(self._length - self._faded, len(audio))
        if not size:
            return self._given(audio)
        rise = self._rise[self._faded : self._faded + size]
        self._faded += size
        below = self._lifted(raw[:size])
        return self._given(np.concatenate([audio[:size] * rise + below * (1 - rise), audio[size:]]))

    def _lifted(self, raw: Samples) -> Samples:
        """The raw audio with what is left of the difference at the last seam."""
        size = min(self._length - self._decayed, len(raw))
        if not size:
            return raw
        lifted = raw.copy()
        lifted[:size] += np.float32(self._offset) * (1 - self._rise[self._decayed : self._decayed + size])
        self._decayed += size
        np.clip(lifted, -1.0, 1.0, out=lifted)
        return lifted

    def _given(self, audio: Samples) -> Samples:
        self._last = float(audio[-1])
        return audio
