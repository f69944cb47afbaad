"""`auto`: Whisper where its weights are here or can be fetched, else PocketSphinx, and says plainly which and why.

Laws: falls back only because weights cannot be had, never because of a wrong option; `notice` is for start-up to print.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping

from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable, Partial, RecognitionSpec, RecognizerStream
from parley.engines.stt.pocketsphinx import PocketsphinxRecognizer
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.whisper import WhisperOptions, WhisperRecognizer, read_options

log = logging.getLogger(__name__)

_FALLBACK_CODES = frozenset({"download_failed", "missing_package"})


class AutoRecognizer:
    """The `SpeechRecognizer` port, kept by whichever recogniser `open()` chose."""

    def __init__(self, options: WhisperOptions) -> None:
        self._options = options
        self._chosen: WhisperRecognizer | PocketsphinxRecognizer | None = None
        self.notice = ""
        """What a user should know about the choice; "" before `open()` and when there is nothing to say."""

    @property
    def info(self) -> EngineInfo:
        if self._chosen is not None:
            return self._chosen.info
        return EngineInfo(
            stage="stt",
            name="auto",
            summary=f"Whisper {self._options.model} if its weights are here or can be fetched, else PocketSphinx (English)",
            needs=("faster-whisper", "pocketsphinx"),
            sample_rate=SAMPLE_RATE,
            logprobs=True,
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        return self._chosen.fault if self._chosen else None

    async def open(self) -> None:
        if self._chosen is not None:
            return
        whisper = WhisperRecognizer(self._options)
        try:
            await whisper.open()
            self._chosen = whisper
            return
        except EngineUnavailable as error:
            if error.code not in _FALLBACK_CODES:
                raise
            reason = error
        fallback = PocketsphinxRecognizer(threads=min(2, os.cpu_count() or 1))
        await fallback.open()
        self._chosen = fallback
        self.notice = (
            "Speech is recognised by PocketSphinx: English only, and rough on anything but short clear sentences. "
            f"{reason.message} {reason.remedy}"
        )

    async def close(self) -> None:
        chosen, self._chosen = self._chosen, None
        if chosen is not None:
            await chosen.close()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RecognizerStream:
        if self._chosen is None:
            raise EngineError("The recogniser is not open.", code="engine_closed")
        return self._chosen.open_stream(spec, on_partial)


def create(model: str, options: Mapping[str, object]) -> AutoRecognizer:
    """Entry point `stt.auto`. Takes Whisper's model and options; they have no say when PocketSphinx steps in."""
    return AutoRecognizer(read_options("stt auto", model, options))
