"""A synthesiser of fixed latency, for measuring everything around it: no model, the same audio every time.

Laws:
- The first chunk comes `first_audio_ms` after the request, then one every `chunk_ms / pace`; by default 100 ms, then ten chunks of
  100 ms at twice real time. Times are reckoned from the request, so that lateness never adds up.
- It speaks whatever it is given, always at the same length: one request is one reply, so the bench model writes a single clause.
- The audio is an audible tone (220 Hz with a syllable-like beat), made once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

import numpy as np

from parley.engines.options import OptionReader
from parley.engines.ports import EngineInfo, Samples, SpeechChunk, SpeechRequest

SAMPLE_RATE: Final = 24_000
_TONE_HZ: Final = 220.0
_BEAT_HZ: Final = 4.0


def create(model: str, options: Mapping[str, object]) -> BenchSynthesizer:
    """`bench`; options `first_audio_ms` (100), `chunks` (10), `chunk_ms` (100), `pace` (2.0 times real time)."""
    reader = OptionReader("tts bench", options)
    engine = BenchSynthesizer(
        first_audio_ms=reader.number("first_audio_ms", 100, 0, 60_000),
        chunks=int(reader.number("chunks", 10, 1, 10_000)),
        chunk_ms=reader.number("chunk_ms", 100, 1, 10_000),
        pace=reader.number("pace", 2.0, 0.1, 1000),
    )
    reader.close()
    return engine


class BenchSynthesizer:
    """A `SpeechSynthesizer` that costs nothing and takes exactly as long as its options say."""

    def __init__(self, first_audio_ms: float, chunks: int, chunk_ms: float, pace: float) -> None:
        self._first_s = first_audio_ms / 1000
        self._step_s = chunk_ms / 1000 / pace
        count = round(SAMPLE_RATE * chunk_ms / 1000)
        self._chunks = tuple(np.array_split(_tone(count * chunks), chunks))

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="tts",
            name="bench",
            measuring=True,
            summary=f"A tone of fixed latency, for benchmarks (first audio after {self._first_s * 1000:g} ms).",
            sample_rate=SAMPLE_RATE,
            voices=("tone",),
            normalizes=True,
            deterministic=True,
        )

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """The tone, whatever the text; nothing for an empty one."""
        if not request.text.strip():
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + self._first_s
        for audio in self._chunks:
            delay = due - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            yield SpeechChunk(audio, SAMPLE_RATE)
            due += self._step_s

    def fingerprint(self, voice: str, language: str) -> str:
        """The tone is always the same."""
        return f"tone at {SAMPLE_RATE}"

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        """Every voice is the tone: clients name voices, and a benchmark must not stumble over them."""
        return "tone"


def _tone(samples: int) -> Samples:
    time = np.arange(samples, dtype=np.float64) / SAMPLE_RATE
    loudness = 0.2 * (0.6 + 0.4 * np.cos(2 * np.pi * _BEAT_HZ * time))
    tone: Samples = (loudness * np.sin(2 * np.pi * _TONE_HZ * time)).astype(np.float32)
    return tone
