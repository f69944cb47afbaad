"""The speaker's own voice under the translation, where the link plays the output at its own pace.

Laws:
- The translation goes out exactly as it would alone. The speaker's voice is laid under whatever the link takes, softened while the
  translation lasts; where none of it has come, nothing is under it.
- Between `LEAD` and `MOST` of the speaker's voice wait: less would stutter with every late packet, more would be an echo from the past.
  What exceeds `LEAD` is left out where the speaker is silent; what exceeds `MOST` is left out at once, the oldest first.
- It begins and ends with a fade wherever something is missing.
- After `session.close` no more is passed on.

Next on the reading path: `original_mix.py` does the same where the client plays the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

import numpy as np

from parley.audio import pcm
from parley.audio.ducking import DuckedMix
from parley.audio.levels import rms
from parley.audio.types import Samples
from parley.core.words.effects import Effect
from parley.core.words.events import AudioArrived, Event, SessionCloseRequested, WindDownRequested
from parley.core.words.limits import SAMPLE_RATE, SAMPLES_PER_MS
from parley.runtime.original_mix import QUIET
from parley.runtime.perform import Loudspeaker

LEAD: Final = 60 * SAMPLES_PER_MS
"""Samples that wait before the voice begins: three packets of a call."""

MOST: Final = 200 * SAMPLES_PER_MS
"""Samples that may wait: as much as comes at once after a stall of a network that can carry a conversation."""

FADE: Final = 5 * SAMPLES_PER_MS
"""Samples in which the voice becomes loud where it begins, and silent where it breaks off."""


class OriginalBed:
    """A `Watcher` that takes each piece of input (PCM16, 24 kHz) from its session. `under` is the factor, 0..1, by which the original is
    softened while the translation lasts. `lie_under` what is played."""

    def __init__(self, under: float) -> None:
        self._mix = DuckedMix(SAMPLE_RATE, under)
        self._waiting = bytearray()
        self._flowing = False
        self._finishing = False

    def lie_under(self, audio: bytes, speech: int) -> bytes:
        """The next that is played (PCM16, 24 kHz), the first `speech` samples of which are the translation, with the original under it."""
        self._mix.queue(pcm.to_float(audio[: 2 * speech]))
        mixed, _ = self._mix.over(self._next(len(audio) // 2))
        return pcm.to_bytes(mixed)

    def hear(self, audio: bytes) -> None:
        """The next input. A sample may be split between two pieces."""
        if self._finishing:
            return
        waiting = len(self._waiting)
        if waiting >= 2 * LEAD and not (waiting | len(audio)) & 1 and rms(pcm.to_float(audio)) < QUIET:
            return
        self._waiting += audio
        if len(self._waiting) > 2 * MOST:
            left_out = len(self._waiting) - 2 * LEAD
            del self._waiting[: left_out + (left_out & 1)]
            self._flowing = False

    def _next(self, samples: int) -> Samples:
        """The next of the original, and silence where it is missing."""
        original = np.zeros(samples, np.float32)
        waiting = len(self._waiting) // 2
        begins = not self._flowing
        if begins and waiting < LEAD and not self._finishing:
            return original
        count = min(waiting, samples)
        piece = original[:count]
        piece[:] = pcm.to_float(bytes(self._waiting[: 2 * count]))
        del self._waiting[: 2 * count]
        self._flowing = waiting >= samples + FADE  # with less, the next may have no end to fade
        ramp = np.linspace(0, 1, min(FADE, count), dtype=np.float32)
        if begins:
            piece[: len(ramp)] *= ramp
        if not self._flowing:
            piece[count - len(ramp) :] *= ramp[::-1]
        return original

    # --- the watcher -------------------------------------------------------------------------------------------------------

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str = "") -> None:
        """Take what the speaker says, until the session is to end."""
        match event:
            case AudioArrived(audio=audio):
                self.hear(audio)
            case SessionCloseRequested() | WindDownRequested():
                self._finishing = True
            case _:
                pass

    def dump(self, fault: str) -> None:
        """Nothing of it helps to find a fault."""

    def close(self) -> None:
        """The session is over."""
        self._waiting.clear()
        self._finishing = True


@runtime_checkable
class MixingLoudspeaker(Loudspeaker, Protocol):
    """A `Loudspeaker` that can play something under the output."""

    def play_over(self, bed: OriginalBed) -> None:
        """From now on `bed` lies under all that is played."""
