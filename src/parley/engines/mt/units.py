"""Cuts a text into the units that a sentence translator takes, and says what stands between them.

Laws:
- Pure. A unit holds a word, is at most `most` characters long, and lies within one sentence or, of a longer one, within a part of it.
- What a translation model would garble or lose stands between units and is passed on: emoji and other pictures, line ends, `~`.
  Control characters and halves of surrogate pairs are dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

MAX_CHARS: Final = 300
"""A long spoken sentence. A longer unit would keep other sessions waiting, and models lose the end of it."""

_FIRST_PICTURE: Final = "\u2190"
"""Symbols below it belong to words: 20 °C, No., TM."""

_SENTENCE_END: Final = re.compile(r"(?:[.!?…؟।]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』）”]*)")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\"“«])(?:[^\W\d_a-z]|Mr|Mrs|Ms|Drs?|Dra|Sr|Sra|Srta|Srs|Jr|St|Ste|Prof|Mme|Mlle|Hr|Fr|Sig|Ing|Lic|Gen|Col|Cap|Capt|Lt|Sgt"
    r"|Rev|Hon|Av|Ave|Tel|vs|ca|bzw|approx|aprox|p\.ej|e\.g|i\.e)\.$"
)
"""No end of a sentence: titles before names, and initials."""

_WORD: Final = re.compile(r"[^\W_]")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Unit:
    """One text to translate, without white space around it; `before` stands between it and the unit before it."""

    text: str
    before: str = ""


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit."""
    return _WORD.search(text) is not None


def units(text: str, most: int = MAX_CHARS) -> tuple[list[Unit], str]:
    """The units of `text` in their order, and what follows the last one."""
    found: list[Unit] = []
    between = ""
    for is_break, group in groupby(text, _is_break):
        run = "".join(group)
        if is_break:
            between += "".join(map(_kept, run))
            continue
        for part in _sentences(run, most):
            bare = part.strip()
            if not has_words(bare):
                between += part
                continue
            lead = part[: len(part) - len(part.lstrip())]
            found.append(Unit(bare, between + lead))
            between = part[len(part.rstrip()) :]
    return found, between


def joined(before: str, translation: str, *, first: bool) -> str:
    """A unit's translation with what stands before it; words of scripts with spaces are kept apart."""
    if first:
        return before.lstrip() + translation
    if not before and not _UNSPACED.match(translation):
        return " " + translation
    return before + translation


def _is_break(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "So":
        return character >= _FIRST_PICTURE
    return category in {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"} or character == "~"


def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return character if character in "\n\t" else " " if character in "\v\f" else ""
    return "" if category in {"Cs", "Co", "Cn"} else character


def _sentences(run: str, most: int) -> Iterator[str]:
    begin = 0
    for match in _SENTENCE_END.finditer(run):
        if not _ABBREVIATION.search(run[begin : match.end()]):
            yield from _parts(run[begin : match.end()], most)
            begin = match.end()
    yield from _parts(run[begin:], most)


def _parts(sentence: str, most: int) -> Iterator[str]:
    """The sentence in parts of at most `most` characters: cut after a mark, else at white space, else anywhere."""
    while len(sentence) > most:
        window = sentence[:most]
        marks = [match.end() for match in re.finditer(r"[,;:،、，；](?=\s|[^\x00-\x7f])", window)]
        spaces = [match.start() for match in re.finditer(r"\s", window)]
        cut = next((at for at in reversed(marks) if at >= most // 3), 0) or (spaces[-1] if spaces else 0) or most
        yield sentence[:cut]
        sentence = sentence[cut:]
    if sentence:
        yield sentence
