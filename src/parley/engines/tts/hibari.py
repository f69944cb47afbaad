"""Speech from hibari: a natural English voice in 14 MB, without a network, some seventy times faster than it is heard.

Laws:
- A text is spoken in pieces (`hibari_text`); the next is computed when the last one's audio has been taken. So what is handed over is
  bounded by one piece, and other sessions take their turns between pieces.
- Words are the text's own, split at white space, in order; their times are exact to 25 ms.
- The event loop never waits: text and models run on the threads of a `ModelWorker`.

The package reads numbers, dates, times, currencies, units and abbreviations aloud itself. Speed 0.5 to 2; others are clamped to that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Final

from parley.engines import fingerprints, weights
from parley.engines.model_worker import ModelWorker
from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    Samples,
    SpeechChunk,
    SpeechRequest,
    VoiceDescription,
    Word,
)
from parley.engines.tts import hibari_voices
from parley.engines.tts.hibari_model import HibariModel
from parley.engines.tts.hibari_text import missing
from parley.engines.tts.hibari_voices import DEFAULT, LANGUAGE, VOICES, Catalogue
from parley.engines.tts.phoneme_pieces import SAMPLE_RATE, Piece, in_chunks
from parley.invocation import command

STUCK_S: Final = 20.0
"""A piece takes a fifth of a second; one that takes so long has hung."""

MAX_THREADS: Final = 4


def create(model: str, options: Mapping[str, object]) -> HibariSynthesizer:
    """`hibari[:VOICE]`; option `voice` (the default voice)."""
    reader = OptionReader("tts hibari", options)
    voice = reader.text("voice", model)
    reader.close()
    return HibariSynthesizer(voice)


class HibariSynthesizer:
    """hibari as a `SpeechSynthesizer`. Any number of requests may run at once; they take turns piece by piece."""

    def __init__(self, voice: str = "") -> None:
        self._default = voice.strip().lower() or DEFAULT
        self._catalogue = hibari_voices.installed()
        self._models: dict[str, asyncio.Task[HibariModel]] = {}
        self._worker: ModelWorker | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="tts",
            name="hibari",
            summary="hibari: a small, natural English voice, without a network; other voices where their files are installed.",
            needs=("hibari-tts", "onnxruntime"),
            sample_rate=SAMPLE_RATE,
            languages=(LANGUAGE,),
            voices=tuple(self._catalogue.files),
            licence="Apache-2.0",
            timings=True,
            normalizes=True,
            deterministic=True,
        )

    @property
    def knows_voices(self) -> bool:
        """Its voices lie on this machine."""
        return True

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        return self._worker.fault if self._worker else None

    def missing_models(self) -> tuple[str, ...]:
        """The default voice, where it has a model of its own that is not on this machine."""
        return () if self._default in hibari_voices.installed().files else weights.missing("hibari", self._default)

    async def open(self) -> None:
        self._catalogue = hibari_voices.installed()
        if not self._catalogue.files:
            raise missing()
        if self._default not in self._catalogue.files:
            raise EngineUnavailable(
                f"hibari has no voice {self._default!r} on this machine.",
                _voices_there(self._catalogue),
                code="unknown_voice",
            )
        threads = min(MAX_THREADS, os.cpu_count() or 1)
        self._worker = ModelWorker(
            "hibari", title="Speech synthesis", code_prefix="synthesizer", limit_s=STUCK_S, threads=threads
        )
        try:
            async for _ in self.speak(SpeechRequest("Ready.")):
                pass
        except EngineError as error:
            await self.close()
            raise EngineUnavailable.of(error) from error

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        self._models.clear()
        if worker is not None:
            await worker.close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return self._catalogue.resolve(voice, language, self._default)

    def voice_in(self, voice: str, language: str) -> str | None:
        return voice if self.resolve_voice("", language) is not None else None

    def describe_voice(self, voice: str) -> VoiceDescription:
        return self._catalogue.describe(voice)

    def fingerprint(self, voice: str, language: str) -> str:
        """The voice is a whole model in a file of its own."""
        _, path = self._catalogue.files[self._voice_for(SpeechRequest("", voice, language))]
        return f"{fingerprints.versions('hibari-tts', 'onnxruntime', 'numpy')} {fingerprints.file_digest(path)}"

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the text's audio at 24,000 Hz; `words` of each chunk are all words begun so far.

        Raises `EngineRefused` for an unknown voice (`unknown_voice`) or language (`unsupported_language`).
        """
        worker = self._worker
        if worker is None:
            raise EngineUnavailable("hibari is not open.", code="not_open")
        model = await self._model(worker, self._voice_for(request))
        pieces = await worker.call(partial(model.pieces, request.text), request.share)

        def say(piece: Piece, start_ms: float) -> Awaitable[tuple[Samples, tuple[Word, ...]]]:
            return worker.call(partial(model.speak, piece, request.speed, start_ms), request.share)

        async with aclosing(in_chunks(pieces, say)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _voice_for(self, request: SpeechRequest) -> str:
        resolved = self.resolve_voice(request.voice, request.language)
        if resolved is not None:
            return resolved
        if self.resolve_voice(request.voice) is None:
            raise EngineRefused(
                f"hibari has no voice {request.voice!r}.", _voices_there(self._catalogue), code="unknown_voice"
            )
        raise EngineRefused(
            f"hibari speaks English, and not the language {request.language!r}.",
            "Use --tts auto: espeak-ng speaks the other languages.",
            code="unsupported_language",
        )

    async def _model(self, worker: ModelWorker, voice: str) -> HibariModel:
        """The voice's model, which is loaded once, when it is first asked for."""
        task = self._models.get(voice)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._models[voice] = asyncio.create_task(
                worker.call(partial(HibariModel, *self._catalogue.files[voice]))
            )
        return await asyncio.shield(task)


def _voices_there(catalogue: Catalogue) -> str:
    there = ", ".join(catalogue.files)
    others = ", ".join(voice.name for voice in VOICES if voice.name not in catalogue.files)
    return f"Installed: {there}, and OpenAI's voice names." + (
        f" Others: {command('models', 'pull', 'hibari:NAME')}, of {others}." if others else ""
    )
