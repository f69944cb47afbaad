"""Checks of what engines return: a third-party engine may return anything.

Laws: a result is returned as it came, or `EngineError` names it, so that one turn fails and not its session.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from parley.engines.ports import EngineError, Samples, Transcript

MAX_SHOWN_CHARS = 200
"""Of a result that cannot be taken."""


def checked_transcript(heard: Transcript) -> Transcript:
    """The transcript as an engine gave it. Raises `EngineError` (`invalid_transcript`) for one that cannot be taken: then that turn fails,
    and not its session."""
    given: Any = heard  # a third-party engine may return anything
    try:
        texts = [given.text, given.language, *(word.text for word in given.words)]
        numbers = [time for word in given.words for time in (word.start_ms, word.end_ms)]
        numbers += [one for one in (given.confidence, given.language_confidence) if one is not None]
        if all(isinstance(text, str) for text in texts) and all(map(math.isfinite, numbers)):
            return heard
    except (AttributeError, TypeError):
        pass
    shown = repr(given)
    raise EngineError(
        f"The recogniser gave {shown[:MAX_SHOWN_CHARS]}{'...' * (len(shown) > MAX_SHOWN_CHARS)}.",
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


def checked_conversion(audio: Samples, expected: int, *, whole: bool = False) -> Samples:
    """Converted audio, of which `expected` samples at the most may come now, or exactly so many where it is the `whole` rest. Raises
    `EngineError` (`invalid_conversion`) for audio that would shift what follows, and for what is not audio."""
    given: Any = audio
    valid = isinstance(given, np.ndarray) and given.dtype == np.float32 and given.ndim == 1
    if valid and (len(given) == expected if whole else len(given) <= expected):
        return audio
    shown = f"{len(given)} samples where {'' if whole else 'at most '}{expected} were due" if valid else repr(given)
    raise EngineError(
        f"The voice converter gave {shown[:MAX_SHOWN_CHARS]}.",
        code="invalid_conversion",
        remedy="A ConversionStream returns float32 samples [n], in all exactly as many as it was given.",
    )
