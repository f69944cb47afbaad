"""Silence around speech, cut without touching the speech.

Laws: pure; shape `[n]`, float32 in [-1, 1]; nothing louder than `FLOOR` is ever cut.
"""

from __future__ import annotations

import numpy as np

from parley.audio.types import Samples

FLOOR = 0.003
"""About -50 dB: quieter than any sound of a synthesized voice, louder than the noise of its silence."""


class GapCutter:
    """One stretch of speech whose silence in front, and behind it, is cut to `keep_ms` each. `push()` its audio, then `finish()`."""

    def __init__(self, sample_rate: int, keep_ms: int) -> None:
        self._rate = sample_rate
        self._keep = sample_rate * keep_ms // 1_000
        self._begun = False
        self._held = np.zeros(0, np.float32)
        """Silence that ends the stretch, unless speech follows."""
        self.cut_in_front = 0
        """Samples cut before the speech."""

    def push(self, audio: Samples) -> Samples:
        """The next audio; returns what is certain to stay."""
        audio = np.concatenate([self._held, audio])
        loud = np.flatnonzero(np.abs(audio) > FLOOR)
        if not len(loud):
            if not self._begun:
                kept = audio[max(0, len(audio) - self._keep) :]
                self.cut_in_front += len(audio) - len(kept)
                audio = kept
            self._held = audio
            return audio[:0]
        start = 0
        if not self._begun:
            start = max(0, int(loud[0]) - self._keep)
            self.cut_in_front += start
            self._begun = True
        end = int(loud[-1]) + 1
        self._held = audio[end:]
        return audio[start:end]

    @property
    def cut_ms(self) -> float:
        """Milliseconds cut before the speech."""
        return 1_000 * self.cut_in_front / self._rate

    def finish(self) -> Samples:
        """The end of the stretch: what is left of the silence behind it."""
        held, self._held = self._held, self._held[:0]
        return held[: self._keep]
