"""Which numbers, addresses, dates and names of a text its translation lacks.

Laws: pure; numbers count by value, in the digits and the grouping of either language, or in words; dates by their meaning (`dates`), names
by likeness and by the forms that they have elsewhere (`names`); what is not found is reported as it stands in the source. A number that is
only a word in the source ("two") is not looked for: translations turn it into too many forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from parley.text.clock_times import missing_times
from parley.text.dates import missing_dates
from parley.text.names import missing_names
from parley.text.number_words import cardinal, ordinal, year

MAX_CHARACTERS: Final = 4_000
"""Of a source, or a translation, that is looked at: four minutes of speech. A longer one is no clause, and counts as faithful."""

MAX_FACTS: Final = 16
"""Reported of one text; one with more is a table, not a clause."""

_ADDRESS: Final = re.compile(r"https?://\S+|www\.\S+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+\.[\w.-]+")
_CODE: Final = re.compile(r"(?<![\w-])(?=[\w-]{0,40}[A-Z])(?=[\w-]{0,40}\d)[A-Z0-9][A-Z0-9-]+\b")
_NUMBER: Final = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d+)*")
_APART: Final = re.compile(r"[\u00a0\u202f ]")
_MOST_DIGITS: Final = 6
"""Of a number that is looked for in words."""


def missing_facts(source: str, target: str, to_language: str, from_language: str = "") -> tuple[str, ...]:
    """The numbers, addresses, codes, dates and names of `source` that `target`, its translation, lacks; in order, each once.

    Languages are BCP-47 tags. Without `from_language` months and weekdays by name, and names, are not looked for.
    """
    if max(len(source), len(target)) > MAX_CHARACTERS:
        return ()
    missing: list[tuple[int, str]] = []
    plain, bare = source, target
    for pattern in (_ADDRESS, _CODE):
        for found in pattern.finditer(plain):
            fact = found.group().rstrip(".,;:!?")
            if fact.lower() not in target.lower():
                missing.append((found.start(), fact))
        plain, bare = pattern.sub(_blank, plain), pattern.sub(_blank, bare)
    there = {value for text in (target, bare) for number in _NUMBER.findall(text) for value in _all_values(number)}
    written = _letters(target)

    def number_there(value: str) -> bool:
        return value in there or _spelled(value, written, to_language)

    dates, plain = missing_dates(plain, bare, from_language, to_language, number_there)
    missing += [(date.start, date.written) for date in dates]
    times, plain = missing_times(plain, bare, number_there)
    missing += times
    missing += missing_names(plain, target, from_language, to_language)
    for number in _NUMBER.finditer(plain):
        if not _is_there(number.group(), number_there):
            missing.append((number.start(), number.group()))
    return tuple(dict.fromkeys(fact for _, fact in sorted(missing)))[:MAX_FACTS]


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _is_there(number: str, number_there: Callable[[str], bool]) -> bool:
    """Digits with spaces between them are one number, or several."""
    return any(map(number_there, _values(number))) or (
        _APART.search(number) is not None
        and all(any(map(number_there, _values(part))) for part in _APART.split(number))
    )


def _all_values(number: str) -> set[str]:
    return _values(number).union(*map(_values, _APART.split(number)))


def _values(number: str) -> set[str]:
    """What the digits may mean: a mark before three digits groups thousands or begins the decimals."""
    digits = re.sub(r"[ '’\u00a0\u202f]", "", number).rstrip(".,")
    values = {_normal(re.sub(r"[.,]", "", digits), "")} if re.fullmatch(r"\d{1,3}([.,]\d{3})+", digits) else set()
    whole, mark, decimals = _split(digits)
    values.add(_normal(whole, decimals if mark else ""))
    return values


def _split(digits: str) -> tuple[str, str, str]:
    at = max(digits.rfind("."), digits.rfind(","))
    if at < 0:
        return digits, "", ""
    whole = re.sub(r"[.,]", "", digits[:at])
    return whole, digits[at], digits[at + 1 :]


def _normal(whole: str, decimals: str) -> str:
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def _spelled(value: str, letters: str, language: str) -> bool:
    """Whether the whole number stands in words in the letters of a text, as a cardinal, a year, or an ordinal."""
    if not value.isdigit() or len(value) > _MOST_DIGITS:
        return False
    said = (
        cardinal(value, language),
        year(value, language) if len(value) == 4 else None,
        ordinal(value, language) if int(value) <= 100 else None,
    )
    return any(form in letters for words in said if words for form in _forms(_letters(words)))


def _forms(number: str) -> tuple[str, ...]:
    """A number in words, and as it is before a noun or of the other gender ("cuarenta y un", "duas", "doscientas")."""
    before_noun = (
        re.sub(r"uno$", "un", number).replace("iun", "iún")
        if number.endswith("tiuno")
        else re.sub(r"uno$", "un", number)
    )
    return number, before_noun, re.sub(r"dois$", "duas", number), number.replace("entos", "entas")


def _letters(text: str) -> str:
    """For comparing: hyphens, spaces and "and" between number words are a matter of style."""
    return re.sub(r"\band\b|[\s-]+", "", text.lower())
