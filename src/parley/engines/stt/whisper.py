"""Whisper through faster-whisper (CTranslate2): 99 languages, good finals, slow partials on a CPU.

Laws:
- One loaded model for all streams; the streams' work is queued fairly (see `whisper_queue`).
- A missing model is downloaded once, at `open()`, with a progress bar; a refused download fails within seconds, with its remedy.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable, Partial, RecognitionSpec
from parley.engines.stt import whisper_weights
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_language import turn_language
from parley.engines.stt.turn_stream import new_backlog
from parley.engines.stt.whisper_model import WhisperModel
from parley.engines.stt.whisper_queue import DecodingQueue
from parley.engines.stt.whisper_stream import WhisperStream
from parley.text.language_tags import primary_tag

DEFAULT_MODEL = "base"
"""The largest multilingual size that two CPU cores finish in under a second."""

MAX_STREAMS = 1024
"""Turns open at once; far more than any machine can decode, so reaching it means streams are not being closed."""


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """How to run it. `model` is a size, `owner/repository` or folder; `threads` are per worker, 0 lets the library decide;
    `beam_size` is for pauses and finals, partials are greedy; `language` is for sessions that name none, "" detects it.
    """

    model: str = DEFAULT_MODEL
    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 0
    workers: int = 1
    beam_size: int = 1
    language: str = ""
    partials: bool = True


class WhisperRecognizer:
    """The `SpeechRecognizer` port. Call `open()`, then `open_stream()` for each turn."""

    def __init__(self, options: WhisperOptions) -> None:
        self._options = options
        self._model: WhisperModel | None = None
        self._queue: DecodingQueue | None = None
        self._streams: set[WhisperStream] = set()
        self._backlog = new_backlog()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="stt",
            name="whisper",
            summary=f"Whisper {self._options.model} on CTranslate2: many languages, weights from the catalogue, the Hub or a folder",
            needs=("faster-whisper", f"weights of {self._options.model}"),
            sample_rate=SAMPLE_RATE,
            languages=self._model.languages if self._model else (),
            batch=self._options.workers,
            licence="MIT",
            logprobs=True,
            prompts=True,
            keywords=True,
            temperature=True,
            timings=True,
            promises=self._options.partials,
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        return self._queue.fault if self._queue else None

    def missing_models(self) -> tuple[str, ...]:
        """The weights, where they are not on this machine."""
        return whisper_weights.missing(self._options.model)

    async def open(self) -> None:
        if self._model is not None:
            return
        options = self._options
        model = await asyncio.to_thread(_load, options)
        language = primary_tag(options.language)
        if language and language not in model.languages:
            raise EngineUnavailable(
                f"whisper:{options.model} does not know the language {options.language!r}.",
                code="unsupported_language",
                remedy="Correct the option `language`, or use a multilingual model (one without `.en`).",
            )
        self._model = model
        self._queue = DecodingQueue(model.decode, options.workers)

    async def close(self) -> None:
        for stream in tuple(self._streams):
            stream.close()
        queue, self._queue = self._queue, None
        if queue is not None:
            await queue.stop()
        self._model = None

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> WhisperStream:
        """Start a turn. Raises `EngineRefused` for a language the model lacks, `EngineError` when too many are open."""
        if self._model is None or self._queue is None:
            raise EngineError("Whisper is not open.", code="engine_closed")
        language, languages = turn_language(
            spec,
            self._model.languages,
            self._options.language,
            model=f"whisper:{self._options.model}",
            remedy="Use a multilingual model (one without `.en`).",
        )
        if len(self._streams) >= MAX_STREAMS:
            raise EngineError(f"{MAX_STREAMS} transcriptions are open already.", code="too_many_streams")
        stream = WhisperStream(
            replace(spec, language=language, languages=languages),
            on_partial,
            self._model,
            self._queue,
            self._options.beam_size,
            self._options.partials,
            self._backlog,
            self._streams.discard,
        )
        self._streams.add(stream)
        return stream


def _load(options: WhisperOptions) -> WhisperModel:
    folder = whisper_weights.locate(options.model)
    return WhisperModel.load(folder, options.device, options.compute_type, options.threads, options.workers)


def read_options(engine: str, model: str, options: Mapping[str, object]) -> WhisperOptions:
    """The option table of `whisper` (and of `auto`, which passes it on). Raises `ValueError` naming the option."""
    given = OptionReader(engine, options)
    device = given.text("device", "auto")
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"{engine}: device must be auto, cpu or cuda, not {device!r}.")
    result = WhisperOptions(
        model=model or DEFAULT_MODEL,
        device=device,
        compute_type=given.text("compute_type", "auto"),
        threads=int(given.number("threads", min(4, os.cpu_count() or 1), 0, 256)),
        workers=int(given.number("workers", 1, 1, 16)),
        beam_size=int(given.number("beam_size", 1, 1, 20)),
        language=given.text("language"),
        partials=given.flag("partials", True),
    )
    given.close()
    return result


def create(model: str, options: Mapping[str, object]) -> WhisperRecognizer:
    """Entry point `stt.whisper`. Options: those of `WhisperOptions` but `model`, which follows the colon."""
    return WhisperRecognizer(read_options("stt whisper", model, options))
