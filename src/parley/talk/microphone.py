"""From the microphone's samples to the audio for a server: echo control, level, 24 kHz.

Laws: owns the streams' state (resampler, echo canceller); audio is passed in the order in which it was recorded and played, because the
loudspeaker's audio is what the canceller removes. Muted means silence, not absence: a server that waits for a pause gets one.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from parley.audio import pcm
from parley.audio.levels import SILENCE_DBFS, rms_dbfs
from parley.audio.resampling import Int16Resampler
from parley.audio.types import Int16

WIRE_RATE = 24_000

FALL_DB = 3.0
"""How far a level falls at once: a meter that jumps cannot be read."""


class Cleaner(Protocol):
    """What `parley.audio.processing.AudioProcessor` does."""

    def render(self, far_end: Int16) -> None: ...

    def capture(self, near_end: Int16) -> Int16: ...


def echo_control(rate: int) -> Cleaner:
    """WebRTC's echo cancellation, noise suppression and gain for a laptop's own microphone and loudspeaker.

    Raises `parley.audio.processing.ProcessingUnavailable`. Loads a library: not on an event loop.
    """
    from parley.audio.processing import AudioProcessor

    return AudioProcessor(rate, echo=True, noise="near_field", gain=True)


class Microphone:
    """Call `played()` and `recorded()` in the order in which the devices did."""

    def __init__(self, rate: int, cleaner: Cleaner | None) -> None:
        self._cleaner = cleaner
        self._resampler = Int16Resampler(rate, WIRE_RATE, "MQ")
        self.muted = False
        self.user_dbfs = SILENCE_DBFS
        self.reply_dbfs = SILENCE_DBFS

    def played(self, audio: Int16) -> None:
        """The loudspeaker got this."""
        self.reply_dbfs = _metered(self.reply_dbfs, audio)
        if self._cleaner is not None:
            self._cleaner.render(audio)

    def recorded(self, audio: Int16) -> Int16:
        """The microphone gave this; what to send of it, int16 `[n]` at 24 kHz."""
        if self._cleaner is not None:
            audio = self._cleaner.capture(audio)
        if self.muted:
            audio = np.zeros_like(audio)
        self.user_dbfs = _metered(self.user_dbfs, audio)
        return self._resampler.push(audio)


def _metered(shown: float, audio: Int16) -> float:
    return max(rms_dbfs(pcm.to_float(audio)), shown - FALL_DB) if len(audio) else shown
