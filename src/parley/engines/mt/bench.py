"""A translator of fixed latency, for measuring everything around it: each word is mapped, reversibly, to another.

Laws:
- The first word comes `first_word_ms` after the request, each further one `word_ms` later (0: all at once).
- The languages are `en` and `x-bench`. From `en`, the letters of each word are reversed and the marks around them stay; from `x-bench`,
  the same mapping gives the English back. A term is replaced by its translation as it stands, before anything else is mapped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

from parley.engines.options import OptionReader
from parley.engines.ports import EngineInfo, EngineRefused, TranslationRequest

LANGUAGES: Final = ("en", "x-bench")

_WORD: Final = re.compile(r"\w+")
_PIECE: Final = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+$")
"""A word with the white space before it."""


def create(model: str, options: Mapping[str, object]) -> BenchTranslator:
    """`bench`; options `first_word_ms` (50) and `word_ms` (0)."""
    reader = OptionReader("mt bench", options)
    engine = BenchTranslator(
        first_word_ms=reader.number("first_word_ms", 50, 0, 60_000), word_ms=reader.number("word_ms", 0, 0, 10_000)
    )
    reader.close()
    return engine


class BenchTranslator:
    """A `Translator` that costs nothing and takes exactly as long as its options say."""

    def __init__(self, first_word_ms: float, word_ms: float) -> None:
        self._first_s = first_word_ms / 1000
        self._word_s = word_ms / 1000

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="mt",
            name="bench",
            measuring=True,
            summary=f"Words with their letters reversed, for benchmarks (first word after {self._first_s * 1000:g} ms).",
            languages=LANGUAGES,
            glossary=True,
            deterministic=True,
        )

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def translates(self, from_language: str, to_language: str) -> bool:
        return {_known(from_language or "en"), _known(to_language)} == set(LANGUAGES)

    def pairs(self) -> tuple[tuple[str, str], ...]:
        return (LANGUAGES, LANGUAGES[::-1])

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        """The mapped text, word by word."""
        if not self.translates(request.from_language, request.to_language):
            raise EngineRefused(
                f"bench does not translate from {request.from_language!r} to {request.to_language!r}.",
                code="unsupported_language",
                remedy="It translates between en and x-bench.",
            )
        if not _WORD.search(request.text):
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + self._first_s
        for piece in _mapped(request):
            delay = due - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            yield piece
            due += self._word_s


def _known(language: str) -> str:
    tag = language.lower()
    return tag if tag in LANGUAGES else tag.partition("-")[0]


def _mapped(request: TranslationRequest) -> Iterator[str]:
    """The pieces of the translation, which join to it."""
    text, terms = request.text, {term.source: term.target for term in request.terms if term.source}
    if terms:
        # Terms are cut out first, the longest one first where several begin together, and kept whole.
        pattern = re.compile("|".join(map(re.escape, sorted(terms, key=len, reverse=True))))
        at = 0
        for match in pattern.finditer(text):
            yield from _words(text[at : match.start()])
            yield terms[match.group()]
            at = match.end()
        text = text[at:]
    yield from _words(text)


def _words(text: str) -> Iterator[str]:
    for piece in _PIECE.findall(text):
        yield _WORD.sub(lambda match: match.group()[::-1], piece)
