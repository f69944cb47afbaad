"""When one piece of speech has ended, where the model does not say so: it has said nothing for a while, or takes longer than any speaker.

Laws: pure; one object for one piece. A pause within speech is kept; the silence that ends a piece is not handed on beyond `KEPT_S` of it.
What is handed on is always the beginning of what was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from parley.audio.types import Samples

SPEECH_RMS: Final = 0.01
"""-40 dB: a frame that is louder is speech."""

SILENCE_RMS: Final = 0.003
"""-50 dB: quieter than a breath."""

KEPT_S: Final = 0.32
"""As long as a pause between two sentences."""

STOP_S: Final = 1.2
"""Nobody pauses longer within a clause; the model's own pauses after many turns are of several seconds."""

LEADING_STOP_S: Final = 4.0
"""A piece that begins with so much silence says nothing: the model was trained on speech that begins at once."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """After a frame: how many frames, of those held back and this one, are handed on now; and why the piece ends, "" while it goes on."""

    release: int
    end: str = ""


class EndRule:
    """One piece. `push()` each frame of audio in turn; `frames` of it are made at most."""

    def __init__(self, frames: int, frames_per_s: float) -> None:
        self._left = frames
        self._kept = round(KEPT_S * frames_per_s)
        self._stop = round(STOP_S * frames_per_s)
        self._leading_stop = round(LEADING_STOP_S * frames_per_s)
        self._begun = False
        self._silent = 0
        self._held = 0

    def push(self, audio: Samples) -> Verdict:
        """The next frame, float32 `[n]`."""
        self._left -= 1
        rms = float(np.sqrt(np.mean(np.square(audio)))) if len(audio) else 0.0
        self._silent = self._silent + 1 if rms < SILENCE_RMS else 0
        self._begun = self._begun or rms >= SPEECH_RMS
        if self._silent > self._kept:
            self._held += 1
            release = 0
        else:
            release, self._held = self._held + 1, 0
        if self._silent >= (self._stop if self._begun else self._leading_stop):
            return Verdict(release, "silence")
        return Verdict(release, "length" if self._left <= 0 else "")
