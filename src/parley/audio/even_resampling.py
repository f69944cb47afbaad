"""Sample-rate conversion of a live voice that gives as much as it takes: n ms in are n ms out, from the first piece on.

Laws: the delay of the filter (`ShortResampler`) stands as silence before the audio; after any piece, the output is as long as the input,
rounded up to a whole sample. What the filter still holds comes with `finish`.
"""

from __future__ import annotations

import math

import numpy as np

from parley.audio.short_resampling import ShortResampler
from parley.audio.types import Samples


class EvenResampler:
    """A float32 stream from `in_rate` to `out_rate` Hz. Call `push` for each chunk, `finish` at the end, and nothing after it."""

    def __init__(self, in_rate: int, out_rate: int) -> None:
        self._rates = in_rate, out_rate
        self._resampler = ShortResampler(in_rate, out_rate)
        # The filter holds one sample more than its delay, and a piece may end within a sample of the output.
        delay = 0 if in_rate == out_rate else math.ceil(self._resampler.lag_ms * out_rate / 1000) + 2
        self._made = np.zeros(delay, np.float32)
        self._received = 0
        self._given = 0

    def push(self, audio: Samples) -> Samples:
        """Add samples `[n]` at `in_rate`; returns as many milliseconds at `out_rate`."""
        in_rate, out_rate = self._rates
        self._received += len(audio)
        made = np.concatenate([self._made, self._resampler.push(audio)])
        due = -(-self._received * out_rate // in_rate) - self._given
        given, self._made = made[:due], made[due:]
        self._given += len(given)
        return given

    def finish(self) -> Samples:
        """The rest, which is as long as the delay."""
        return np.concatenate([self._made, self._resampler.finish()])
