"""Checks of what engines return: a third-party engine may return anything.

Laws: a result is returned as it came, or `EngineError` names it, so that one turn fails and not its session.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np

from parley.engines.ports import EngineError, RecognizerStream, Samples, SpeechChunk, Transcript

MAX_SHOWN_CHARS = 200
"""Of a result that cannot be taken."""

MIN_RATE, MAX_RATE = 4_000, 384_000
"""Hz; what speech is recorded at lies well inside."""


def checked_stream(stream: RecognizerStream, who: str) -> RecognizerStream:
    """The stream as a recogniser gave it. Raises `EngineError` (`invalid_stream`) for what has not the methods of one."""
    given: Any = stream
    missing = [name for name in ("feed", "flush", "finish", "close") if not callable(getattr(given, name, None))]
    if not missing:
        return stream
    if inspect.iscoroutine(given):
        given.close()  # else Python warns that it was never awaited
    raise EngineError(
        f"{who} gave {_shown(given)} as a stream, which has no {missing[0]}().",
        "`open_stream` returns a RecognizerStream at once; it is no coroutine.",
        code="invalid_stream",
    )


def checked_transcript(heard: Transcript, who: str = "The recogniser") -> Transcript:
    """The transcript as an engine gave it. Raises `EngineError` (`invalid_transcript`) for one that cannot be taken."""
    given: Any = heard  # a third-party engine may return anything
    try:
        texts = [given.text, given.language, *(word.text for word in given.words)]
        numbers = [time for word in given.words for time in (word.start_ms, word.end_ms)]
        numbers += [one for one in (given.confidence, given.language_confidence) if one is not None]
        if all(isinstance(text, str) for text in texts) and all(map(math.isfinite, numbers)):
            return heard
    except (AttributeError, TypeError):
        pass
    raise EngineError(
        f"{who} gave {_shown(given)}.",
        code="invalid_transcript",
        remedy="A Transcript holds strings, Words with their times in milliseconds, and confidences from 0 to 1 or None.",
    )


def checked_judgement(finished: float) -> float:
    """The probability as a turn judge gave it. Raises `EngineError` (`invalid_judgement`) for a number outside 0..1."""
    if 0.0 <= finished <= 1.0:
        return finished
    raise EngineError(
        f"The turn judge gave {finished!r}.", code="invalid_judgement", remedy="A probability lies between 0 and 1."
    )


def checked_ending(probability: float | None) -> float | None:
    """A recogniser's `end_of_turn`, None for what is no probability: its words are taken all the same."""
    given: Any = probability
    return given if isinstance(given, int | float) and 0.0 <= given <= 1.0 else None


def checked_chunk(chunk: SpeechChunk, who: str) -> SpeechChunk:
    """The chunk as a synthesizer gave it. Raises `EngineError` (`invalid_audio`) for one that cannot be played: integers would be noise."""
    given: Any = chunk  # a third-party engine may give anything
    try:
        audio, rate = given.audio, given.sample_rate
    except AttributeError:
        what = _shown(given)
    else:
        if not isinstance(audio, np.ndarray):
            what = f"{_shown(audio)} as audio"
        elif audio.dtype != np.float32 or audio.ndim != 1:
            what = f"audio of {audio.dtype} in the shape {list(audio.shape)}"
        elif not math.isfinite(float(audio.sum())):
            what = "audio that holds NaN or infinite values"
        elif not isinstance(rate, int) or not MIN_RATE <= rate <= MAX_RATE:
            what = f"a sample rate of {rate!r}"
        else:
            return chunk
    raise EngineError(
        f"{who} gave {what}.",
        "A SpeechChunk holds mono float32 samples in [-1, 1] in the shape [n], and their sample rate in Hz.",
        code="invalid_audio",
    )


def checked_conversion(audio: Samples, expected: int, *, whole: bool = False) -> Samples:
    """Converted audio, of which `expected` samples at the most may come now, or exactly so many where it is the `whole` rest. Raises
    `EngineError` (`invalid_conversion`) for audio that would shift what follows, and for what is not audio."""
    given: Any = audio
    valid = isinstance(given, np.ndarray) and given.dtype == np.float32 and given.ndim == 1
    if valid and (len(given) == expected if whole else len(given) <= expected):
        return audio
    shown = f"{len(given)} samples where {'' if whole else 'at most '}{expected} were due" if valid else _shown(given)
    raise EngineError(
        f"The voice converter gave {shown}.",
        code="invalid_conversion",
        remedy="A ConversionStream returns float32 samples [n], in all exactly as many as it was given.",
    )


def _shown(given: object) -> str:
    shown = repr(given)
    return shown[:MAX_SHOWN_CHARS] + "..." * (len(shown) > MAX_SHOWN_CHARS)
