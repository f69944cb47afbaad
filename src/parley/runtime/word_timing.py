"""Maps the words that a synthesizer timed onto the words of the text that is shown.

Laws: pure; exact or silent. Timings are used only where each word that was spoken stands for one word that is shown: where
words were spelled out for the voice ("3 pm" as "three p m") no word of the clause is timed, and where the engine reports
another word than it was given the timing stops.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from parley.core.events import SpokenWord
from parley.core.limits import SAMPLES_PER_MS
from parley.engines.ports import Word

_TOKEN = re.compile(r"\S+")


def _letters(token: str) -> str:
    return "".join(letter for letter in token.casefold() if letter.isalnum())


def _words(text: str) -> list[tuple[str, int]]:
    """Each word's letters, and where it ends in the text; tokens without letters (a dash, `**`) are not words."""
    found = ((_letters(match.group()), match.end()) for match in _TOKEN.finditer(text))
    return [(letters, end) for letters, end in found if letters]


class WordTiming:
    """One clause's words as they are timed. `last` is what was known after the last call of `spoken()`."""

    __slots__ = ("_expected", "last")

    def __init__(self, text: str, spoken: str) -> None:
        shown, said = _words(text), _words(spoken)
        pairs = zip(said, shown, strict=True) if len(said) == len(shown) else ()
        self._expected = [(letters, text_end) for (letters, _), (_, text_end) in pairs]
        self.last: tuple[SpokenWord, ...] = ()

    def spoken(self, words: Sequence[Word]) -> tuple[SpokenWord, ...]:
        """All words timed so far as places in the text and in the clause's audio (24 kHz); () where they cannot be mapped."""
        timed: list[SpokenWord] = []
        end_sample = 0
        for word, (letters, text_end) in zip(
            (word for word in words if _letters(word.text)), self._expected, strict=False
        ):
            if _letters(word.text) != letters:
                break
            end_sample = max(end_sample, round(word.end_ms * SAMPLES_PER_MS))
            timed.append(SpokenWord(text_end, end_sample))
        if len(timed) >= len(self.last):
            self.last = tuple(timed)
        return self.last
