"""Speech from Phonon and Pocket TTS on the CPU, through the package `ptts`: five languages, and voices cloned from ten seconds of speech.

Laws:
- A request is spoken a frame at a time, and requests take turns. The library works ahead only as far as its bounded buffers reach; closing
  the iterator stops it.
- Nothing is downloaded here: weights and voices are those of a folder, or of a repository in the Hub's cache.
- Clients name voices; only the owner names recordings to clone, and start-up says aloud which voices are cloned.
- The library has one speed; other speeds are made of its audio (`tempo`).

Source: https://github.com/gradium-ai/xn-ptts (MIT or Apache-2.0); the weights have licences of their own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from parley.engines import fingerprints
from parley.engines.model_worker import ModelWorker
from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    SpeechChunk,
    SpeechRequest,
    VoiceSample,
)
from parley.engines.tts.phonon_model import SPELT, PhononLoading, PhononModel, PhononUtterance
from parley.engines.tts.phonon_weights import languages_of, licence_of, locate, missing
from parley.engines.tts.tempo import Tempo
from parley.text.language_tags import primary_tag

SAMPLE_RATE: Final = 24_000
"""Of every published checkpoint."""

STUCK_S: Final = 20.0
"""A frame takes some hundredths of a second; one that takes so long has hung."""

MAX_UTTERANCES: Final = 64
"""Requests spoken at once, each of which has threads of the library and a cache of its own."""


def create(model: str, options: Mapping[str, object]) -> PhononSynthesizer:
    """`phonon:FOLDER`, or `phonon:OWNER/NAME` of the Hub. Options: `voice` (where the client names none), `clips` (a recording or voice
    file, or a folder of them: each one is a voice by the name of its file), `quant` (`q8_0`...: the weight format; the files' own),
    `threads`, `temperature` (0.3), `seed`.
    """
    reader = OptionReader("tts phonon", options)
    voice = reader.text("voice")
    loading = PhononLoading(
        model=model,
        quant=reader.text("quant"),
        clips=reader.text("clips"),
        threads=int(reader.number("threads", min(4, os.cpu_count() or 1), 1, 256)),
        temperature=reader.number("temperature", 0.3, 0, 2),
        seed=int(reader.number("seed", 1, 0, 2**53)),
    )
    reader.close()
    return PhononSynthesizer(loading, voice)


class PhononSynthesizer:
    """Phonon as a `SpeechSynthesizer`. Any number of requests may run at once; they take turns frame by frame."""

    def __init__(self, loading: PhononLoading, voice: str = "") -> None:
        self._loading = loading
        self._voice = voice
        self._model: PhononModel | None = None
        self._worker: ModelWorker | None = None
        self._speaking = 0

    @property
    def info(self) -> EngineInfo:
        licence = licence_of(self._loading.model)
        languages = self._model.languages if self._model else languages_of(self._loading.model)
        return EngineInfo(
            stage="tts",
            name="phonon",
            summary="Phonon and Pocket TTS on the CPU: natural voices, and voices cloned from ten seconds of speech.",
            needs=("ptts", "a checkpoint"),
            sample_rate=SAMPLE_RATE,
            languages=languages,
            voices=self._model.voices if self._model else (),
            licence="MIT or Apache-2.0" + (f", weights {licence}" if licence else ""),
            normalizes=bool(languages) and set(languages) <= SPELT,
            deterministic=True,
        )

    @property
    def notice(self) -> str:
        """What a user should know: which voices are cloned, and a licence that restricts use."""
        cloned = self._model.cloned if self._model else ()
        said = []
        if cloned:
            said.append(
                f"Cloned voices: {', '.join(cloned)}. Use a person's voice with the consent of that person only, and tell listeners that "
                "the speech is made by a machine."
            )
        licence = licence_of(self._loading.model)
        if "NC" in licence:
            said.append(f"The weights of phonon:{self._loading.model} are under {licence}.")
        return " ".join(said)

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        return self._worker.fault if self._worker else None

    def missing_models(self) -> tuple[str, ...]:
        """The repository of the Hub that is named, where it is not on this machine."""
        return missing(self._loading.model)

    async def open(self) -> None:
        if self._worker is not None:
            return
        model = await asyncio.to_thread(PhononModel, self._loading)
        if model.sample_rate != SAMPLE_RATE:
            raise EngineUnavailable(
                f"The checkpoint {self._loading.model} speaks at {model.sample_rate} Hz.",
                f"Use one at {SAMPLE_RATE} Hz, as every published one is.",
                code="invalid_weights",
            )
        if self._voice and self._voice not in model.voices:
            raise EngineUnavailable(
                f"phonon:{self._loading.model} has no voice {self._voice!r}.",
                f"It has {', '.join(model.voices)}; the option `clips` adds recordings.",
                code="unknown_voice",
            )
        self._model = model
        self._worker = ModelWorker(
            f"phonon:{self._loading.model}",
            title="Speech synthesis",
            code_prefix="synthesizer",
            limit_s=STUCK_S,
            threads=2,
        )
        async for _ in self.speak(SpeechRequest("Ready.")):
            pass

    async def close(self) -> None:
        worker, self._worker, self._model = self._worker, None, None
        if worker is not None:
            await worker.close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        if self._model is None or (language and primary_tag(language) not in self._model.languages):
            return None
        if self._model.has(voice):
            return voice
        if voice and voice not in OPENAI_VOICES:
            return None
        if self._voice:
            return self._voice
        return "default" if "default" in self._model.voices else self._model.voices[0]

    def voice_in(self, voice: str, language: str) -> str | None:
        """Every voice speaks every language of the checkpoint."""
        return voice if self.resolve_voice("", language) is not None else None

    @property
    def clones(self) -> bool:
        return self._model is None or self._model.clones

    @property
    def needs_text(self) -> bool:
        return False

    async def clone_voice(self, sample: VoiceSample) -> str:
        """The engine's name of the voice of a recording, which takes about a second once; `phonon_model.MAX_LENT` voices are kept.

        Raises `EngineRefused` (`invalid_sample`).
        """
        model, worker = self._model, self._worker
        if model is None or worker is None:
            raise EngineUnavailable("Phonon is not open.", code="not_open")
        return await worker.call(partial(model.lend, sample))

    def fingerprint(self, voice: str, language: str) -> str:
        """Every file of the checkpoint and of the clips: voices lie in either."""
        if self._model is None:
            raise EngineUnavailable("Phonon is not open.", code="not_open")
        resolved = self._voice_for(self._model, SpeechRequest("", voice, language))
        files = _files_of(locate(self._loading.model))
        if self._loading.clips:
            files += _files_of(Path(self._loading.clips).expanduser())
        digests = (f"{fingerprints.file_digest(file)} {file.name}" for file in files)
        return "\n".join((fingerprints.versions("ptts"), resolved, *digests))

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the text's audio at 24,000 Hz.

        Raises `EngineRefused` for an unknown voice (`unknown_voice`) or language (`unsupported_language`), or where too much is being
        spoken (`overloaded`).
        """
        model, worker = self._model, self._worker
        if model is None or worker is None:
            raise EngineUnavailable("Phonon is not open.", code="not_open")
        voice = self._voice_for(model, request)
        if self._speaking >= MAX_UTTERANCES:
            raise EngineRefused(
                f"{MAX_UTTERANCES} texts are being spoken already.", "Try again later.", code="overloaded"
            )
        language = primary_tag(request.language) or model.languages[0]
        speed = min(4.0, max(0.25, request.speed))
        tempo = None if speed == 1.0 else await asyncio.to_thread(Tempo, SAMPLE_RATE, speed)
        self._speaking += 1
        utterance: PhononUtterance | None = None
        try:
            # One that is begun for a caller who has left meanwhile is dropped, which stops it as `close()` does.
            utterance = await worker.call(partial(model.begin, request.text, voice, language), request.share)
            while utterance is not None and (audio := await worker.call(utterance.next, request.share)) is not None:
                if tempo is not None:
                    audio = tempo.feed(audio)
                if audio.size:
                    yield SpeechChunk(audio, SAMPLE_RATE)
            if tempo is not None and (rest := tempo.end()).size:
                yield SpeechChunk(rest, SAMPLE_RATE)
        finally:
            self._speaking -= 1
            if utterance is not None:
                await asyncio.to_thread(utterance.close)

    def _voice_for(self, model: PhononModel, request: SpeechRequest) -> str:
        resolved = self.resolve_voice(request.voice, request.language)
        if resolved is not None:
            return resolved
        if self.resolve_voice(request.voice) is None:
            raise EngineRefused(
                f"phonon:{self._loading.model} has no voice {request.voice!r}.",
                f"It has {', '.join(model.voices)}, and OpenAI's voice names.",
                code="unknown_voice",
            )
        raise EngineRefused(
            f"phonon:{self._loading.model} does not speak the language {request.language!r}.",
            f"It speaks {', '.join(model.languages)}.",
            code="unsupported_language",
        )


def _files_of(where: Path) -> list[Path]:
    return sorted(file for file in where.rglob("*") if file.is_file()) if where.is_dir() else [where]
