"""Where a speaker pauses: the places at which a recogniser may cut a turn by itself, while it is still being spoken.

A turn that voice activity detection ends is flushed at its pauses; one that a client ends (push to talk) is not, and would be decoded whole
at its commit. A recogniser that cuts at the pauses found here has done all but the last stretch by then, with the same work in all.

Laws: pauses depend on the audio and on where it was cut, never on how it was chunked; a pause is quiet beside the speech of its own turn,
so that a loud room has none; between two cuts there is speech.
"""

from __future__ import annotations

import numpy as np

from parley.audio.levels import frame_rms
from parley.audio.types import Samples
from parley.engines.stt.turn_audio import SAMPLE_RATE

FRAME = SAMPLE_RATE // 50

PAUSE_FRAMES = 15
"""Quiet frames in a row that are a pause: 300 ms. Between the words of a sentence there are up to 200."""

BEHIND_FRAMES = 8
"""Of which so many are before the cut: the rest leads the next word in."""

SPOKEN_FRAMES = 50
"""Frames with a voice between two cuts at least: a second, from which a recogniser can tell how the voice sounds."""

_QUIET_SHARE = 0.05
"""What is 26 dB below the turn's loudest frame is quiet."""

_FLOOR = 30 / 32768
"""Nothing louder than -61 dBFS was heard: no voice yet."""


class PauseFinder:
    """The pauses of one turn. Feed it all audio, 16 kHz; positions count samples from the turn's start."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        """The beginning of a frame."""
        self._end = 0
        self._loudest = _FLOOR
        self._quiet = 0
        self._spoken = 0

    def feed(self, audio: Samples) -> list[int]:
        """The next audio `[n]`; returns the positions at which the turn may be cut that have become known with it, in order."""
        audio = np.concatenate([self._rest, audio]) if self._rest.size else audio
        levels = frame_rms(audio, FRAME).tolist()
        self._rest = audio[len(levels) * FRAME :].copy()
        return [position for level in levels if (position := self._frame(level)) is not None]

    def cut(self) -> None:
        """The turn was cut at the end of what has been fed, for another reason."""
        self._spoken = 0

    def _frame(self, level: float) -> int | None:
        """One more frame; where the turn may be cut, if that has become known."""
        self._end += FRAME
        self._loudest = max(self._loudest, level)
        if level > max(_FLOOR, self._loudest * _QUIET_SHARE):
            self._quiet = 0
            self._spoken += 1
            return None
        self._quiet += 1
        if self._quiet != PAUSE_FRAMES or self._spoken < SPOKEN_FRAMES:
            return None
        self._spoken = 0
        return self._end - (PAUSE_FRAMES - BEHIND_FRAMES) * FRAME
