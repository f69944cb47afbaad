"""What translators of sentences have in common: the text is cut into units, terms are protected, and pieces come as they are ready.

Laws:
- A piece is one unit's translation with what stands before it; a caller that leaves is not worked for beyond the unit in hand.
- Terms are honoured whatever the model does: a unit from which a placeholder is lost is translated again in parts around its terms, and
  `terms_kept_apart` counts it.
- Knows no model: an engine gives `pairs()` and `_unit()`.
"""

from __future__ import annotations

import logging
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Final

from parley.engines.mt.pairs import Pair, find_pair, refused
from parley.engines.mt.terms import Protected, protect
from parley.engines.mt.units import MAX_CHARS, has_words, joined, units
from parley.engines.ports import EngineRefused, TranslationRequest

log = logging.getLogger(__name__)

MAX_TEXT: Final = 100_000
"""Characters of one request: two hours of speech. Beyond it something other than a clause was sent."""


class SentenceTranslator(ABC):
    """A `Translator` without its loading. `_name` is how messages call it, `_most` the characters of its longest unit."""

    _name = "This translator"
    _most = MAX_CHARS

    def __init__(self) -> None:
        self.terms_kept_apart = 0
        """Units of which the model lost a term, so that they were translated in parts around it."""

    @abstractmethod
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs of languages, (from, to), sorted."""

    @abstractmethod
    async def _unit(self, text: str, pair: Pair, request: TranslationRequest) -> str:
        """The translation of one unit of the request. Raises `EngineError`."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raises `EngineUnavailable` (`not_open`) before `open()`."""

    def translates(self, from_language: str, to_language: str) -> bool:
        return self._pair(from_language, to_language) is not None

    def _pair(self, from_language: str, to_language: str) -> Pair | None:
        """The pair that serves this one; None where there is none."""
        return find_pair(self.pairs(), from_language, to_language)

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        """Stream the translation, unit by unit.

        Raises `EngineRefused`: `unsupported_language` for a pair that `translates()` denies, `text_too_long` beyond `MAX_TEXT`.
        """
        self._check_open()
        pair = self._pair(request.from_language, request.to_language)
        if pair is None:
            raise refused(self._name, request.from_language, request.to_language, self.pairs())
        if len(request.text) > MAX_TEXT:
            raise EngineRefused(
                f"The text has {len(request.text)} characters; a request may have {MAX_TEXT}.",
                "Send it in parts.",
                code="text_too_long",
            )
        protected = protect(unicodedata.normalize("NFC", request.text), request.terms)
        found, after = units(protected.text, self._most)
        for number, unit in enumerate(found):
            translation = await self._with_terms(protected, unit.text, pair, request)
            yield joined(unit.before, translation, first=number == 0)
        if found and after.strip():
            yield after.rstrip()

    async def _with_terms(self, protected: Protected, text: str, pair: Pair, request: TranslationRequest) -> str:
        restored = protected.restored(text, await self._unit(text, pair, request))
        if restored is not None:
            return restored
        self.terms_kept_apart += 1
        log.info("%s lost a prescribed term; the sentence is translated in parts around it", self._name)
        made = ""
        for part, is_term in protected.around(text):
            if is_term or not has_words(part):
                made += part
            else:
                bare = part.strip()
                lead, trail = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
                made += lead + (await self._unit(bare, pair, request)).strip() + trail
        return made
