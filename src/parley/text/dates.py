"""Which dates of a text its translation lacks: months and weekdays by name, and days in digits.

Laws:
- Pure and linear. A date counts by its meaning: "3 March", "el 3 de marzo" and "3/3" are the same, in either order of day and month.
- Only the languages of `calendar_words` are compared, and only where both sides are known. A word that stands in the translation as it
  stands in the source is there ("Avril", "Black Friday").
- A miss comes before a false alarm: "may" and "march" are months only where a word or a number beside them says so; a month that the
  translation names anywhere is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from parley.text.calendar_words import WORDS, CalendarWords
from parley.text.folding import folded
from parley.text.language_tags import primary_tag

MAX_DATES: Final = 16
"""Of one month, weekday or kind that are looked at."""

NumberThere = Callable[[str], bool]
"""Whether the translation has a whole number, given in digits without zeros before it; in digits or in words."""


class Date(NamedTuple):
    """A date of the source, as it stands there, and where."""

    written: str
    start: int
    end: int


_DAY: Final = r"(?<![\d.,:/])(?P<before>[0-3]?\d)(?:st|nd|rd|th|er|[º°ª.])?\s(?:of\s|de\s)?"
_AFTER: Final = r"\s(?:the\s)?(?P<after>[0-3]?\d)(?:st|nd|rd|th)?(?![\d:%]|[.,]\d)"
_NUMERIC: Final = re.compile(
    r"(?<![\w.,/:-])(?:(?P<y1>\d{4})-(?P<m1>\d\d)-(?P<d1>\d\d)"
    r"|(?P<a>\d{1,2})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)(?P<y2>\d{4}|\d\d)|(?P<a2>\d{1,2})/(?P<b2>\d{1,2}))(?![\w/-]|[.,]\d)"
)
_SAYS_SO: Final = re.compile(
    r"(?:\b(?:in|of|by|since|until|till|last|next|this|that|every|each|early|late|mid|from|before|after|during|between|through|throughout)|\d(?:st|nd|rd|th)?)[\s-]$",
    re.IGNORECASE,
)
_YEAR_FOLLOWS: Final = re.compile(r"\s*,?\s(?:of\s|de\s)?\d")


def missing_dates(
    source: str, target: str, from_language: str, to_language: str, number_there: NumberThere
) -> tuple[tuple[Date, ...], str]:
    """The dates of `source` that `target` lacks, and the source with blanks where its dates stand, as long as it was.

    Languages are BCP-47 tags; an unknown one ("") compares nothing.
    """
    spoken, there = WORDS.get(primary_tag(from_language)), WORDS.get(primary_tag(to_language))
    if there is None:
        return (), source  # a language whose calendar is not known
    plain, made = folded(source), folded(target)
    months = _months_there(made, there)
    missing: list[Date] = []
    judged: list[tuple[int, int]] = []
    for match in islice(_NUMERIC.finditer(source), MAX_DATES):
        if _in_words(match, months, number_there):
            judged.append(match.span())
    if spoken is not None:
        for date, day, month in _named(plain, source, spoken):
            judged.append((date.start, date.end))
            if not (month in months or _stands(date, made)) or (day and not number_there(day)):
                missing.append(date)
        for date, weekday in _weekdays(plain, source, spoken):
            judged.append((date.start, date.end))
            if not there.weekdays_found[weekday].search(made) and not _stands(date, made):
                missing.append(date)
    return tuple(missing), _blanked(source, judged)


def _named(plain: str, source: str, words: CalendarWords) -> Iterator[tuple[Date, str, int]]:
    """The months of the source, with the days beside them: (date, day in digits or "", month)."""
    for month, (name, short) in enumerate(zip(words.months, words.short, strict=True)):
        both = rf"(?:{name.pattern}|(?<!\w)(?:{short})\.?(?!\w))"
        taken: list[tuple[int, int]] = []
        for pattern in (_DAY + both, both + _AFTER):
            for match in islice(re.finditer(pattern, plain), MAX_DATES):
                day = (match.groupdict().get("before") or match.groupdict().get("after") or "").lstrip("0")
                if 1 <= int(day or 0) <= 31 and not any(
                    start < match.end() and match.start() < end for start, end in taken
                ):
                    taken.append(match.span())
                    yield Date(source[match.start() : match.end()].strip(), match.start(), match.end()), day, month
        for match in islice(name.finditer(plain), MAX_DATES):
            alone = not any(start <= match.start() < end for start, end in taken)
            if alone and _is_month(match, plain, source, words):
                yield Date(source[match.start() : match.end()], match.start(), match.end()), "", month


def _is_month(match: re.Match[str], plain: str, source: str, words: CalendarWords) -> bool:
    if match.group() not in words.doubtful:
        return True
    if match.group() == "mars":
        return source[match.start()].islower()
    says_so = _SAYS_SO.search(plain[: match.start()]) or _YEAR_FOLLOWS.match(plain, match.end())
    return source[match.start()].isupper() and says_so is not None


def _weekdays(plain: str, source: str, words: CalendarWords) -> Iterator[tuple[Date, int]]:
    for weekday, name in enumerate(words.weekdays):
        for match in islice(name.finditer(plain), MAX_DATES):
            yield Date(source[match.start() : match.end()], match.start(), match.end()), weekday


def _months_there(made: str, words: CalendarWords) -> set[int]:
    """The months that the translation names, or may mean by a date in digits."""
    found = {month for month, name in enumerate(words.months_found) if name.search(made)}
    for match in _NUMERIC.finditer(made):
        found.update(month - 1 for _, month in _readings(match))
    return found


def _in_words(match: re.Match[str], months: set[int], number_there: NumberThere) -> bool:
    """Whether a date in digits stands in the translation with the name of its month."""
    year = match["y1"] or match["y2"] or ""
    if year and not number_there(year.lstrip("0") or "0") and not (len(year) == 2 and number_there(f"20{year}")):
        return False
    return any(month - 1 in months and number_there(str(day)) for day, month in _readings(match))


def _readings(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """What a date in digits may mean: (day, month), in one order or two."""
    if match["y1"]:
        pairs = [(int(match["d1"]), int(match["m1"]))]
    else:
        one, other = int(match["a"] or match["a2"]), int(match["b"] or match["b2"])
        pairs = [(one, other), (other, one)]
    return ((day, month) for day, month in pairs if 1 <= day <= 31 and 1 <= month <= 12)


def _stands(date: Date, made: str) -> bool:
    """Whether the word stands in the translation as it is."""
    return re.search(rf"(?<!\w){re.escape(folded(date.written))}(?!\w)", made) is not None


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text
