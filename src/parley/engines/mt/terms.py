"""Prescribed translations in a text: each is replaced by a placeholder that models copy, and put in place afterwards.

Laws:
- Pure. The longest term wins where two begin together. A term is matched at the bounds of words, where its script sets words apart;
  one without capitals is found in any case ("weather" in "Weather"), one with capitals only as it is spelt ("US").
- A placeholder is in no text that it stands in. What a model did with it is checked: each one must come back once, apart from words.
- Nothing is lost in silence: `restored()` returns None for a translation that lacks one, and `around()` gives the text in parts, which
  are translated one by one so that the terms stand between them.

Placeholders look like `XQ1`: Bergamot's models and Apertium both copy such codes, in any place of a sentence (docs/translation.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from parley.engines.ports import Term

_STEMS: Final = ("XQ", "ZV", "QJ", "VX", "JZ", "KQ", "WX", "XJ")

_UNSPACED: Final = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts whose words are not set apart, or take endings that are (Korean)."""

MAX_PATTERNS: Final = 64
"""Lists of terms whose pattern is kept: one for each session that speaks, more than speak at once."""


@dataclass(frozen=True, slots=True)
class Protected:
    """A text whose terms are placeholders. `targets` are what the placeholders stand for."""

    text: str
    stem: str
    targets: Mapping[str, str]

    def codes(self, part: str) -> Counter[str]:
        """The placeholders in a part of the text, or in its translation."""
        return Counter(match.group().upper() for match in self._pattern().finditer(part))

    def restored(self, part: str, translation: str) -> str | None:
        """The translation of `part` with its terms in place; None where a placeholder is missing, doubled or changed."""
        codes = self.codes(part) if self.targets else Counter()
        if not codes:
            return translation
        if self.codes(translation) != codes or len(re.findall(self.stem, translation, re.IGNORECASE)) != codes.total():
            return None
        return self._pattern().sub(lambda match: self.targets[match.group().upper()], translation)

    def around(self, part: str) -> Iterator[tuple[str, bool]]:
        """The pieces of a part of the text in their order: (text, whether it is a term, which is a target and not to be translated)."""
        at = 0
        for match in self._pattern().finditer(part):
            yield part[at : match.start()], False
            yield self.targets[match.group().upper()], True
            at = match.end()
        yield part[at:], False

    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![A-Za-z0-9]){self.stem}\d+(?![A-Za-z0-9])", re.IGNORECASE)


def protect(text: str, terms: tuple[Term, ...]) -> Protected:
    """Put placeholders in the place of the terms. Terms without a source are ignored; of two with the same one, the first counts."""
    wanted = tuple(term for term in terms if term.source.strip())
    folded = text.upper()
    stem = next((one for one in _stems() if one not in folded), "")
    if not wanted or not stem:
        return Protected(text, _STEMS[0], {})
    targets: dict[str, str] = {}

    def placed(match: re.Match[str]) -> str:
        code = f"{stem}{len(targets) + 1}"
        targets[code] = by_group[match.lastgroup or ""]
        return code

    pattern, by_group = _compiled(wanted)
    return Protected(pattern.sub(placed, text), stem, targets)


def _stems() -> Iterator[str]:
    yield from _STEMS
    letters = "BCDFGHJKLMNPQRSTVWXZ"
    for first in letters:
        for second in letters:
            for third in letters:
                yield f"X{first}{second}{third}"


@lru_cache(MAX_PATTERNS)
def _compiled(terms: tuple[Term, ...]) -> tuple[re.Pattern[str], Mapping[str, str]]:
    """The pattern of all terms, longest first, and the target of each of its groups."""
    by_source: dict[str, str] = {}
    for term in terms:
        by_source.setdefault(" ".join(unicodedata.normalize("NFC", term.source).split()), term.target)
    ordered = sorted(by_source, key=len, reverse=True)
    alternatives = [f"(?P<t{number}>{_one(source)})" for number, source in enumerate(ordered)]
    return re.compile("|".join(alternatives)), {f"t{n}": by_source[source] for n, source in enumerate(ordered)}


def _one(source: str) -> str:
    body = r"\s+".join(map(re.escape, source.split()))
    if source == source.lower():
        body = f"(?i:{body})"
    before = rf"(?<![^\W{_UNSPACED}])" if _sets_apart(source[0]) else ""
    after = rf"(?![^\W{_UNSPACED}])(?![{_marks()}])" if _sets_apart(source[-1]) else ""
    return before + body + after


def _sets_apart(character: str) -> bool:
    joins = character.isalnum() or unicodedata.category(character) in {"Mn", "Mc"}
    return joins and not re.match(f"[{_UNSPACED}]", character)


@lru_cache(1)
def _marks() -> str:
    """Combining marks, as the inside of a character class: they go on with a word, and `\\w` lacks them."""
    return "".join(
        map(re.escape, (chr(c) for c in range(0x300, 0xFE30) if unicodedata.category(chr(c)) in {"Mn", "Mc"}))
    )
