"""Parakeet, Canary, Whisper and others on ONNX Runtime, through the package `onnx-asr`: finals for each turn, partials by agreement.

Laws:
- One loaded model for all streams; turns, partials, promises and fairness are those of `offline_turns`.
- Nothing is downloaded here (see `onnx_asr_weights`).
- A language that the model does not know is refused. One that it cannot find out by itself (Canary) is the option `language`, else English.

Source: https://github.com/istupakov/onnx-asr (MIT).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineUnavailable,
    Partial,
    RecognitionSpec,
)
from parley.engines.stt import onnx_asr_weights
from parley.engines.stt.offline_turns import OfflineStream, OfflineTurns
from parley.engines.stt.onnx_asr_model import OnnxAsrLoading, OnnxAsrModel
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_language import turn_language
from parley.text.language_tags import primary_tag


@dataclass(frozen=True, slots=True)
class OnnxAsrOptions:
    """`language` is for sessions that name none; `languages` are what the model knows, where its name does not tell."""

    loading: OnnxAsrLoading
    language: str = ""
    languages: tuple[str, ...] = ()
    workers: int = 1
    partials: bool = True


def create(model: str, options: Mapping[str, object]) -> OnnxAsrRecognizer:
    """`onnx-asr:FOLDER`, a model of the catalogue, or one of which the Hub's cache has the files. Options: `type` (the library's type of
    model, for a folder whose config.json lacks it), `quantization` (`int8`, `full`...; the smallest that is there), `device` (`cpu`,
    `cuda`), `threads` for one call, `workers` (calls at once, 1), `language` (for sessions that name none), `languages` (what the model
    knows), `partials` (true).
    """
    reader = OptionReader("stt onnx-asr", options)
    quantization = reader.text("quantization")
    loading = OnnxAsrLoading(
        model=model,
        kind=reader.text("type"),
        quantization="" if quantization == "full" else quantization or None,
        device=reader.choice("device", "cpu", ("cpu", "cuda")),
        threads=int(reader.number("threads", min(4, os.cpu_count() or 1), 1, 256)),
    )
    result = OnnxAsrOptions(
        loading,
        language=primary_tag(reader.text("language")),
        languages=tuple(dict.fromkeys(map(primary_tag, reader.names("languages")))),
        workers=int(reader.number("workers", 1, 1, 16)),
        partials=reader.flag("partials", True),
    )
    reader.close()
    return OnnxAsrRecognizer(result)


class OnnxAsrRecognizer:
    """The `SpeechRecognizer` port. Call `open()`, then `open_stream()` for each turn."""

    def __init__(self, options: OnnxAsrOptions) -> None:
        self._options = options
        self._model: OnnxAsrModel | None = None
        self._turns: OfflineTurns | None = None

    @property
    def info(self) -> EngineInfo:
        model = self._options.loading.model
        licence = onnx_asr_weights.licence_of(model)
        return EngineInfo(
            stage="stt",
            name="onnx-asr",
            summary=f"{model or 'Parakeet, Canary, Whisper and others'} on ONNX Runtime: finals, and partials by agreement",
            needs=("onnx-asr", "a model"),
            sample_rate=SAMPLE_RATE,
            languages=self._languages,
            batch=self._options.workers,
            licence=f"MIT, weights {licence}" if licence else "MIT",
            logprobs=self._model is not None and self._model.times,
            promises=self._options.partials,
            timings=self._model is not None and self._model.times,
            deterministic=not self._options.partials,
        )

    @property
    def _languages(self) -> tuple[str, ...]:
        """What it knows: as configured, else as the loaded model or its name tells."""
        if self._options.languages:
            return self._options.languages
        return self._model.languages if self._model else onnx_asr_weights.languages_of(self._options.loading.model)

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        return self._turns.fault if self._turns else None

    def missing_models(self) -> tuple[str, ...]:
        """The model of the catalogue that is named, where it is not on this machine."""
        return onnx_asr_weights.missing(self._options.loading.model)

    async def open(self) -> None:
        if self._turns is not None:
            return
        options = self._options
        model = await asyncio.to_thread(OnnxAsrModel.load, options.loading)
        strange = [tag for tag in options.languages if model.told and model.languages and tag not in model.languages]
        known = options.languages or model.languages
        if options.language and known and options.language not in known:
            strange.append(options.language)
        if strange:
            raise EngineUnavailable(
                f"{self._title} does not know {', '.join(map(repr, strange))}.",
                f"Correct the options `language` and `languages`: it knows {', '.join(model.languages or known)}.",
                code="unsupported_language",
            )
        self._model = model
        self._turns = OfflineTurns(
            self._title, model.transcribe, threads=options.workers, partials=options.partials, agreement=True
        )

    async def close(self) -> None:
        turns, self._turns, self._model = self._turns, None, None
        if turns is not None:
            await turns.close()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> OfflineStream:
        """Start a turn. Raises `EngineRefused` for a language the model lacks, `EngineError` when too many are open."""
        if self._model is None or self._turns is None:
            raise EngineError("onnx-asr is not open.", code="engine_closed")
        known = self._languages
        language, among = turn_language(
            spec,
            known,
            self._options.language,
            model=self._title,
            remedy=f"It knows {', '.join(known)}." if known else "Use a model that does.",
        )
        if not language and len(known) == 1:
            language = known[0]
        return self._turns.open_stream(replace(spec, language=language, languages=among or known), on_partial)

    @property
    def _title(self) -> str:
        return f"onnx-asr:{self._options.loading.model}"
