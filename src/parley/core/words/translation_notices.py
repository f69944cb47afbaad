"""What only the client of a translation session is sent.

Laws: those of `notices`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ClauseTranslated:
    """The record of a translation, when all of it has been generated. `clause` is the number of its last clause, `clauses` how many were
    merged into it; languages are BCP 47 tags, `from_language` "" where it is not known. `end_ms` is where the words end in the input audio
    at the latest; `waited_ms` how long after their decision its audio began, by the clock; `speed` how fast it is spoken (1.0: as usual).
    `differences` are the numbers, addresses and codes of the source that the translation lacks. `outcome` "shown": it could not be
    translated, and the source was shown instead."""

    clause: int
    clauses: int
    source: str
    text: str
    from_language: str
    to_language: str
    end_ms: int
    waited_ms: int
    speed: float
    outcome: Literal["translated", "shown"] = "translated"
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnstableWordsChanged:
    """The words after the running transcript that the recogniser may still change, as far as `elapsed_ms` of the input; "": there are
    none. Takes the place of the last one. More of the running transcript (`TranscriptionDelta`) ends it."""

    text: str
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class TranslationPlaying:
    """Where the server plays the translation: what goes out from now on, until the next one. `end_ms` is where its words end in the input
    audio, as in `ClauseTranslated`; None: nothing goes out. `input_ms` is how much input audio has been received by now."""

    end_ms: int | None
    input_ms: int


@dataclass(frozen=True, slots=True)
class TranslationClosed:
    """The client's `session.close` has been carried out: nothing follows. Only translation sessions have it."""


TranslationNotice = ClauseTranslated | UnstableWordsChanged | TranslationPlaying | TranslationClosed
