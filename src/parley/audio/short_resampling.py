"""Sample-rate conversion of a live voice, at a delay of about a millisecond and in pieces as even as they came.

soxr's filters cost 11 ms and more at these rates and give their output in bursts of 20 ms; a voice that is heard while it is spoken has
no time for that.

Laws:
- The output depends only on the samples pushed, never on how they were chunked; equal rates pass audio through untouched.
- Output sample n stands at the time of input n * in_rate / out_rate: the filter is linear in phase, and its delay is `lag_ms`.
- Up to 80 % of the lower rate's band passes within 0.1 dB; what would alias into that is at least 60 dB down.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from parley.audio.types import Samples

_CROSSINGS = 20
"""Of the filter's sinc, on either side."""

_CUTOFF = 0.9
"""Of half the lower rate: where the filter is 6 dB down."""

_KAISER_BETA = 6.5

_MOST_PHASES = 1_000
"""Of any two of the rates that audio has: 44,100 and 48,000 Hz need 160."""

_AT_ONCE = 8_192
"""Samples of the input: each of the output needs its window, which would be gigabytes of a long recording."""


class ShortResampler:
    """A float32 stream from `in_rate` to `out_rate` Hz. Call `push()` for each chunk, `finish()` at the end, and nothing after it.

    `push()` has given every sample that lies `lag_ms` and one sample before the end of the input. Raises `ValueError` for rates that are
    not positive, or that need more than 1,000 filters.
    """

    def __init__(self, in_rate: int, out_rate: int) -> None:
        if in_rate < 1 or out_rate < 1:
            raise ValueError(f"sample rates must be positive, got {in_rate} -> {out_rate} Hz")
        common = math.gcd(in_rate, out_rate)
        self._step, self._phases = in_rate // common, out_rate // common
        if self._phases > _MOST_PHASES:
            raise ValueError(f"{in_rate} Hz cannot be resampled to {out_rate} Hz: that needs {self._phases} filters")
        self._same = in_rate == out_rate
        scale = min(1.0, out_rate / in_rate)
        self._half = math.ceil(_CROSSINGS / scale)
        """Input samples that the filter reaches ahead, and back."""
        self.lag_ms = 0.0 if self._same else 1000 * self._half / in_rate
        self._taps = self._table(scale)
        self._held: Samples = np.zeros(self._half - 1, np.float32)
        self._start = 1 - self._half
        """The position of the first held sample."""
        self._next = 0
        """The position of the next output, in steps of the input by phases."""

    def _table(self, scale: float) -> Samples:
        """The filter for each fraction of an input sample, `[phases, 2 * half]`."""
        fraction = np.arange(self._phases)[:, None] / self._phases
        distance = np.arange(1 - self._half, self._half + 1)[None, :] - fraction
        inside = np.clip(1.0 - (distance / self._half) ** 2, 0.0, None)
        taps = np.sinc(distance * scale * _CUTOFF) * np.i0(_KAISER_BETA * np.sqrt(inside))
        normal: Samples = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
        return normal

    def push(self, audio: Samples) -> Samples:
        """Add samples `[n]` at `in_rate`; returns what is ready at `out_rate` (possibly nothing)."""
        if self._same or not len(audio):
            return audio
        return np.concatenate([self._made(audio[at : at + _AT_ONCE]) for at in range(0, len(audio), _AT_ONCE)])

    def _between(self, positions: NDArray[np.int64]) -> Samples:
        """The output at these positions, each with the filter for its fraction."""
        first = positions // self._phases - self._half + 1 - self._start
        windows = np.lib.stride_tricks.sliding_window_view(self._held, 2 * self._half)
        made: Samples = np.einsum("ij,ij->i", windows[first], self._taps[positions % self._phases])
        return made

    def _thinned(self, count: int) -> Samples:
        """The next `count` samples where the output is every nth of the filtered input: n convolutions of every nth sample."""
        first, taps = self._next - self._half + 1 - self._start, self._taps[0]
        reached = self._held[first : first + (count - 1) * self._step + 2 * self._half]
        made = np.zeros(count, np.float32)
        for at in range(self._step):
            made += np.convolve(reached[at :: self._step], taps[at :: self._step][::-1], "valid")[:count]
        return made

    def finish(self) -> Samples:
        """The rest, up to the end of the input."""
        return np.zeros(0, np.float32) if self._same else self._made(np.zeros(self._half, np.float32))

    def _made(self, audio: Samples) -> Samples:
        self._held = np.concatenate([self._held, audio])
        # The last output whose filter reaches no further than what is held.
        end = (self._start + len(self._held) - self._half) * self._phases
        positions = np.arange(self._next, max(self._next, end), self._step, dtype=np.int64)
        if not len(positions):
            return np.zeros(0, np.float32)
        made = self._thinned(len(positions)) if self._phases == 1 else self._between(positions)
        self._next = int(positions[-1]) + self._step
        unused = self._next // self._phases - self._half + 1 - self._start
        self._held = self._held[max(0, unused) :]
        self._start += max(0, unused)
        return made
