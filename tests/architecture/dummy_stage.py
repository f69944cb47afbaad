"""A third-party package that adds a stage, a moderator of texts, and an engine for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from parley.engines.options import OptionReader
from parley.engines.ports import Engine, EngineInfo, Stage


@runtime_checkable
class Redactor(Engine, Protocol):
    def allows(self, text: str) -> bool: ...


REDACTION: Stage[Redactor] = Stage("redaction", "redaction of texts", Redactor)


class WordList:
    """Refuses texts that contain one of its words."""

    def __init__(self, words: frozenset[str]) -> None:
        self._words = words
        self.state = "made"

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("redaction", "words", "Refuses the texts that hold one of its words.")

    async def open(self) -> None:
        self.state = "open"

    async def close(self) -> None:
        self.state = "closed"

    def allows(self, text: str) -> bool:
        return self._words.isdisjoint(text.split())


def create(model: str, options: Mapping[str, object]) -> WordList:
    """`words[:WORD]`; option `more` (words with commas between)."""
    reader = OptionReader("redaction words", options)
    more = reader.text("more")
    reader.close()
    return WordList(frozenset({model, *more.split(",")} - {""}))
