"""The smallest recogniser on `OfflineTurns`: a word for each burst of sound, numbered by its length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parley.audio import levels
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    Partial,
    RecognitionSpec,
    Samples,
    TokenLogprob,
    Transcript,
    Word,
)
from parley.engines.stt.offline_turns import OfflineStream, OfflineTurns, Transcribe

FRAME_MS = 20
LOUD = 0.01


def transcribe(audio: Samples, spec: RecognitionSpec) -> Transcript:
    """`burst7` for seven loud frames of 20 ms in a row."""
    loud = levels.frame_rms(audio, 16 * FRAME_MS) > LOUD
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]])))
    words = tuple(
        Word(f"burst{end - start}", float(start * FRAME_MS), float(end * FRAME_MS))
        for start, end in edges.reshape(-1, 2)
    )
    text = " ".join(word.text for word in words)
    logprobs = tuple(TokenLogprob(word.text, 0.0) for word in words)
    return Transcript(text, words, spec.language, 1.0, logprobs if spec.logprobs else (), language_confidence=1.0)


class BurstRecognizer:
    """The `SpeechRecognizer` port."""

    def __init__(self, transcribe: Transcribe = transcribe, *, limit_s: float = 30.0) -> None:
        self._transcribe = transcribe
        self._limit_s = limit_s
        self._turns: OfflineTurns | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            "stt",
            "bursts",
            "Counts bursts of sound.",
            sample_rate=16_000,
            logprobs=True,
            timings=True,
            deterministic=True,
        )

    @property
    def fault(self) -> EngineError | None:
        return self._turns.fault if self._turns else None

    async def open(self) -> None:
        self._turns = OfflineTurns("Bursts", self._transcribe, limit_s=self._limit_s)

    async def close(self) -> None:
        turns, self._turns = self._turns, None
        if turns is not None:
            await turns.close()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> OfflineStream:
        if self._turns is None:
            raise EngineError("Bursts is not open.", code="engine_closed")
        return self._turns.open_stream(spec, on_partial)
