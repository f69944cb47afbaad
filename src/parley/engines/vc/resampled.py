"""A voice converter at another sample rate, for clients that have only one.

Laws:
- The time line holds at the outer rate: output sample n says what input sample n said, and the counts are exact.
- Both ways are a windowed-sinc filter of `ZERO_CROSSINGS` on each side at the lower rate: together they hold back four milliseconds at
  16 kHz, where `parley.audio.resampling` (soxr, for recordings) holds back up to eighty.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports import ConversionSpec, ConversionStream, EngineInfo, Samples, VoiceConverter
from parley.engines.vc.recent_audio import RecentAudio

ZERO_CROSSINGS: Final = 32
_ROLLOFF: Final = 0.94
_BETA: Final = 8.0
_MOST_PHASES: Final = 1_000
"""Of any two of the rates that audio has: 44,100 and 48,000 Hz need 160."""

_AT_ONCE: Final = 8_192
"""Samples: each needs its window of the input, which would be gigabytes of a long recording."""


class LowDelayResampler:
    """A float32 stream from `in_rate` to `out_rate` Hz. Call `push()` for each piece, `finish()` at the end, and nothing after it.

    Output sample k is due at k / `out_rate` of the input's time line. `push()` has given every sample that lies `delay_s` before the end of
    the input. Raises `ValueError` for rates whose ratio needs more than 1,000 filters.
    """

    def __init__(self, in_rate: int, out_rate: int) -> None:
        self._ratio = Fraction(in_rate, out_rate)
        if self._ratio.denominator > _MOST_PHASES:
            raise ValueError(f"{in_rate} Hz cannot be resampled to {out_rate} Hz here: their ratio is {self._ratio}")
        self._taps = _filters(self._ratio)
        self._half = self._taps.shape[1] // 2
        self.delay_s = (self._half + 1) / in_rate
        self._known = RecentAudio(-self._half)
        self._known.append(np.zeros(self._half, np.float32))
        self._made = 0

    def push(self, audio: Samples) -> Samples:
        """Add audio; what is ready."""
        self._known.append(audio)
        # sample k needs the input up to floor(k * ratio) + half
        return self._make(ceil((self._known.end - self._half) / self._ratio))

    def finish(self) -> Samples:
        """The rest, up to the end of the input."""
        end = self._known.end
        self._known.append(np.zeros(self._half + 1, np.float32))
        return self._make(ceil(end / self._ratio))

    def _make(self, until: int) -> Samples:
        parts = [np.zeros(0, np.float32)]
        while self._made < until:
            parts.append(self._filtered(min(until, self._made + _AT_ONCE)))
        return np.concatenate(parts)

    def _filtered(self, until: int) -> Samples:
        up, down = self._ratio.denominator, self._ratio.numerator
        at = np.arange(self._made, until, dtype=np.int64) * down
        centre, phase = at // up, at % up
        begin = int(centre[0]) - self._half + 1
        window = self._known.between(begin, int(centre[-1]) + self._half + 1)
        rows = (centre - self._half + 1 - begin)[:, None] + np.arange(2 * self._half)
        made: Samples = np.einsum("ij,ij->i", window[rows], self._taps[phase]).astype(np.float32, copy=False)
        self._made = until
        self._known.forget(int(Fraction(until) * self._ratio) - self._half)
        return made


_cache: dict[Fraction, NDArray[np.float32]] = {}


def _filters(ratio: Fraction) -> NDArray[np.float32]:
    """One row for each phase: the weights of the 2 * half samples around a position between two input samples."""
    if ratio not in _cache:
        cutoff = _ROLLOFF * min(1.0, 1 / float(ratio))
        half = ceil(ZERO_CROSSINGS * max(1.0, float(ratio)))
        phases = np.arange(ratio.denominator)[:, None] / ratio.denominator
        distance = np.arange(-half + 1, half + 1)[None, :] - phases
        window = np.i0(_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None))) / np.i0(_BETA)
        taps = cutoff * np.sinc(cutoff * distance) * window
        _cache[ratio] = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return _cache[ratio]


class ResampledConverter:
    """A `VoiceConverter` whose streams take and give audio at `rate` Hz, whatever the rate of `inner` is. Raises `ValueError`."""

    def __init__(self, inner: VoiceConverter, rate: int) -> None:
        self._inner = inner
        self._rate = rate
        own = inner.info.sample_rate
        self._delay_ms: float = 1_000 * (LowDelayResampler(rate, own).delay_s + LowDelayResampler(own, rate).delay_s)

    @property
    def info(self) -> EngineInfo:
        return replace(self._inner.info, sample_rate=self._rate)

    @property
    def latency_ms(self) -> float:
        roundings_ms = 2_000 / min(self._rate, self._inner.info.sample_rate)
        return float(self._inner.latency_ms + self._delay_ms + roundings_ms)

    @property
    def block_ms(self) -> float:
        return self._inner.block_ms

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    def resolve_voice(self, voice: str) -> str | None:
        return self._inner.resolve_voice(voice)

    def open_stream(self, spec: ConversionSpec) -> ConversionStream:
        own = self._inner.info.sample_rate
        context = spec.context
        if context is not None:
            there = LowDelayResampler(self._rate, own)
            context = np.concatenate([there.push(context), there.finish()])
        return _Resampled(self._inner.open_stream(replace(spec, context=context)), self._rate, own)


class _Resampled:
    __slots__ = ("_back", "_fed", "_given", "_inner", "_there")

    def __init__(self, inner: ConversionStream, rate: int, own: int) -> None:
        self._inner = inner
        self._there = LowDelayResampler(rate, own)
        self._back = LowDelayResampler(own, rate)
        self._fed = self._given = 0

    async def convert(self, audio: Samples) -> Samples:
        self._fed += len(audio)
        # an empty piece too: a stream that is closed says so
        return self._counted(self._back.push(await self._inner.convert(self._there.push(audio))))

    async def finish(self) -> Samples:
        last = self._there.finish()
        made = await self._inner.convert(last) if len(last) else last
        parts = [self._back.push(made), self._back.push(await self._inner.finish()), self._back.finish()]
        rest = self._counted(np.concatenate(parts))
        missing = self._fed - self._given
        self._given = self._fed
        return np.concatenate([rest, np.zeros(missing, np.float32)])

    def close(self) -> None:
        self._inner.close()

    def _counted(self, audio: Samples) -> Samples:
        """No more than was fed: the filter's last sample may lie just beyond the end."""
        audio = audio[: self._fed - self._given]
        self._given += len(audio)
        return np.clip(audio, -1.0, 1.0)


def at_rate(converter: VoiceConverter, rate: int) -> VoiceConverter:
    """The open converter itself where it has this rate already. Raises `ValueError` for a rate that it cannot be given."""
    return converter if rate == converter.info.sample_rate else ResampledConverter(converter, rate)
