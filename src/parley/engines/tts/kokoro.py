"""Speech from Kokoro-82M on ONNX Runtime: 41 published voices in six languages, mixes of them, and voices of your own.

Laws:
- A text is spoken in pieces (`phoneme_pieces`), far below the model's 510 phonemes; the next is computed when the last one's audio has been
  taken. So what is handed over is bounded by one piece, and other sessions take their turns between pieces.
- Words are the text's own, split at white space, in order; their times are exact to 25 ms, where the graph tells them.
- The event loop never waits: files, text and models run on the threads of a `ModelWorker`.

Numbers, dates, times, currencies, units and abbreviations are read aloud (`kokoro_text`). Speed 0.5 to 2; others are clamped to that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from parley.engines import fingerprints
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
    VoiceTensor,
    Word,
)
from parley.engines.tts import kokoro_text, kokoro_voices, kokoro_weights
from parley.engines.tts.kokoro_model import KokoroModel
from parley.engines.tts.kokoro_voices import Styles, reading_of
from parley.engines.tts.phoneme_pieces import SAMPLE_RATE, Piece, in_chunks
from parley.text import voice_mix
from parley.text.language_tags import primary_tag

STUCK_S: Final = 120.0
"""A piece of 15 s takes half a minute on a slow core; one that takes four times as long has hung."""

MAX_THREADS: Final = 4
VOICES_NAMED: Final = 12
"""In a message."""


def create(model: str, options: Mapping[str, object]) -> KokoroSynthesizer:
    """`kokoro[:FOLDER|GRAPH|NAME]`; options `voice` (the default voice or mix) and `threads` (of one call, 1..16)."""
    reader = OptionReader("tts kokoro", options)
    voice = reader.text("voice", "")
    threads = reader.number("threads", min(MAX_THREADS, os.cpu_count() or 1), 1, 16)
    reader.close()
    return KokoroSynthesizer(model, voice, round(threads))


@dataclass(slots=True)
class _Loaded:
    """What an open engine has. `readers` are made when their language is first spoken."""

    worker: ModelWorker
    model: KokoroModel
    styles: Styles
    readers: dict[str, asyncio.Task[kokoro_text.Reader]] = field(default_factory=dict)


class KokoroSynthesizer:
    """Kokoro as a `SpeechSynthesizer`. Any number of requests may run at once; they take turns piece by piece."""

    def __init__(self, model: str = "", voice: str = "", threads: int = 1) -> None:
        self._model = model
        self._default = voice.strip().lower()
        self._threads = threads
        self._voices = kokoro_voices.listed(kokoro_weights.folder_of(model))
        self._loaded: _Loaded | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="tts",
            name="kokoro",
            summary="Kokoro-82M: natural voices in six languages, mixes of them, and your own; wants four cores or more.",
            needs=("onnxruntime", "hibari-tts", "espeakng-loader"),
            sample_rate=SAMPLE_RATE,
            languages=self._voices.languages() or tuple(sorted({primary_tag(one) for one in kokoro_text.READINGS})),
            voices=self._voices.names(),
            mixes=True,
            licence="Apache-2.0; languages but English load espeak-ng, GPL-3.0-or-later",
            timings=self._loaded is None or self._loaded.model.times_words,
            normalizes=True,
            deterministic=True,
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        return self._loaded.worker.fault if self._loaded else None

    def missing_models(self) -> tuple[str, ...]:
        """The graph and its voices, where they are not on this machine."""
        return kokoro_weights.missing(self._model)

    async def open(self) -> None:
        graph = await asyncio.to_thread(kokoro_weights.locate, self._model)
        self._voices = await asyncio.to_thread(kokoro_voices.listed, kokoro_weights.folder_of(self._model))
        if not self._voices.files:
            raise EngineUnavailable(
                f"There is no voice of Kokoro in {graph.parent}.", kokoro_weights.remedy(), code="missing_voices"
            )
        if self.resolve_voice("") is None:
            raise EngineUnavailable(*self._unknown(self._default), code="unknown_voice")
        worker = ModelWorker("Kokoro", title="Speech synthesis", code_prefix="synthesizer", limit_s=STUCK_S)
        try:
            model = await worker.call(partial(KokoroModel, graph, self._threads))
            self._loaded = _Loaded(worker, model, Styles(self._voices))
            async for _ in self.speak(SpeechRequest("No.")):
                pass
        except EngineError as error:
            await self.close()
            await worker.close()
            raise EngineUnavailable.of(error) from error

    async def close(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await loaded.worker.close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return self._voices.resolve(voice, language, self._default)

    def voice_in(self, voice: str, language: str) -> str | None:
        return self._voices.voice_in(voice, language, self._default)

    def describe_voice(self, voice: str) -> VoiceDescription:
        return self._voices.describe(voice)

    @property
    def reads_tensors(self) -> bool:
        return True

    def tensor_language(self, name: str) -> str:
        return primary_tag(reading_of(name.lower()))

    async def read_voice(self, tensor: VoiceTensor) -> str:
        """The engine's name of a voice of the user's own. `kokoro_voices.MAX_OWN` are kept."""
        return self._voices.add(tensor)

    def fingerprint(self, voice: str, language: str) -> str:
        """The graph, the file of each voice of a mix with its share, and what reads the text."""
        resolved, reading = self._voice_for(SpeechRequest("", voice, language))
        parts = [fingerprints.versions(*self.info.needs, "numpy"), reading]
        parts.append(fingerprints.file_digest(kokoro_weights.locate(self._model)))
        for name, share in self._voices.shares(resolved).items():
            # The name of a voice of the user's own holds its digest.
            path, member = self._voices.files.get(name, (None, name))
            digest = "" if path is None else fingerprints.file_digest(path)
            parts.append(f"{share:.6f} {digest} {member}")
        return "\n".join(parts)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the text's audio at 24,000 Hz; `words` of each chunk are all words begun so far.

        Raises `EngineRefused` for an unknown voice or a malformed mix (`unknown_voice`), a language that no voice speaks
        (`unsupported_language`), or a file that holds no voice (`invalid_voice`).
        """
        loaded = self._loaded
        if loaded is None:
            raise EngineUnavailable("Kokoro is not open.", code="not_open")
        voice, reading = self._voice_for(request)
        reader = await self._reader(loaded, reading)
        style = await loaded.worker.call(partial(loaded.styles.style, voice), request.share)
        pieces = await loaded.worker.call(partial(reader.pieces, request.text), request.share)

        def say(piece: Piece, start_ms: float) -> Awaitable[tuple[Samples, tuple[Word, ...]]]:
            return loaded.worker.call(partial(loaded.model.speak, piece, style, request.speed, start_ms), request.share)

        async with aclosing(in_chunks(pieces, say)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _voice_for(self, request: SpeechRequest) -> tuple[str, str]:
        """The voice or mix, and what the text is read as."""
        resolved = self.resolve_voice(request.voice, request.language)
        if resolved is None:
            if self.resolve_voice(request.voice) is None:
                raise EngineRefused(*self._unknown(request.voice), code="unknown_voice")
            raise EngineRefused(
                f"The voice {request.voice or self._default or self._voices.usual()!r} of Kokoro does not speak the language "
                f"{request.language!r}.",
                f"Its voices speak {', '.join(self._voices.languages())}. Use --tts auto: espeak-ng speaks the other languages.",
                code="unsupported_language",
            )
        return resolved, reading_of(next(iter(self._voices.shares(resolved))))

    def _unknown(self, voice: str) -> tuple[str, str]:
        """The message and the remedy for a voice that is unknown, or a mix that is malformed."""
        try:
            self._voices.shares(voice)
            why = "it is unknown"
        except ValueError as error:
            why = str(error)
        names = self._voices.names()
        listed = ", ".join(names[:VOICES_NAMED]) + (
            f" and {len(names) - VOICES_NAMED} more" if len(names) > VOICES_NAMED else ""
        )
        return (
            f"Kokoro has no voice {voice!r}: {why}.",
            f"It has {listed}, OpenAI's names, and mixes such as {voice_mix.FORM}.",
        )

    async def _reader(self, loaded: _Loaded, reading: str) -> kokoro_text.Reader:
        """What reads texts of a language, which is loaded once, when it is first asked for."""
        task = loaded.readers.get(reading)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(loaded.worker.call(partial(kokoro_text.reader, reading)))
            loaded.readers[reading] = task
        return await asyncio.shield(task)
