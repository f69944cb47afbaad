"""Text translation: one clause from one language into another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from parley.engines.ports.engine import Engine


@dataclass(frozen=True, slots=True)
class Term:
    """One entry of a glossary: wherever `source` stands in the text, the translation says `target`."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """One clause to translate.

    Languages are BCP-47 tags; `from_language` "" lets the engine find out. `terms` bind an engine whose `info.glossary` is True, others
    ignore them. `context` are the texts translated before this one, in the source language, oldest first; they are not translated again.
    `share` is an opaque key: requests of different keys take turns (see `RecognitionSpec`).
    """

    text: str
    from_language: str
    to_language: str
    terms: tuple[Term, ...] = ()
    context: tuple[str, ...] = ()
    share: object = field(default=None, repr=False, compare=False)


@runtime_checkable
class Translator(Engine, Protocol):
    """Translates text. `info.languages` are all languages it knows on either side; `translates()` answers for a pair."""

    def translates(self, from_language: str, to_language: str) -> bool:
        """Whether this pair can be asked for; regional subtags are ignored where the engine has no model for them."""
        ...

    def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        """Stream the translation: the pieces join to it, and none is ever taken back. A text without words gives no pieces.

        Closing the iterator (`aclose`) stops the translation. Raises `EngineRefused` (`unsupported_language`) for a pair that
        `translates()` denies, `EngineError` where the engine fails.
        """
        ...


@runtime_checkable
class ListsPairs(Protocol):
    """A translator that can list what it translates. Valid before `open()`, as far as it is known then."""

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs of BCP-47 tags, (from, to), for which `translates()` is True, sorted."""
        ...


@dataclass(frozen=True, slots=True)
class GuardCount:
    """How often translations were asked for, drifted at first, and were refused because they drifted again; `kinds`: what the first drifts
    were, by name."""

    asked: int
    drifted: int
    refused: int
    kinds: Mapping[str, int]


@runtime_checkable
class Guarded(Protocol):
    """A translator that judges what its model writes before it gives it on."""

    def guard_counts(self) -> GuardCount:
        """Since it was created."""
        ...
