"""The recogniser as recordings use it.

Laws: a recording waits behind live speech at a shared engine, and causes no partial transcripts, which nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from parley.engines.ports import (
    MT,
    STT,
    VAD,
    Engine,
    EngineInfo,
    EngineSet,
    Partial,
    RecognitionSpec,
    RecognizerStream,
    SpeechRecognizer,
    Stage,
)
from parley.runtime.pipeline import LoadedPipeline


class RecordedSpeech:
    """A `SpeechRecognizer` whose streams are not live, and sample at `temperature` (see `RecognitionSpec`). The engine behind it is opened
    and closed by its owner."""

    def __init__(self, engine: SpeechRecognizer, temperature: float | None = None) -> None:
        self._engine = engine
        self._temperature = temperature

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RecognizerStream:
        return self._engine.open_stream(replace(spec, live=False, temperature=self._temperature), on_partial)


def for_recordings(
    loaded: LoadedPipeline, language: str = "", *, temperature: float | None = None, translates: bool = False
) -> LoadedPipeline:
    """The pipeline for recordings in this language ("": its own), heard at `temperature` (see `RecognitionSpec`), with nothing but what
    hears and, where asked for, translates."""
    config = replace(loaded.config, speculation=False, language=language or loaded.config.language)
    heard_by = RecordedSpeech(loaded.engines[STT], temperature)
    engines: dict[Stage[Any], Engine] = {VAD: loaded.engines[VAD], STT: heard_by}
    if translates:
        engines[MT] = loaded.engines[MT]
    return replace(loaded, engines=EngineSet(engines), config=config)
