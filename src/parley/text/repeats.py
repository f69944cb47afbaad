"""A recogniser's loop: the same words again and again, which nobody said.

Recognisers of the Whisper family repeat a phrase on silence, music and noise. Laws:
- Pure. What people say stays: "no no no", "very very good", "bye bye bye", a number read digit by digit.
- A loop is one word 6 times or more in a row, or a phrase of 2 to 6 words 4 times or more. It is cut to two repetitions, and to none of the
  third that was begun where the text ends in it.
- The result has no loop; a text without a loop comes back as it is, the same object.
- In a text with a script that has no spaces, its characters take the place of words: up to 3 characters 6 times, 4 to 24 characters
  4 times.
"""

from __future__ import annotations

import re
from typing import Final

WORD_REPEATS: Final = 6
"""From so many on, one word is a loop: "no, no, no, no, no" is said by people."""

PHRASE_REPEATS: Final = 4
"""From so many on, a phrase is a loop: "come on, come on, come on" is said by people."""

KEPT: Final = 2
"""Repetitions that stay of a loop."""

LONGEST_PHRASE: Final = 6
LONGEST_CHARACTERS: Final = 24
SHORT_CHARACTERS: Final = 3

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['’-][^\W{_UNSPACED}]+)*")
_CHARACTER: Final = re.compile(rf"[{_UNSPACED}]")
_DIGITS: Final = frozenset(
    [
        "zero",
        "oh",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "double",
        "cero",
        "uno",
        "dos",
        "tres",
        "cuatro",
        "cinco",
        "seis",
        "siete",
        "ocho",
        "nueve",
        "um",
        "dois",
        "três",
        "quatro",
        "sete",
        "oito",
        "nove",
        "meia",
        "null",
        "eins",
        "zwei",
        "zwo",
        "drei",
        "vier",
        "fünf",
        "sechs",
        "sieben",
        "acht",
        "neun",
        "zéro",
        "un",
        "deux",
        "trois",
        "quatre",
        "cinq",
        "sept",
        "huit",
        "neuf",
        "due",
        "tre",
        "quattro",
        "cinque",
        "sei",
        "sette",
        "otto",
    ]
)
"""Digits as people spell out a number; they repeat in earnest."""


def is_loop(text: str) -> bool:
    """Whether `text` holds a loop."""
    words, units = _words(text)
    return any(_repeated(words, at, units) for at in range(len(words)))


def without_loops(text: str) -> str:
    """`text` with each loop cut to two repetitions."""
    while (shorter := _cut(text)) != text:
        text = shorter
    return text


def _cut(text: str) -> str:
    """One pass; cutting a loop can make another one of what stays."""
    words, units = _words(text)
    spans = [match.span() for match in _TOKEN.finditer(text)]
    kept: list[str] = []
    at = copied = 0
    while at < len(words):
        loop = _repeated(words, at, units)
        if loop is None:
            at += 1
            continue
        size, count = loop
        end = at + size * count
        if end + size > len(words) and words[end:] == words[at : at + len(words) - end]:
            end = len(words)
        kept.append(text[copied : spans[at + size * KEPT - 1][1]])
        # What follows a word up to the next one (a comma, a space) goes with it, but for the marks after the last that is cut.
        copied = spans[end - 1][1]
        at = end
    return "".join(kept) + text[copied:] if kept else text


def _words(text: str) -> tuple[list[str], bool]:
    """The words, lower-cased, without punctuation; and whether some are characters of a script without spaces."""
    return [word.lower() for word in _TOKEN.findall(text)], bool(_CHARACTER.search(text))


def _repeated(words: list[str], at: int, units: bool) -> tuple[int, int] | None:
    """The size and the number of repetitions of the loop that begins at a word, the smallest phrase first; None: there is none."""
    for size in range(1, (LONGEST_CHARACTERS if units else LONGEST_PHRASE) + 1):
        phrase = words[at : at + size]
        needed = _needed(phrase)
        enough = at + size * needed
        if enough > len(words) or words[at + size : enough] != words[at : enough - size] or _is_number(phrase):
            continue
        end = enough
        while end < len(words) and words[end] == words[end - size]:
            end += 1
        return size, (end - at) // size
    return None


def _needed(phrase: list[str]) -> int:
    """How many repetitions of a phrase make a loop."""
    characters = all(_CHARACTER.fullmatch(word) for word in phrase)
    return WORD_REPEATS if len(phrase) <= (SHORT_CHARACTERS if characters else 1) else PHRASE_REPEATS


def _is_number(phrase: list[str]) -> bool:
    return all(word.isdigit() or word in _DIGITS for word in phrase)
