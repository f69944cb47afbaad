"""Which numbers and addresses of a text its translation lacks.

Laws: pure; numbers count by value, in the digits and the grouping of either language, or in words; what is not found is reported as it
stands in the source. A number that is only a word in the source ("two") is not looked for: translations turn it into too many forms.
Names are not looked for either: they are inflected, and many have another form in another language.
"""

from __future__ import annotations

import re
from typing import Final

from parley.text.number_words import cardinal, year

MAX_FACTS: Final = 16
"""Reported of one text; one with more is a table, not a clause."""

_ADDRESS: Final = re.compile(r"https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.-]+")
_CODE: Final = re.compile(r"\b(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Z0-9][A-Z0-9-]+\b")
_NUMBER: Final = re.compile(r"\d[\d.,'’\u00a0\u202f ]*\d|\d")
_SPELLED: Final = 1_000_000


def missing_facts(source: str, target: str, to_language: str) -> tuple[str, ...]:
    """The numbers, addresses and codes of `source` that `target`, its translation into `to_language` (BCP 47), lacks; in order."""
    missing: list[str] = []
    plain, bare = source, target
    for pattern in (_ADDRESS, _CODE):
        for found in pattern.findall(plain):
            fact = found.rstrip(".,;:!?")
            if fact.lower() not in target.lower():
                missing.append(fact)
        plain, bare = pattern.sub(" ", plain), pattern.sub(" ", bare)
    there = {value for text in (target, bare) for number in _NUMBER.findall(text) for value in _values(number)}
    written = target.lower()
    for number in _NUMBER.findall(plain):
        values = _values(number)
        if values.isdisjoint(there) and not any(_spelled(value, written, to_language) for value in values):
            missing.append(number.strip(" .,'’\u00a0\u202f"))
    return tuple(missing[:MAX_FACTS])


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


def _spelled(value: str, text: str, language: str) -> bool:
    """Whether the whole number stands in `text` in words."""
    if not value.isdigit() or int(value) >= _SPELLED:
        return False
    said = (cardinal(value, language), year(value, language) if len(value) == 4 else None)
    return any(_letters(words) in _letters(text) for words in said if words)


def _letters(text: str) -> str:
    """For comparing: hyphens, spaces and "and" between number words are a matter of style."""
    return re.sub(r"\band\b|[\s-]+", "", text.lower())
