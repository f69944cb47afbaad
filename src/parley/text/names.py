"""Which names of a text its translation lacks.

Laws:
- Pure, and linear in each of the two texts but for their product, which `MAX_NAMES` and `MAX_WORDS` bound.
- A false alarm is worse than a miss. A name is a word with a capital inside a sentence, in a text that is not written in capitals; at the
  beginning of a sentence it is one only where `name_forms` knows it. No name is looked for where all nouns have capitals (German), and none
  where one of the texts is not in Latin letters.
- It is there where a word of the translation is like it: the same, inflected, or spelt as another language does; or in a form of another
  language that `name_forms` knows. The name of a thing may be translated: one of several words with a capital, none of which is copied, is
  missing only where the translation has no word with a capital left that may stand for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from parley.text.folding import folded
from parley.text.language_tags import primary_tag
from parley.text.name_forms import FORMS, LONG_FORMS, NO_NAMES, TITLES

MAX_NAMES: Final = 12
"""Words with a capital that are looked at in one text; one with more is a list, not a clause."""

MAX_WORDS: Final = 100
"""Words of a translation that a name is compared with, 40 seconds of speech; a longer one is not compared."""

MOST_CAPITALS: Final = 0.65
"""Part of the words with a capital, at most, in a text that is no heading."""

_NOUNS_WITH_CAPITALS: Final = frozenset({"de", "lb", "gsw"})
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")
_OPENS: Final = re.compile(r"(?:^|[.!?…:;¡¿\"“”«»„(\[\n–—*•/])[\s'‘’\"“«¿¡(–—-]*$")
_TITLE_BEFORE: Final = re.compile(
    r"\b(?:mr|mrs|ms|dr|prof|st|sr|sra|srta|dra|mme|vs|ud|dna|[a-z])\.\s*$", re.IGNORECASE
)
_POSSESSIVE: Final = re.compile(r"['’]s?$")
_CLITIC: Final = re.compile(r"^(?:[dlmnst]|qu|all|dell|nell|sull|dall|un)['’](?=\w)", re.IGNORECASE)
_LATIN: Final = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_SOUNDS: Final = (
    ("ph", "f"), ("th", "t"), ("sch", "s"), ("sh", "s"), ("ch", "c"), ("ck", "c"), ("qu", "c"), ("ou", "u"), ("oo", "u"),
    ("k", "c"), ("q", "c"), ("z", "s"), ("x", "s"), ("w", "v"), ("y", "i"), ("j", "i"), ("h", ""),
)  # fmt: skip

_ALIKE: Final = 0.62
_ALIKE_SMALL: Final = 0.75
_BEGINS: Final = 3
_BEGINS_SMALL: Final = 4


class _Name(NamedTuple):
    written: str
    start: int
    folded: str
    beside: frozenset[str]
    """The words with a capital next to it, titles left out: what has several words may be a thing, whose name is translated."""


class _Word(NamedTuple):
    folded: str
    capital: bool
    opens: bool
    """Whether it begins a sentence, where its capital says nothing."""


def missing_names(source: str, target: str, from_language: str, to_language: str) -> list[tuple[int, str]]:
    """The names of `source` that `target` lacks: (place, name) as the source has it. Languages are BCP-47 tags."""
    spoken = primary_tag(from_language)
    if not spoken or spoken in _NOUNS_WITH_CAPITALS or not (_is_latin(source) and _is_latin(target)):
        return []
    names = [*islice(_names(source), MAX_NAMES)]
    if not names:
        return []
    made = folded(target)
    words = [*islice(_words(target), MAX_WORDS + 1)]
    if len(words) > MAX_WORDS:
        return []
    absent = [name for name in names if not _is_there(name.folded, made, words)]
    if not absent:
        return []
    copied = {word.folded for word in words}
    things = [name for name in absent if " " in name.folded or (name.beside and copied.isdisjoint(name.beside))]
    if things:
        nouns = primary_tag(to_language) in _NOUNS_WITH_CAPITALS
        others = _left(words, {name.folded for name in names}, nouns=nouns)  # each may be the translation of one
        absent = [name for name in absent if name not in things[:others]]
    return [(name.start, name.written) for name in absent]


def _is_latin(text: str) -> bool:
    letters = len(_LETTER.findall(text))
    return letters > 0 and len(_LATIN.findall(text)) > 0.8 * letters


def _words(text: str) -> Iterator[_Word]:
    for match in _WORD.finditer(text):
        yield _Word(_bare(match.group()), _has_capital(match.group()), _begins(text, match.start()))


def _names(text: str) -> Iterator[_Name]:
    matches = [*_WORD.finditer(text)]
    capitals = sum(_has_capital(match.group()) for match in matches)
    if len(matches) > 3 and capitals > MOST_CAPITALS * len(matches):
        return
    plain = folded(text)
    small = {_bare(match.group()) for match in matches if not _has_capital(match.group())}
    taken = 0
    for number, match in enumerate(matches):
        if match.start() < taken or not _has_capital(match.group()):
            continue
        if form := _long_form(plain, match.start()):
            taken = match.start() + len(form)
            yield _Name(text[match.start() : taken], match.start(), form, frozenset())
        elif name := _name(text, match, small):
            written, bare = name
            yield _Name(written, match.start(), bare, frozenset(_beside(text, matches, number)))


def _beside(text: str, matches: list[re.Match[str]], number: int) -> Iterator[str]:
    for step in (-1, 1):
        at = number + step
        while 0 <= at < len(matches):
            between = text[
                min(matches[at].end(), matches[at - step].end()) : max(matches[at].start(), matches[at - step].start())
            ]
            word = _bare(matches[at].group())
            if between.strip(" '’-") or not (_has_capital(matches[at].group()) or word in _JOINING):
                break
            if word not in _JOINING and word not in TITLES and not _begins(text, matches[at].start()):
                yield word
            at += step


_JOINING: Final = frozenset(
    (
        "of",
        "the",
        "de",
        "del",
        "da",
        "do",
        "das",
        "dos",
        "di",
        "della",
        "des",
        "du",
        "von",
        "van",
        "der",
        "la",
        "las",
        "los",
        "le",
        "les",
    )
)
"""What may stand between the words of one name."""


def _long_form(plain: str, at: int) -> str:
    """The known name of several words that begins here, or ""."""
    for form in LONG_FORMS:
        if plain.startswith(form, at) and not plain[at + len(form) : at + len(form) + 1].isalpha():
            return form
    return ""


def _name(text: str, match: re.Match[str], small: set[str]) -> tuple[str, str] | None:
    """As the source has it, and folded; None where the word is no name."""
    written = _CLITIC.sub("", match.group())
    name = _bare(written)
    if written.isupper() or len(name) < 2 or name in NO_NAMES or name in small:
        return None
    if _begins(text, match.start()) and (name not in FORMS or name in _WORDS_TOO):
        return None
    return _POSSESSIVE.sub("", written), name


_WORDS_TOO: Final = frozenset(
    {"turkey", "china", "rome", "jordan", "mark", "ana", "uk", "genes", "reno", "franca", "gand", "rin", "rom"}
)
"""Names that are other words as well where they begin a sentence."""


def _has_capital(word: str) -> bool:
    return _CLITIC.sub("", word)[:1].isupper()


def _begins(text: str, at: int) -> bool:
    before = text[max(0, at - 12) : at]
    if _TITLE_BEFORE.search(before):
        return False
    return _OPENS.search(before) is not None if at else True


def _bare(word: str) -> str:
    return folded(_POSSESSIVE.sub("", _CLITIC.sub("", word))).strip("'’.-")


def _is_there(name: str, made: str, words: list[_Word]) -> bool:
    forms = FORMS.get(name, frozenset())
    if any(form in made for form in forms if len(form) > 4 or " " in form):
        return True
    return any(word.folded in forms or _alike(name, word) for word in words)


def _alike(name: str, word: _Word) -> bool:
    """Whether the word may be the name: a word without a capital has to be more like it."""
    other = word.folded
    if name == other:
        return True
    if len(name) >= 4 and len(other) >= 4 and (name in other or other in name):
        return True
    one, two = _sound(name), _sound(other)
    if one and one == two:
        return True
    same = _same_beginning(one, two)
    if same >= (_BEGINS if word.capital else _BEGINS_SMALL) and 2 * same + 1 >= min(len(one), len(two)):
        return True
    least = _ALIKE if word.capital else _ALIKE_SMALL
    matcher = SequenceMatcher(None, one, two, autojunk=False)
    return matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least and matcher.ratio() >= least


def _same_beginning(one: str, other: str) -> int:
    same = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        same += 1
    return same


@lru_cache(4096)
def _sound(word: str) -> str:
    """Roughly how it sounds in any of the languages, double letters once."""
    for written, sound in _SOUNDS:
        word = word.replace(written, sound)
    return re.sub(r"(.)\1+", r"\1", word)


def _left(words: list[_Word], names: set[str], *, nouns: bool) -> int:
    """How many words with a capital of the translation stand for none of the names. Where all nouns have one, any of them may."""
    found = {word.folded for word in words if word.capital and (nouns or not word.opens) and word.folded not in TITLES}
    return sum(not any(_alike(name, _Word(word, True, False)) for name in names) for word in found)
