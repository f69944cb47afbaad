"""A voice converter of fixed latency, for measuring everything around it: a filter that keeps pitch and time line.

Laws:
- Output sample n is the mean of the input samples n and n + L, where L is `latency_ms` in samples and what lies beyond the end is
  silence: so a stream holds back L samples, and what it does can be computed again.
- Each piece of audio comes back `work_ms` after it was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import numpy as np

from parley.engines.options import OptionReader
from parley.engines.ports import ConversionSpec, EngineError, EngineInfo, EngineRefused, Samples

SAMPLE_RATE: Final = 24_000
VOICE: Final = "filtered"


def create(model: str, options: Mapping[str, object]) -> BenchConverter:
    """`bench`; options `latency_ms` (20, of audio held back), `work_ms` (0, for each piece) and `block_ms` (as `work_ms`: what it declares
    to compute at once)."""
    reader = OptionReader("vc bench", options)
    work_ms = reader.number("work_ms", 0, 0, 10_000)
    engine = BenchConverter(
        latency_ms=reader.number("latency_ms", 20, 0, 1_000),
        work_ms=work_ms,
        block_ms=reader.number("block_ms", min(work_ms, 1_000), 0, 1_000),
    )
    reader.close()
    return engine


class BenchConverter:
    """A `VoiceConverter` that costs next to nothing and takes exactly as long as its options say."""

    def __init__(self, latency_ms: float, work_ms: float, block_ms: float | None = None) -> None:
        self.latency_ms = latency_ms
        self.block_ms = work_ms if block_ms is None else block_ms
        self._work_s = work_ms / 1000

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="vc",
            name="bench",
            measuring=True,
            summary=f"A filter that holds back {self.latency_ms:g} ms of audio, for benchmarks.",
            sample_rate=SAMPLE_RATE,
            voices=(VOICE,),
            deterministic=True,
        )

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def open_stream(self, spec: ConversionSpec) -> BenchConversion:
        if self.resolve_voice(spec.voice) is None:
            raise EngineRefused(f"bench has no voice {spec.voice!r}.", code="unknown_voice", remedy=f"It has {VOICE}.")
        return BenchConversion(round(self.latency_ms * SAMPLE_RATE / 1000), self._work_s)

    def resolve_voice(self, voice: str) -> str | None:
        return VOICE if voice in ("", VOICE) else None


class BenchConversion:
    """One utterance; what it keeps is `latency_ms` of audio."""

    __slots__ = ("_closed", "_held", "_latency", "_work_s")

    def __init__(self, latency: int, work_s: float) -> None:
        self._latency = latency
        self._work_s = work_s
        self._held: Samples = np.zeros(0, np.float32)
        self._closed = False

    async def convert(self, audio: Samples) -> Samples:
        self._check()
        await asyncio.sleep(self._work_s)
        return self._filtered(np.concatenate([self._held, audio]))

    async def finish(self) -> Samples:
        self._check()
        await asyncio.sleep(self._work_s)
        rest = self._filtered(np.concatenate([self._held, np.zeros(self._latency, np.float32)]))
        self._closed = True
        return rest

    def close(self) -> None:
        self._closed = True
        self._held = np.zeros(0, np.float32)

    def _check(self) -> None:
        if self._closed:
            raise EngineError("This conversion is over.", code="stream_closed")

    def _filtered(self, known: Samples) -> Samples:
        ready = max(0, len(known) - self._latency)
        self._held = known[ready:]
        result: Samples = (known[:ready] + known[self._latency : self._latency + ready]) * np.float32(0.5)
        return result
