"""A voice converter at another sample rate, for clients that have only one.

Laws:
- The time line holds at the outer rate: output sample n says what input sample n said, and the counts are exact.
- Both ways together hold back less than three milliseconds (`parley.audio.short_resampling`), where soxr, for recordings, holds back up to
  eighty.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parley.audio.short_resampling import ShortResampler
from parley.engines.ports import ConversionSpec, ConversionStream, EngineInfo, Samples, VoiceConverter


class ResampledConverter:
    """A `VoiceConverter` whose streams take and give audio at `rate` Hz, whatever the rate of `inner` is. Raises `ValueError`."""

    def __init__(self, inner: VoiceConverter, rate: int) -> None:
        self._inner = inner
        self._rate = rate
        own = inner.info.sample_rate
        self._delay_ms: float = ShortResampler(rate, own).lag_ms + ShortResampler(own, rate).lag_ms

    @property
    def info(self) -> EngineInfo:
        return replace(self._inner.info, sample_rate=self._rate)

    @property
    def latency_ms(self) -> float:
        roundings_ms = 4_000 / min(self._rate, self._inner.info.sample_rate)
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
            there = ShortResampler(self._rate, own)
            context = np.concatenate([there.push(context), there.finish()])
        return _Resampled(self._inner.open_stream(replace(spec, context=context)), self._rate, own)


class _Resampled:
    __slots__ = ("_back", "_fed", "_given", "_inner", "_there")

    def __init__(self, inner: ConversionStream, rate: int, own: int) -> None:
        self._inner = inner
        self._there = ShortResampler(rate, own)
        self._back = ShortResampler(own, rate)
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
