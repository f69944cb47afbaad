"""How translation sessions work: when a clause is translated, and what becomes of speech in the target language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Lag:
    """When a speaker's words are translated.

    Words are stable once `agreement` hypotheses of the recogniser in a row begin with them. Stable words are a clause where a sentence
    ends or, with `boundary` "comma", at other punctuation behind at least `min_words`; else after `max_wait_ms` of audio, if there are
    `min_words`. A pause of `pause_ms` ends a clause in any case.
    """

    agreement: int = 2
    boundary: Literal["comma", "sentence"] = "comma"
    max_wait_ms: int = 2_500
    min_words: int = 4
    pause_ms: int = 400


LAGS: Mapping[str, Lag] = MappingProxyType(
    {
        "low": Lag(agreement=2, boundary="comma", max_wait_ms=1_000, min_words=3, pause_ms=300),
        "normal": Lag(),
        "careful": Lag(agreement=3, boundary="sentence", max_wait_ms=12_000, min_words=6, pause_ms=700),
    }
)
"""The presets by name: an interpreter's choice between being early and having heard the whole sentence."""

SameLanguage = Literal["silent", "pass", "repeat"]
"""What a translation session does with speech that is already in its target language: nothing is spoken, the speaker's own audio is passed
on, or a voice repeats the words."""


@dataclass(frozen=True, slots=True)
class Interpreting:
    """How translation sessions work. `terms` are pairs of a term and its prescribed translation (the term itself: it stays as it is)."""

    lag: Lag = LAGS["normal"]
    same_language: SameLanguage = "silent"
    terms: tuple[tuple[str, str], ...] = ()
