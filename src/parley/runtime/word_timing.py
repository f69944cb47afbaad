"""Maps the words that a synthesizer timed onto the words of the text that is shown.

Laws: pure; exact or silent. Where what is spoken has the letters of what is shown, each spoken word ends at its last letter, however
the words were parted for the voice ("1,2,3" as "1, 2, 3"). Else timings are used only where each word that was spoken stands for one
word that is shown (an address, by its host): where words were spelled out ("3 pm" as "three p m") no word of the clause is
timed. Where the engine reports another word than it was given the timing stops.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from parley.core.words.events import SpokenWord
from parley.core.words.limits import SAMPLES_PER_MS
from parley.engines.ports import Word

_TOKEN = re.compile(r"\S+")


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
        self.last: tuple[SpokenWord, ...] = ()

    def spoken(self, words: Sequence[Word]) -> tuple[SpokenWord, ...]:
        """All words timed so far as places in the text and in the clause's audio (24 kHz); () where they cannot be mapped."""
        timed: list[SpokenWord] = []
        count = end_sample = 0
        for word in words:
            letters = _letters(word.text)
            if not letters:
                continue
            if not self._said.startswith(letters, count):
                break
            count += len(letters)
            end_sample = max(end_sample, round(word.end_ms * SAMPLES_PER_MS))
            if count in self._ends:
                timed.append(SpokenWord(self._ends[count], end_sample))
        if len(timed) >= len(self.last):
            self.last = tuple(timed)
        return self.last
