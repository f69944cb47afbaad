"""`auto`: the best recogniser that is here, and says plainly which and how to have a better one.

Laws:
- A Whisper model that is named is used. Without a name it is the first of `PREFERRED` whose weights are on this machine, else PocketSphinx.
- Falls back only because weights are not here, never because of a wrong option; `notice` is for start-up to print.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable, Partial, RecognitionSpec, RecognizerStream
from parley.engines.stt import whisper_weights
from parley.engines.stt.pocketsphinx import PocketsphinxRecognizer
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.whisper import WhisperOptions, WhisperRecognizer, read_options
from parley.invocation import command
from parley.models.catalogue import ModelEntry, find, megabytes

PREFERRED: Final = ("base", "small", "tiny", "base.en", "small.en", "tiny.en")
"""Sizes that a CPU can serve live, those of many languages first; `base` is the largest that two cores finish in under a second."""

_FALLBACK_CODES = frozenset({"missing_weights", "missing_package"})


class AutoRecognizer:
    """The `SpeechRecognizer` port, kept by whichever recogniser `open()` chose."""

    def __init__(self, options: WhisperOptions, named: bool = True) -> None:
        self._options = options
        self._named = named
        self._chosen: WhisperRecognizer | PocketsphinxRecognizer | None = None
        self.notice = ""
        """What a user should know about the choice; "" before `open()` and when there is nothing to say."""

    @property
    def info(self) -> EngineInfo:
        if self._chosen is not None:
            return self._chosen.info
        whisper = f"Whisper {self._options.model}" if self._named else "the Whisper model whose weights are here"
        return EngineInfo(
            stage="stt",
            name="auto",
            summary=f"{whisper[0].upper()}{whisper[1:]}, else PocketSphinx (English)",
            needs=("faster-whisper", "pocketsphinx"),
            sample_rate=SAMPLE_RATE,
            logprobs=True,
        )

    @property
    def makeshift(self) -> bool:
        """Whether PocketSphinx stands in for Whisper."""
        return isinstance(self._chosen, PocketsphinxRecognizer)

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        return self._chosen.fault if self._chosen else None

    def missing_models(self) -> tuple[str, ...]:
        """The weights of the model that is named, where they are not on this machine."""
        return whisper_weights.missing(self._options.model) if self._named else ()

    async def open(self) -> None:
        if self._chosen is not None:
            return
        model = self._options.model if self._named else await asyncio.to_thread(_best_here)
        why = better()
        if model:
            whisper = WhisperRecognizer(replace(self._options, model=model))
            try:
                await whisper.open()
                self._chosen = whisper
                return
            except EngineUnavailable as error:
                if error.code not in _FALLBACK_CODES:
                    raise
                why = f"{error.message} {error.remedy}"
        fallback = PocketsphinxRecognizer(threads=min(2, os.cpu_count() or 1))
        await fallback.open()
        self._chosen = fallback
        self.notice = f"Speech is recognised by PocketSphinx: English only, and rough on anything but short clear sentences. {why}"

    async def close(self) -> None:
        chosen, self._chosen = self._chosen, None
        if chosen is not None:
            await chosen.close()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RecognizerStream:
        if self._chosen is None:
            raise EngineError("The recogniser is not open.", code="engine_closed")
        return self._chosen.open_stream(spec, on_partial)


def create(model: str, options: Mapping[str, object]) -> AutoRecognizer:
    """Entry point `stt.auto`. Takes Whisper's model and options; they have no effect where PocketSphinx is used."""
    return AutoRecognizer(read_options("stt auto", model, options), named=bool(model))


def better() -> str:
    """How to have a better recogniser than PocketSphinx."""
    english, any_language = map(find, ("whisper:tiny.en", "whisper:base"))
    return f"Better: {_offer(english, 'English')}, or {_offer(any_language, '99 languages')}."


def _offer(model: ModelEntry, languages: str) -> str:
    return f"`{command('models', 'pull', model.name)}` ({languages}, {megabytes(model.size)})"


def _best_here() -> str:
    """The first of the preferred models whose weights are on this machine; "" where there is none. Asks nothing of the network."""
    try:
        return next((model for model in PREFERRED if whisper_weights.here(model) is not None), "")
    except ImportError:
        return ""
