"""The spoken form of a text for a voice that does not read numbers, dates, money, units and symbols by itself, and the way back.

Laws:
- What is written is replaced piece by piece, and every piece knows the words that it stands for: the words of the spoken form that a voice
  timed are the words of the text, in order, each exact or not reported (`SpokenForm.written`).
- Never raises, linear in the text's length; the spoken form of a language that is known holds no digits. A text in a language without rules
  and without number words stays as it is.

English is complete (`english_forms`); other languages have numbers, ordinals, money, percentages and times (`other_forms`), and six of them
dates, ranges and phone numbers (`other_dates`).
`num2words` gives the words of numbers in 50 languages. wetext and NeMo's grammars read more kinds of text as a whole, but need 50 MB of
transducers and more, give no way back to what is written, and know two or three languages without a compiler of grammars.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from parley.text import english_forms, number_words, other_forms

_TOKEN: Final = re.compile(r"\S+")
_LATIN: Final = re.compile(r"[A-Za-z]")
_OTHER_LETTER: Final = re.compile(r"[^\W\d_A-Za-zÀ-ɏ]")

Replacement = tuple[int, int, str]
"""Characters `start .. end` of the text are spoken as a text."""


class Timed(Protocol):
    """A word as an engine reports it: what it was, and where it lies (ms)."""

    @property
    def text(self) -> str: ...

    @property
    def start_ms(self) -> float: ...

    @property
    def end_ms(self) -> float: ...


@dataclass(frozen=True, slots=True)
class WrittenWord:
    """A word as it is written, and where what is spoken for it lies (ms)."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class SpokenForm:
    """`text` is what the voice speaks. `groups` are the written words that are spoken together, with the letters of what is spoken."""

    text: str
    groups: tuple[tuple[tuple[str, ...], str], ...]

    def written(self, words: Sequence[Timed]) -> list[WrittenWord]:
        """The written words that are over, or have begun where one word speaks one: a group ends with the last word that speaks it."""
        found: list[WrittenWord] = []
        at = iter(words)
        word = next(at, None)
        for texts, letters in self.groups:
            start_ms, end_ms, count = (found[-1].end_ms if found else 0.0), None, 0
            while count < len(letters) and word is not None:
                said = _letters(word.text)
                if not letters.startswith(said, count):
                    return found  # another word than was asked for, or one that speaks two
                if end_ms is None and said:
                    start_ms = word.start_ms
                end_ms = word.end_ms
                count += len(said)
                word = next(at, None)
            if count < len(letters):
                return found
            end_ms = start_ms if end_ms is None else end_ms
            found += [WrittenWord(text, start_ms, end_ms) for text in texts]
        return found


def spoken_form(text: str, language: str = "") -> SpokenForm:
    """The spoken form of a text in a language (a BCP-47 tag; "" is English where the letters are Latin)."""
    if not language and _LATIN.search(text) and not _OTHER_LETTER.search(text):
        language = "en"
    name = number_words.known(language) if language else ""
    return _joined(text, _replacements(text, _rules(name), name) if name else ())


Rule = tuple[re.Pattern[str], Callable[[re.Match[str], str], str | None]]
"""What is looked for, and how it is spoken in a language; None leaves it to the next rule."""


def _rules(name: str) -> Iterable[Rule]:
    return english_forms.RULES if name.startswith("en") else other_forms.RULES


def _replacements(text: str, rules: Iterable[Rule], name: str) -> list[Replacement]:
    """What the rules replace: an earlier rule goes before a later one where they would overlap."""
    taken = bytearray(len(text))
    found: list[Replacement] = []
    for pattern, speak in rules:
        for match in pattern.finditer(text):
            start, end = match.span()
            if start == end or any(taken[start:end]):
                continue
            said = speak(match, name)
            if said is not None:
                taken[start:end] = b"\1" * (end - start)
                found.append((start, end, said))
    return sorted(found)


def _joined(text: str, replacements: Sequence[Replacement]) -> SpokenForm:
    """The text with its replacements, group by group: words that one replacement joins are one group."""
    spans: list[list[int]] = [[match.start(), match.end()] for match in _TOKEN.finditer(text)]
    groups: list[list[int]] = []
    at = 0
    for start, end in spans:
        while at < len(replacements) and replacements[at][1] <= start:
            at += 1
        joined = groups and at < len(replacements) and replacements[at][0] < groups[-1][1]
        if joined and replacements[at][1] > start:
            groups[-1][1] = end
        else:
            groups.append([start, end])
        while at < len(replacements) and replacements[at][1] <= end:
            at += 1
    said: list[str] = []
    made: list[tuple[tuple[str, ...], str]] = []
    at = 0
    for start, end in groups:
        parts, place = [], start
        while at < len(replacements) and replacements[at][0] < end:
            first, last, spoken = replacements[at]
            between = " " if place == first > start else ""
            parts += [text[place:first], between, _spaced(text, first, last, spoken)]
            place = last
            at += 1
        spoken_group = " ".join("".join([*parts, text[place:end]]).split())
        said.append(spoken_group)
        made.append((tuple(text[start:end].split()), _letters(spoken_group)))
    return SpokenForm(" ".join(one for one in said if one), tuple(made))


def _spaced(text: str, start: int, end: int, spoken: str) -> str:
    """With a space where a letter of a script that has spaces would touch it."""
    before = " " if start and _touches(text[start - 1]) else ""
    after = " " if end < len(text) and _touches(text[end]) else ""
    return f"{before}{spoken}{after}"


def _touches(character: str) -> bool:
    return character.isalnum() and unicodedata.east_asian_width(character) not in ("W", "F")


def _letters(token: str) -> str:
    return "".join(letter for letter in token.casefold() if letter.isalnum())
