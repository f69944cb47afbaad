"""Two engines whose libraries block: a recogniser that counts beeps, and a synthesizer that beeps once for each word.

`count_beeps` and `beeps` stand for a library's calls, which hold their thread for tens of milliseconds and more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import numpy as np

from parley.engines.model_worker import ModelWorker
from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    Partial,
    RecognitionSpec,
    RecognizerStream,
    Samples,
    SpeechChunk,
    SpeechRequest,
    Transcript,
)
from parley.engines.stt.offline_turns import OfflineTurns

RATE = 16_000
FRAME = 320


def count_beeps(audio: Samples) -> int:
    """How many stretches of 20 ms frames are loud."""
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.sqrt((frames**2).mean(axis=1)) > 0.02
    return int(np.count_nonzero(np.diff(loud.astype(int), prepend=0) == 1))


def beeps(text: str, hertz: float, speed: float) -> Iterator[Samples]:
    """At speed 1, a fifth of a second of sound and a tenth of silence for each word."""
    time = np.arange(round(RATE / 5 / speed)) / RATE
    beep = (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
    for _ in text.split():
        yield np.concatenate([beep, np.zeros(round(RATE / 10 / speed), np.float32)])


def create_recognizer(model: str, options: Mapping[str, object]) -> BeepRecognizer:
    """`beeps`; no options."""
    OptionReader("stt beeps", options).close()
    return BeepRecognizer()


class BeepRecognizer:
    """A `SpeechRecognizer`."""

    def __init__(self) -> None:
        self._turns: OfflineTurns | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("stt", "beeps", "Counts beeps.", sample_rate=RATE, deterministic=True)

    @property
    def fault(self) -> EngineError | None:
        return self._turns.fault if self._turns else None

    async def open(self) -> None:
        self._turns = OfflineTurns("Beeps", self._transcribe)

    async def close(self) -> None:
        turns, self._turns = self._turns, None
        if turns is not None:
            await turns.close()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RecognizerStream:
        if self._turns is None:
            raise EngineError("Beeps is not open.", code="engine_closed")
        return self._turns.open_stream(spec, on_partial)

    def _transcribe(self, audio: Samples, spec: RecognitionSpec) -> Transcript:
        return Transcript(f"I heard {count_beeps(audio)} beeps.", language="en", language_confidence=1.0)


def create_synthesizer(model: str, options: Mapping[str, object]) -> BeepSynthesizer:
    """`beeps`; option `hertz` (440)."""
    reader = OptionReader("tts beeps", options)
    engine = BeepSynthesizer(reader.number("hertz", 440, 50, 4_000))
    reader.close()
    return engine


class BeepSynthesizer:
    """A `SpeechSynthesizer`."""

    def __init__(self, hertz: float) -> None:
        self._hertz = hertz
        self._worker: ModelWorker | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            "tts", "beeps", "A beep for each word.", sample_rate=RATE, voices=("beep",), deterministic=True
        )

    @property
    def fault(self) -> EngineError | None:
        return self._worker.fault if self._worker else None

    async def open(self) -> None:
        self._worker = ModelWorker("Beeps", title="Speech synthesis", code_prefix="synthesizer")

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        if self._worker is None:
            raise EngineError("Beeps is not open.", code="engine_closed")
        if self.resolve_voice(request.voice) is None:
            raise EngineRefused(f"There is no voice {request.voice!r}.", "Leave it out.", code="unknown_voice")

        def synthesize(emit: Callable[[Samples], bool]) -> None:
            for audio in beeps(request.text, self._hertz, request.speed):
                if not emit(audio):
                    return

        async for audio in self._worker.stream(synthesize, request.share):
            yield SpeechChunk(audio, RATE)

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return "beep" if voice in ("", "beep", *OPENAI_VOICES) else None
