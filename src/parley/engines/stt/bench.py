"""A recogniser of fixed latency, for measuring everything around it: hears nothing, always writes the same word.

Laws: the transcript comes `final_ms` after `flush()` or `finish()`; no partials; audio is dropped as it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from parley.engines.options import OptionReader
from parley.engines.ports import EngineInfo, Partial, RecognitionSpec, Samples, Transcript

SAMPLE_RATE: Final = 16_000


def create(model: str, options: Mapping[str, object]) -> BenchRecognizer:
    """`bench`; options `final_ms` (100) and `text` ("bench")."""
    reader = OptionReader("stt bench", options)
    engine = BenchRecognizer(final_ms=reader.number("final_ms", 100, 0, 60_000), text=reader.text("text", "bench"))
    reader.close()
    return engine


class BenchRecognizer:
    """A `SpeechRecognizer` that costs nothing and takes exactly as long as its options say."""

    def __init__(self, final_ms: float, text: str) -> None:
        self._final_s = final_ms / 1000
        self._transcript = Transcript(text)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="stt",
            name="bench",
            measuring=True,
            summary=f"A fixed word of fixed latency, for benchmarks (final after {self._final_s * 1000:g} ms).",
            sample_rate=SAMPLE_RATE,
            streams=False,
            deterministic=True,
        )

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> BenchStream:
        return BenchStream(self._final_s, self._transcript)


class BenchStream:
    """One turn: nothing is kept of it."""

    __slots__ = ("_final_s", "_transcript")

    def __init__(self, final_s: float, transcript: Transcript) -> None:
        self._final_s = final_s
        self._transcript = transcript

    def feed(self, audio: Samples) -> None:
        return None

    async def flush(self) -> Transcript:
        await asyncio.sleep(self._final_s)
        return self._transcript

    async def finish(self) -> Transcript:
        return await self.flush()

    def close(self) -> None:
        return None
