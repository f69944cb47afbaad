"""How numbers, ordinals, money, percentages and times are spoken in languages other than English; dates stand in `other_dates`.

Laws: pure; each rule is linear; what is spoken holds no digits. Of a currency or a sign without a word in a language, the number is spoken
and the sign is left to the voice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from parley.text import number_words
from parley.text.other_dates import DATE_RULES

CURRENCIES: Final = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW"}

_PERCENT: Final = {
    "ca": "per cent", "cs": "procent", "da": "procent", "de": "Prozent", "es": "por ciento", "fi": "prosenttia", "fr": "pour cent",
    "hu": "százalék", "id": "persen", "it": "per cento", "lt": "procentų", "nl": "procent", "no": "prosent", "pl": "procent",
    "pt": "por cento", "ro": "la sută", "ru": "процентов", "sk": "percent", "sv": "procent", "tr": "yüzde", "uk": "відсотків",
}  # fmt: skip
_DEGREES: Final = {
    "de": "Grad", "es": "grados", "fr": "degrés", "it": "gradi", "nl": "graden", "pl": "stopni", "pt": "graus", "sv": "grader",
}  # fmt: skip
_MINUS: Final = {
    "de": "minus", "es": "menos", "fr": "moins", "it": "meno", "nl": "min", "pl": "minus", "pt": "menos", "ru": "минус", "sv": "minus",
}  # fmt: skip
_POINT_DECIMALS: Final = frozenset({"ja", "ko", "th", "he", "en", "zh", "hi", "bn", "te", "kn", "am"})
"""Languages that write "1,234.5"; the others write "1.234,5"."""

_MARKS: Final = ".,'’\u00a0\u202f "
"""What stands between the thousands."""

_NUMBER: Final = rf"(?<!\d)(?:\d{{1,3}}(?:[{_MARKS}]\d{{3}}){{1,6}}+(?:[.,]\d++)?(?!\d)|\d++(?:[.,]\d++)?)"
"""Begins where a run of digits begins and takes the run whole, so that no rule looks at a digit of a long number twice."""

_GROUPED: Final = re.compile(rf"\d{{1,3}}(?:[{_MARKS}]\d{{3}})+")


def _plain(written: str, language: str) -> str:
    """A written number with ASCII digits and "." before its decimals."""
    point = "." if language[:2] in _POINT_DECIMALS else ","
    marks = [mark for mark in written if not mark.isdecimal()]
    last = marks[-1] if marks else ""
    if last in ("", " ", "'", "’", "\u00a0", "\u202f") or (
        (last != point or marks.count(last) > 1) and _GROUPED.fullmatch(written)
    ):
        return _ascii(written) or "0"
    whole, _, decimals = written.rpartition(last)
    return f"{_ascii(whole) or '0'}.{_ascii(decimals)}"


def _ascii(digits: str) -> str:
    return "".join(str(int(digit)) for digit in digits if digit.isdecimal())


def _read(written: str, language: str) -> str | None:
    number = _plain(written, language)
    if number.startswith("0") and len(number) > 1 and "." not in number:
        return number_words.digits(number, language)
    return number_words.cardinal(number, language) or number_words.digits(number, language)


def _money(match: re.Match[str], language: str) -> str | None:
    sign = match["before"] or match["after"]
    amount = _plain(match["amount"], language)
    whole, _, cents = amount.partition(".")
    exact = f"{whole}.{cents.ljust(2, '0')}" if cents else whole
    return number_words.money(exact, CURRENCIES[sign], language)


def _percent(match: re.Match[str], language: str) -> str | None:
    number, word = _read(match["number"], language), _PERCENT.get(language[:2])
    if number is None or word is None:
        return None
    return f"{word} {number}" if language[:2] == "tr" else f"{number} {word}"


def _degrees(match: re.Match[str], language: str) -> str | None:
    number, word = _read(match["number"], language), _DEGREES.get(language[:2])
    return None if number is None or word is None else f"{number} {word}"


def _ordinal(match: re.Match[str], language: str) -> str | None:
    said = number_words.ordinal(match["number"], language)
    if said is not None and match["mark"] in ("ª", "a", "ère", "re") and language[:2] in ("es", "pt", "it"):
        return re.sub(r"o\b", "a", said)
    if said == "premier" and match["mark"] in ("re", "ère"):
        return "première"
    return said


def _ordinal_of(languages: str, marks: str) -> tuple[re.Pattern[str], Callable[[re.Match[str], str], str | None]]:
    known = frozenset(languages.split())

    def speak(match: re.Match[str], language: str) -> str | None:
        return _ordinal(match, language) if language[:2] in known else None

    return re.compile(rf"(?<![\w.,])(?P<number>\d{{1,6}})(?P<mark>{marks})(?!\w)"), speak


def _time(match: re.Match[str], language: str) -> str | None:
    hours, minutes = number_words.cardinal(match[1], language), number_words.cardinal(match[2], language)
    if hours is None or minutes is None:
        return None
    return hours if match[2] == "00" else f"{hours} {minutes}"


def _minus(match: re.Match[str], language: str) -> str | None:
    return _MINUS.get(language[:2])


def _number(match: re.Match[str], language: str) -> str | None:
    return _read(match.group(), language)


def _digits(match: re.Match[str], language: str) -> str | None:
    return number_words.digits(_ascii(match.group()), language)


_SIGNS: Final = "".join(CURRENCIES)
RULES: Final = (
    *DATE_RULES,
    (re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?![\d:])"), _time),
    (re.compile(rf"(?<!\w)(?P<before>[{_SIGNS}])\s?(?P<amount>{_NUMBER})(?P<after>)"), _money),
    (re.compile(rf"(?<![\w.,])(?P<before>)(?P<amount>{_NUMBER})\s?(?P<after>[{_SIGNS}])"), _money),
    (re.compile(rf"(?P<number>{_NUMBER})\s?[%٪]"), _percent),
    (re.compile(rf"(?P<number>{_NUMBER})\s?°(?:\s?C\b)?"), _degrees),
    _ordinal_of("es pt it", "[ºª]|\\.º|\\.ª"),
    _ordinal_of("fr", "ère|re|er|ème|e"),
    _ordinal_of("nl", "e|de|ste"),
    (re.compile(r"(?<![\w.,)])[-−](?=\d)"), _minus),
    (re.compile(_NUMBER), _number),
    (re.compile(r"\d"), _digits),  # what an earlier rule has left of a number
)
