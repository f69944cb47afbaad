"""The audio of one turn that still waits for its text, by sample position.

Laws:
- Positions count from the start of the turn and only grow; what is dropped keeps its positions.
- Whether a stretch holds speech is judged against how loud this turn's speech has been, so it depends on the audio alone.
"""

from __future__ import annotations

import numpy as np

from parley.audio import levels, pcm
from parley.audio.types import Samples

SAMPLE_RATE = 16000

_FRAME = SAMPLE_RATE // 50
_SPEECH_FRAMES = 5
"""Frames of 20 ms louder than the threshold that count as speech: a tenth of a second; less is a click or a last word's end."""

_SPEECH_SHARE = 0.06
"""Threshold relative to how loud this turn's speech was: 24 dB below."""

_DIGITAL_SILENCE = 10 / 32768
"""Threshold while nothing has been said yet: -70 dBFS."""


class TurnAudio:
    """16 kHz audio between `start` and `end`, kept as PCM16."""

    def __init__(self) -> None:
        self.start = 0
        self._pcm = bytearray()
        self._level = 0.0

    @property
    def end(self) -> int:
        return self.start + self.held

    @property
    def held(self) -> int:
        """Samples kept."""
        return len(self._pcm) // 2

    def append(self, audio: Samples) -> None:
        self._pcm += pcm.to_bytes(audio)

    def pcm16(self, start: int, end: int) -> bytes:
        """PCM16 little-endian between two positions."""
        return bytes(self._pcm[2 * (start - self.start) : 2 * (end - self.start)])

    def samples(self, start: int, end: int) -> Samples:
        """float32 between two positions."""
        return pcm.to_float(self.pcm16(start, end))

    def drop(self, position: int) -> None:
        """Forget everything before `position`."""
        if position > self.start:
            del self._pcm[: 2 * (position - self.start)]
            self.start = position

    def has_speech(self, start: int, end: int) -> bool:
        loud = levels.frame_rms(self.samples(start, end), _FRAME)
        threshold = self._level * _SPEECH_SHARE or _DIGITAL_SILENCE
        return int(np.count_nonzero(loud > threshold)) >= _SPEECH_FRAMES

    def learn_level(self, start: int, end: int) -> None:
        """This stretch was speech: remember how loud it was."""
        loud = levels.frame_rms(self.samples(start, end), _FRAME)
        if loud.size:
            self._level = max(self._level, float(np.percentile(loud, 90)))

    def quietest(self, start: int, end: int) -> int:
        """The position of the quietest 20 ms: the best place to cut where there is no pause."""
        return start + _FRAME * int(levels.frame_rms(self.samples(start, end), _FRAME).argmin())
