"""sherpa-onnx: streaming and offline recognisers of many families in one light library, from a folder of ONNX files.

Streaming transducers (Zipformer, Nemotron, unified Parakeet), CTC and Paraformer keep their state and are decoded together, session by
session in one batch. Offline models (Whisper, Parakeet TDT, Moonshine, SenseVoice, Canary, Qwen3-ASR, Omnilingual...) are given whole
turns; their partials come from decoding what is there so far. `sherpa_models` is the table of families.

Laws:
- A model is loaded in a child process first, because the library ends the process on one that it cannot use (see `sherpa.trial`).
- The endpoint rules of sherpa-onnx only time the silence, which the voice activity detector does better: they are off, and
  `Partial.end_of_turn` stays None.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    Partial,
    RecognitionSpec,
    RecognizerStream,
    Samples,
    Transcript,
)
from parley.engines.sherpa import folder, library
from parley.engines.sherpa.trial import try_out
from parley.engines.stt import sherpa_library, sherpa_models
from parley.engines.stt.language_names import TAGS
from parley.engines.stt.offline_turns import MAX_STREAMS, OfflineTurns
from parley.engines.stt.sherpa_batch import Batches
from parley.engines.stt.sherpa_library import OfflineModel, StreamingModel
from parley.engines.stt.sherpa_models import SAMPLE_RATE, SherpaModel
from parley.engines.stt.sherpa_stream import SherpaStream
from parley.engines.stt.turn_stream import new_backlog
from parley.text.language_tags import primary_tag

GREEDY = "greedy_search"
BEAM = "modified_beam_search"

MAX_BATCH = 64

_HOTWORDS_OPTION = ("Qwen3-ASR",)
"""Kinds that take hotwords as an option of the stream."""


@dataclass(frozen=True, slots=True)
class SherpaOptions:
    """How to run it. `threads` compute one call, `batch` is how many sessions one call serves (streaming models), `precision` which of
    several files of one network is taken, `decoding` greedy or with a beam, which hotwords need. `language` is for sessions that name none,
    `languages` are those that the model knows, where its files do not say.
    """

    model: str
    threads: int
    provider: str = "cpu"
    precision: str = "int8"
    decoding: str = GREEDY
    language: str = ""
    languages: tuple[str, ...] = ()
    hotwords_score: float = 1.5
    batch: int = 16
    partials: bool = True


class SherpaRecognizer:
    """The `SpeechRecognizer` port. Call `open()`, then `open_stream()` for each turn."""

    def __init__(self, options: SherpaOptions) -> None:
        self._options = options
        self._model = _peek(options)
        self._streaming: StreamingModel | None = None
        self._batches: Batches | None = None
        self._turns: OfflineTurns | None = None
        self._streams: set[SherpaStream] = set()
        self._backlog = new_backlog()

    @property
    def info(self) -> EngineInfo:
        model = self._model
        what = (
            f"{model.kind.name} in {model.folder.path.name}" if model else "streaming and offline models from a folder"
        )
        streaming = model is not None and model.kind.streaming
        return EngineInfo(
            stage="stt",
            name="sherpa",
            summary=f"sherpa-onnx: {what}",
            needs=("sherpa-onnx", "a model"),
            sample_rate=SAMPLE_RATE,
            languages=self._languages,
            batch=self._options.batch if streaming else 1,
            licence=self._licence,
            logprobs=model is not None and model.kind.logprobs and self._scored,
            promises=streaming and self._scored,
            keywords=model is not None and self._takes_keywords(model),
            timings=model is not None and model.kind.factory.endswith(("transducer", "ctc")),
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        working = self._batches or self._turns
        return working.fault if working else None

    def missing_models(self) -> tuple[str, ...]:
        """The model of the catalogue that is named, where it is not on this machine."""
        return folder.missing(self._options.model, "stt")

    async def open(self) -> None:
        if self._batches is not None or self._turns is not None:
            return
        options = self._options
        self._model = model = await asyncio.to_thread(_identify, options)
        if options.decoding == BEAM and not model.kind.beam:
            raise EngineUnavailable(
                f"{model.kind.name} models have no {BEAM}.", f"Set decoding = {GREEDY!r}.", code="unsupported_option"
            )
        if options.language and self._languages and primary_tag(options.language) not in self._languages:
            raise self._unknown((options.language,), EngineUnavailable)
        recipe = sherpa_models.recipe(
            model,
            threads=options.threads,
            provider=options.provider,
            decoding=options.decoding,
            language=primary_tag(options.language),
            hotwords_score=options.hotwords_score,
        )
        await asyncio.to_thread(library.load)
        trial = {**recipe, "pad_samples": model.pad_samples}
        await try_out(f"{sherpa_library.__name__}:load_once", trial, self._name)
        try:
            recognizer = await asyncio.to_thread(sherpa_library.build, **recipe)
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            raise EngineUnavailable(
                f"{self._name} cannot be loaded: {error}.", "Download the model again.", code="load_failed"
            ) from error
        self._start(model, recognizer)

    def _start(self, model: SherpaModel, recognizer: Any) -> None:
        options = self._options
        if model.kind.streaming:
            self._streaming = StreamingModel(recognizer, model.pad_samples)
            self._batches = Batches(self._streaming, self._name, options.batch)
            return
        hotwords = "option" if model.kind.name in _HOTWORDS_OPTION else "stream" if self._takes_hotwords(model) else ""
        offline = OfflineModel(recognizer, model.kind.language, hotwords, primary_tag(options.language))
        self._turns = OfflineTurns(self._name, partial(self._transcribe, offline), partials=options.partials)

    async def close(self) -> None:
        for stream in tuple(self._streams):
            stream.close()
        batches, self._batches, self._streaming = self._batches, None, None
        turns, self._turns = self._turns, None
        if batches is not None:
            await batches.stop()
        if turns is not None:
            await turns.close()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RecognizerStream:
        """Start a turn. Raises `EngineRefused` for a language the model lacks, `EngineError` when too many are open."""
        if self._model is None or not (self._batches or self._turns):
            raise EngineError("sherpa-onnx is not open.", code="engine_closed")
        spec = self._understood(spec, self._model)
        if self._turns is not None:
            return self._turns.open_stream(spec, on_partial)
        if self._batches is None or self._streaming is None:
            raise EngineError("sherpa-onnx is not open.", code="engine_closed")
        if len(self._streams) >= MAX_STREAMS:
            raise EngineError(f"{MAX_STREAMS} transcriptions are open already.", code="too_many_streams")
        stream = SherpaStream(
            spec,
            on_partial,
            self._streaming,
            self._batches,
            self._backlog,
            self._streams.discard,
            greedy=self._scored,
            known_language=self._languages[0] if len(self._languages) == 1 else "",
        )
        self._streams.add(stream)
        return stream

    # --- inside ---

    @property
    def _name(self) -> str:
        return f"sherpa:{self._options.model}"

    @property
    def _languages(self) -> tuple[str, ...]:
        told = self._options.languages or (self._model.languages if self._model else ())
        entry = folder.entry(self._options.model, "stt")
        return told or (entry.languages if entry else ())

    @property
    def _licence(self) -> str:
        entry = folder.entry(self._options.model, "stt")
        named = entry.licence if entry else self._model.folder.licence if self._model else ""
        return named or "Apache-2.0 (the library); each model has its own"

    @property
    def _scored(self) -> bool:
        """Whether its tokens have probabilities: those that sherpa-onnx gives after a beam search are not of the tokens alone."""
        return self._options.decoding == GREEDY

    def _takes_hotwords(self, model: SherpaModel) -> bool:
        return self._options.decoding == BEAM and bool(model.modeling_unit)

    def _takes_keywords(self, model: SherpaModel) -> bool:
        return model.kind.name in _HOTWORDS_OPTION or self._takes_hotwords(model)

    def _understood(self, spec: RecognitionSpec, model: SherpaModel) -> RecognitionSpec:
        """The request with one of the model's languages, "" to find it out, and with the hotwords that the model can use."""
        asked = (spec.language,) if spec.language else spec.languages
        allowed = tuple(primary_tag(tag) for tag in asked or (self._options.language,) if tag)
        understood = tuple(tag for tag in allowed if not self._languages or tag in self._languages)
        if allowed and not understood:
            raise self._unknown(asked, EngineRefused)
        keywords = spec.keywords if self._takes_keywords(model) else ()
        language = understood[0] if len(understood) == 1 else ""
        return replace(spec, language=language, languages=understood, keywords=keywords)

    def _unknown(self, languages: tuple[str, ...], kind: type[EngineError]) -> EngineError:
        known = ", ".join(self._languages)
        return kind(
            f"{self._name} does not understand {', '.join(map(repr, languages))}.",
            f"It knows {known}. Use another model, or correct the option `language` or `languages`.",
            code="unsupported_language",
        )

    def _transcribe(self, model: OfflineModel, audio: Samples, spec: RecognitionSpec) -> Transcript:
        """Called on the model's thread."""
        heard = model.transcribe(audio, spec)
        only = self._languages[0] if len(self._languages) == 1 else ""
        told = TAGS.get(heard.language.lower(), heard.language)
        language = spec.language or only or (told if told in self._languages else "")
        return Transcript(
            heard.text,
            heard.words(),
            language,
            heard.confidence if self._scored else None,
            heard.token_logprobs() if spec.logprobs and self._scored else (),
            1.0 if spec.language or only else None,
        )


def _identify(options: SherpaOptions) -> SherpaModel:
    return sherpa_models.identify(folder.find(options.model, "stt"), options.precision)


def _peek(options: SherpaOptions) -> SherpaModel | None:
    """The model, for a description before `open()`; None where it cannot be read, which `open()` then says."""
    try:
        return _identify(options)
    except EngineError:
        return None


def create(model: str, options: Mapping[str, object]) -> SherpaRecognizer:
    """Entry point `stt.sherpa`: `sherpa:FOLDER` or a model of the catalogue. Options: those of `SherpaOptions` but `model`."""
    given = OptionReader("stt sherpa", options)
    result = SherpaOptions(
        model=str(Path(model)) if model else "",
        threads=int(given.number("threads", min(4, os.cpu_count() or 1), 1, 256)),
        provider=given.choice("provider", "cpu", ("cpu", "cuda", "coreml")),
        precision=given.choice("precision", "int8", folder.PRECISIONS),
        decoding=given.choice("decoding", GREEDY, (GREEDY, BEAM)),
        language=given.text("language"),
        languages=tuple(dict.fromkeys(map(primary_tag, given.names("languages")))),
        hotwords_score=given.number("hotwords_score", 1.5, 0, 10),
        batch=int(given.number("batch", 16, 1, MAX_BATCH)),
        partials=given.flag("partials", True),
    )
    given.close()
    return SherpaRecognizer(result)
