"""Synthesized speech through a voice converter, clause by clause.

Laws:
- Each clause is one stream of the converter, as long as its input: a converter that changes the length fails the clause
  (`checked_conversion`).
- A stream knows the end of what the same speaker said in the clauses before it (`ConversionSpec.context`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from parley.audio.resampling import Resampler
from parley.engines.ports import ConversionSpec, Samples, VoiceConverter
from parley.runtime.engine_results import checked_conversion

CONTEXT_S: Final = 3.0
"""Of the clauses before, so much is kept for the next one."""


class SpokenBefore:
    """The end of the speech that one speaker's clauses gave a converter, at the converter's rate."""

    __slots__ = ("_audio", "_most")

    def __init__(self, rate: int) -> None:
        self._most = round(rate * CONTEXT_S)
        self._audio: Samples = np.zeros(0, np.float32)

    @property
    def audio(self) -> Samples | None:
        """None where nothing was said yet."""
        return self._audio if len(self._audio) else None

    def add(self, audio: Samples) -> None:
        self._audio = np.concatenate([self._audio, audio])[-self._most :]


class ClauseConversion:
    """One clause on its way through the converter: `push()` its audio, then `finish()`; `close()` in any case.

    `voice` is the session's: where the converter does not have it, its usual one. What comes back is at `rate`, the converter's. Raises
    `EngineError` where the converter fails or changes the length.
    """

    __slots__ = ("_before", "_fed", "_given", "_resampler", "_stream", "rate")

    def __init__(self, converter: VoiceConverter, voice: str, share: object, before: SpokenBefore) -> None:
        self.rate = converter.info.sample_rate
        known = voice if converter.resolve_voice(voice) is not None else ""
        self._stream = converter.open_stream(ConversionSpec(known, share, before.audio))
        self._before = before
        self._resampler = Resampler(self.rate, self.rate, "HQ")
        self._fed = 0
        self._given = 0

    async def push(self, audio: Samples, rate: int) -> Samples:
        """The next audio of the synthesizer; returns what is ready of the other voice."""
        if rate == self._resampler.in_rate:
            return await self._convert(self._resampler.push(np.ascontiguousarray(audio, np.float32)))
        held_back = self._resampler.finish()
        self._resampler = Resampler(rate, self.rate, "HQ")
        return await self._convert(np.concatenate([held_back, self._resampler.push(audio)]))

    async def finish(self) -> Samples:
        """The end of the clause: what was held back."""
        ready = await self._convert(self._resampler.finish())
        last = checked_conversion(await self._stream.finish(), self._fed - self._given, whole=True)
        self._given += len(last)
        return np.concatenate([ready, last])

    async def _convert(self, audio: Samples) -> Samples:
        if not len(audio):
            return audio
        self._fed += len(audio)
        self._before.add(audio)
        ready = checked_conversion(await self._stream.convert(audio), self._fed - self._given)
        self._given += len(ready)
        return ready

    def close(self) -> None:
        self._stream.close()
