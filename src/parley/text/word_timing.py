"""Maps the words that a synthesizer timed onto the words of the text that is shown.

Laws: pure; exact or silent. Where what is spoken has the letters of what is shown, each spoken word ends at its last letter, however
the words were parted for the voice ("1,2,3" as "1, 2, 3"). Else timings are used only where each word that was spoken stands for one
word that is shown (an address, by its host): where words were spelled out ("3 pm" as "three p m") no word of the clause is
timed. Where the engine reports another word than it was given the timing stops.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

_TOKEN = re.compile(r"\S+")


class TimedWord(Protocol):
    """A word as an engine reports it: what it was, and when it ended (ms from the start of the clause's audio)."""

    @property
    def text(self) -> str: ...

    @property
    def end_ms(self) -> float: ...


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word of the shown text: where it ends in the text (characters) and in the clause's audio (ms)."""

    text_end: int
    end_ms: float


def _letters(token: str) -> str:
    return "".join(letter for letter in token.casefold() if letter.isalnum())


def _words(text: str) -> list[tuple[str, int]]:
    """Each word's letters, and where it ends in the text; tokens without letters (a dash, `**`) are not words."""
    found = ((_letters(match.group()), match.end()) for match in _TOKEN.finditer(text))
    return [(letters, end) for letters, end in found if letters]


def _ends_by_letters(text: str) -> dict[int, int]:
    """Where the text's first letter ends, its first two letters, and so on; the marks after a letter belong to it."""
    ends: dict[int, int] = {}
    count = 0
    for at, character in enumerate(text):
        letters = len(_letters(character))
        if letters:
            count += letters
            ends[count] = at + 1
        elif count and not character.isspace() and ends[count] == at:
            ends[count] = at + 1
    return ends


class WordTiming:
    """One clause's words as they are timed. `last` is what was known after the last call of `spoken()`."""

    __slots__ = ("_ends", "_said", "last")

    def __init__(self, text: str, spoken: str) -> None:
        shown, said = _words(text), _words(spoken)
        self._said = "".join(letters for letters, _ in said)
        self._ends: dict[int, int] = {}
        """After how many spoken letters a place in the text is reached."""
        if self._said == _letters(text):
            self._ends = _ends_by_letters(text)
        elif len(said) == len(shown):
            counts = accumulate(len(letters) for letters, _ in said)
            self._ends = dict(zip(counts, (end for _, end in shown), strict=True))
        self.last: tuple[PlacedWord, ...] = ()

    def spoken(self, words: Sequence[TimedWord]) -> tuple[PlacedWord, ...]:
        """All words timed so far as places in the text and in the clause's audio; () where they cannot be mapped."""
        timed: list[PlacedWord] = []
        count, end_ms = 0, 0.0
        for word in words:
            letters = _letters(word.text)
            if not letters:
                continue
            if not self._said.startswith(letters, count):
                break
            count += len(letters)
            end_ms = max(end_ms, word.end_ms)
            if count in self._ends:
                timed.append(PlacedWord(self._ends[count], end_ms))
        if len(timed) >= len(self.last):
            self.last = tuple(timed)
        return self.last
