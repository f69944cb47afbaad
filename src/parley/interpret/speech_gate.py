"""When somebody begins and ends to speak, from the probabilities of a voice activity model.

Laws: pure; counts frames, reads no clock. Hysteresis: a beginning needs `FRAMES_TO_BEGIN` frames over `SPEECH`, an end `pause_ms` under
`QUIET`.
"""

from __future__ import annotations

from typing import Final, Literal

SPEECH: Final = 0.5
QUIET: Final = 0.35
FRAMES_TO_BEGIN: Final = 3
"""A click or a knock has no three frames of 32 ms."""

PAUSE_MS: Final = 400.0

SpeechEdge = Literal["began", "ended"]


class SpeechGate:
    """Call `push()` with each frame's probability; `speaking` in between."""

    def __init__(self, frame_ms: float, pause_ms: float = PAUSE_MS) -> None:
        self._frame_ms = frame_ms
        self._pause_frames = max(1, round(pause_ms / frame_ms))
        self._run = 0
        self.speaking = False

    @property
    def begin_ms(self) -> float:
        """How long after the first voice a beginning is told."""
        return FRAMES_TO_BEGIN * self._frame_ms

    @property
    def pause_ms(self) -> float:
        """How long after the last voice an end is told."""
        return self._pause_frames * self._frame_ms

    def push(self, probability: float) -> SpeechEdge | None:
        """One more frame. A beginning is told `FRAMES_TO_BEGIN` frames late, an end `pause_ms` late."""
        if not self.speaking:
            self._run = self._run + 1 if probability >= SPEECH else 0
            if self._run < FRAMES_TO_BEGIN:
                return None
            self.speaking, self._run = True, 0
            return "began"
        self._run = self._run + 1 if probability < QUIET else 0
        if self._run < self._pause_frames:
            return None
        self.speaking, self._run = False, 0
        return "ended"
