"""How dates in digits, ranges and phone numbers are spoken in German, Spanish, French, Italian, Portuguese and Dutch.

Laws: pure; linear; what is spoken holds no digits. Another language, and what is no date, is left to the next rule.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from parley.text import number_words


class _Calendar(NamedTuple):
    months: tuple[str, ...]
    of: str
    """Between the day and the month, and between the month and the year."""
    first: str
    """The first of a month, where its name is no number; "" elsewhere."""
    to: str
    """Between the ends of a range."""


_CALENDARS: Final = {
    "de": _Calendar(
        ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"),
        " ", "", "bis",
    ),
    "es": _Calendar(
        ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
        " de ", "primero", "a",
    ),
    "fr": _Calendar(
        ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"),
        " ", "premier", "à",
    ),
    "it": _Calendar(
        ("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre"),
        " ", "primo", "a",
    ),
    "pt": _Calendar(
        ("janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro", "novembro", "dezembro"),
        " de ", "primeiro", "a",
    ),
    "nl": _Calendar(
        ("januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december"),
        " ", "", "tot",
    ),
}  # fmt: skip


def _date(match: re.Match[str], language: str) -> str | None:
    calendar = _CALENDARS.get(language[:2])
    year, month, day = (match["y"], match["m"], match["d"]) if match["y"] else (match["y2"], match["m2"], match["d2"])
    if calendar is None or not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    said, spoken_year = _day(int(day), match, language, calendar), number_words.year(year, language)
    if said is None or spoken_year is None:
        return None
    return calendar.of.join((said, calendar.months[int(month) - 1], spoken_year))


def _day(day: int, match: re.Match[str], language: str, calendar: _Calendar) -> str | None:
    if language[:2] == "de":
        said = number_words.ordinal(str(day), language)
        return said and said + ("" if match.string[: match.start()].rstrip().lower().endswith("der") else "n")
    return calendar.first if day == 1 and calendar.first else number_words.cardinal(str(day), language)


def _german_day(match: re.Match[str], language: str) -> str | None:
    calendar = _CALENDARS["de"]
    return _day(int(match[1]), match, language, calendar) if language[:2] == "de" and 1 <= int(match[1]) <= 31 else None


def _german_year(match: re.Match[str], language: str) -> str | None:
    return number_words.year(match.group(), language) if language[:2] == "de" else None


def _range(match: re.Match[str], language: str) -> str | None:
    calendar = _CALENDARS.get(language[:2])
    first, last = (number_words.cardinal(match[group], language) for group in (1, 2))
    return None if calendar is None or first is None or last is None else f"{first} {calendar.to} {last}"


def _phone(match: re.Match[str], language: str) -> str | None:
    """Each digit by its name, a pause between the groups."""
    plus = {"de": "plus", "es": "más", "fr": "plus", "it": "più", "pt": "mais", "nl": "plus"}.get(language[:2])
    groups = [number_words.digits(group, language) for group in re.findall(r"\d+", match.group())]
    return None if plus is None or None in groups else f"{plus} " + ", ".join(one for one in groups if one)


_FREE: Final = r"(?<![\w.,/:-])"
_GERMAN_MONTHS: Final = "|".join(_CALENDARS["de"].months)
_BEFORE_YEAR: Final = "|".join(rf"(?<=\b{word} )" for word in (*_CALENDARS["de"].months, "Jahr", "Jahre", "seit"))
DATE_RULES: Final = (
    (
        re.compile(
            rf"{_FREE}(?:(?P<y>\d{{4}})-(?P<m>\d\d)-(?P<d>\d\d)|(?P<d2>\d{{1,2}})(?P<s>[./-])(?P<m2>\d{{1,2}})(?P=s)(?P<y2>\d{{4}}))(?![\w/-])"
        ),
        _date,
    ),
    (re.compile(rf"{_FREE}(\d{{1,2}})\.(?= (?:{_GERMAN_MONTHS})\b)"), _german_day),
    (re.compile(rf"(?:{_BEFORE_YEAR})(?:1[1-9]|20)\d\d(?!\w|[.,]\d)"), _german_year),
    (re.compile(r"(?<![\w.+])\+\d{1,3}(?:[ -]\d{1,12}){1,6}(?![\w-])|(?<![\w.+])\+\d{8,15}(?!\w)"), _phone),
    (re.compile(rf"{_FREE}(\d{{1,15}})\s?[-–—]\s?(\d{{1,15}})(?![\w/-]|[.,]\d)"), _range),
)
