"""Voices of sherpa-onnx from a folder of files: Piper, Kokoro, Matcha, Kitten, Supertonic, and VITS with a lexicon.

Laws:
- A text is spoken in pieces (`sherpa_speech`); the next is computed when the last one's audio has been taken. So what is handed over is
  bounded by one piece, and other sessions take their turns between pieces. A caller that leaves stops the synthesis after the sentence that
  is being computed.
- The event loop never waits: phonemes and models run on the thread of a `ModelWorker`.
- A model is loaded in a child process first, because the library ends the process on one that it cannot use (see `sherpa.trial`).

sherpa-onnx tells no word times, and its voices vary: `timings` and `deterministic` are False.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, Final

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
)
from parley.engines.sherpa import folder, library
from parley.engines.sherpa.trial import try_out
from parley.engines.tts import espeak_library, sherpa_speech, sherpa_voices
from parley.engines.tts.sherpa_speech import SherpaPiece, SherpaSpeech
from parley.engines.tts.sherpa_voices import PHONEMES, Speaker, VoiceModel
from parley.text.language_tags import primary_tag

MIN_SPEED: Final = 0.25
MAX_SPEED: Final = 4.0

STUCK_S: Final = 60.0
"""A sentence takes seconds at most on a slow machine; one that takes so long has hung."""

_TRIAL_PHONEMES: Final = "a mama papa."


class SherpaSynthesizer:
    """sherpa-onnx as a `SpeechSynthesizer`. Any number of requests may run at once; they take turns piece by piece."""

    def __init__(self, model: str, threads: int, provider: str, precision: str, voice: str) -> None:
        self._name = f"sherpa:{model}"
        self._path = model
        self._threads = threads
        self._provider = provider
        self._precision = precision
        self._default = voice
        self._model = self._peek()
        self._speech: SherpaSpeech | None = None
        self._worker: ModelWorker | None = None

    @property
    def info(self) -> EngineInfo:
        model = self._model
        what = f"{model.kind} in {model.folder.path.name}" if model else "voices from a folder"
        entry = folder.entry(self._path, "tts")
        named = entry.licence if entry else model.folder.licence if model else ""
        return EngineInfo(
            stage="tts",
            name="sherpa",
            summary=f"sherpa-onnx: {what}",
            needs=("sherpa-onnx", "a model"),
            sample_rate=model.sample_rate if model else 24_000,
            languages=model.languages if model else (),
            voices=tuple(speaker.name for speaker in model.speakers) if model else (),
            licence=named or "Apache-2.0 (the library); each voice has its own",
            normalizes=model is not None and model.front == PHONEMES,
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        return self._worker.fault if self._worker else None

    def missing_models(self) -> tuple[str, ...]:
        """The model of the catalogue that is named, where it is not on this machine."""
        return folder.missing(self._path, "tts")

    async def open(self) -> None:
        if self._worker is not None:
            return
        self._model = model = await asyncio.to_thread(self._identify)
        if self._default and model.resolve(self._default, "", "") is None:
            raise EngineUnavailable(
                f"{self._name} has no voice {self._default!r}.", _voices_of(model), code="unknown_voice"
            )
        await asyncio.to_thread(library.load)
        if model.front == PHONEMES:
            await asyncio.to_thread(espeak_library.load)
        with tempfile.TemporaryDirectory(prefix="parley-voice-") as converted:
            loaded = await self._load(model, Path(converted))
        symbols = loaded[1]
        self._speech = SherpaSpeech(loaded[0], symbols)
        if self._speech.sample_rate != model.sample_rate:
            raise EngineUnavailable(
                f"{self._name} speaks at {self._speech.sample_rate} Hz, and its files say {model.sample_rate}.",
                "Download the voice again.",
                code="load_failed",
            )
        self._worker = ModelWorker(self._name, title="Speech synthesis", code_prefix="synthesizer", limit_s=STUCK_S)

    async def _load(self, model: VoiceModel, into: Path) -> tuple[Any, frozenset[int] | None]:
        """The loaded model, and its phonemes; a voice of Piper's is converted first."""
        recipe = sherpa_voices.recipe(model, self._threads, self._provider)
        key = recipe
        if model.piper is not None:
            recipe = {**recipe, "files": await asyncio.to_thread(sherpa_voices.convert, model, into)}
            key = {**key, "described": str(model.piper)}
        phonemes = _TRIAL_PHONEMES if model.front == PHONEMES else ""
        language = next(iter(model.languages), "")
        spoken = {"recipe": recipe, "phonemes": phonemes, "text": "" if phonemes else "a one 1", "language": language}
        await try_out(f"{sherpa_speech.__name__}:load_once", spoken, self._name, key=key)
        try:
            loaded = await asyncio.to_thread(sherpa_speech.build, **recipe)
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineUnavailable(
                f"{self._name} cannot be loaded: {error}.", "Download the voice again.", code="load_failed"
            ) from error
        symbols = await asyncio.to_thread(sherpa_speech.known_symbols, recipe["files"]) if phonemes else None
        return loaded, symbols

    async def close(self) -> None:
        worker, self._worker, self._speech = self._worker, None, None
        if worker is not None:
            await worker.close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        speaker = self._model.resolve(voice, language, self._default) if self._model else None
        return speaker.name if speaker else None

    def voice_in(self, voice: str, language: str) -> str | None:
        """See `VoicesByLanguage`."""
        return self.resolve_voice(voice, language) or self.resolve_voice("", language)

    def describe_voice(self, voice: str) -> VoiceDescription:
        speakers = self._model.speakers if self._model else ()
        languages = next((speaker.languages for speaker in speakers if speaker.name == voice), ())
        return VoiceDescription(languages[0] if len(languages) == 1 else "")

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the text's audio at the model's rate, a sentence at a time.

        Raises `EngineRefused` for an unknown voice (`unknown_voice`) or language (`unsupported_language`), `EngineError` for a text that
        the voice cannot read (`unreadable_text`).
        """
        worker, speech, model = self._worker, self._speech, self._model
        if worker is None or speech is None or model is None:
            raise EngineUnavailable("sherpa-onnx is not open.", code="not_open")
        speaker = self._speaker_for(request, model)
        speed = min(MAX_SPEED, max(MIN_SPEED, request.speed))
        language = primary_tag(request.language) or next(iter(speaker.languages), "")
        for piece in await worker.call(partial(speech.pieces, request.text, speaker.phonemizer), request.share):
            speak = partial(_speak, speech, piece, speaker.number, speed, language)
            async with aclosing(worker.stream(speak, request.share)) as batches:
                async for audio in batches:
                    for start in range(0, len(audio), speech.sample_rate // 2):
                        yield SpeechChunk(audio[start : start + speech.sample_rate // 2], speech.sample_rate)

    def _speaker_for(self, request: SpeechRequest, model: VoiceModel) -> Speaker:
        speaker = model.resolve(request.voice, request.language, self._default)
        if speaker is not None:
            return speaker
        if model.resolve(request.voice, "", self._default) is None:
            raise EngineRefused(
                f"{self._name} has no voice {request.voice!r}.", _voices_of(model), code="unknown_voice"
            )
        raise EngineRefused(
            f"{self._name} does not speak the language {request.language!r} with this voice.",
            f"It speaks {', '.join(model.languages)}.",
            code="unsupported_language",
        )

    def _identify(self) -> VoiceModel:
        return sherpa_voices.identify(folder.find(self._path, "tts"), self._precision)

    def _peek(self) -> VoiceModel | None:
        """The model, for a description before `open()`; None where it cannot be read, which `open()` then says."""
        try:
            return self._identify()
        except EngineError:
            return None


def _speak(
    speech: SherpaSpeech, piece: SherpaPiece, speaker: int, speed: float, language: str, emit: Callable[[Samples], bool]
) -> None:
    """Called on the model's thread."""
    speech.speak(piece, speaker, speed, language, emit)


def _voices_of(model: VoiceModel) -> str:
    names = [speaker.name for speaker in model.speakers]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"Its voices: {', '.join(names[:12])}{more}; OpenAI's names stand for one of them."


def create(model: str, options: Mapping[str, object]) -> SherpaSynthesizer:
    """Entry point `tts.sherpa`: `sherpa:FOLDER` or a model of the catalogue. Options: `voice` (the default one), `threads`, `provider`,
    `precision`."""
    reader = OptionReader("tts sherpa", options)
    voice = reader.text("voice")
    threads = int(reader.number("threads", min(4, os.cpu_count() or 1), 1, 256))
    provider = reader.choice("provider", "cpu", ("cpu", "cuda", "coreml"))
    precision = reader.choice("precision", "int8", folder.PRECISIONS)
    reader.close()
    return SherpaSynthesizer(model, threads, provider, precision, voice)
