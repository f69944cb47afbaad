"""Which times of day of a text its translation lacks: "3 pm", "15:00", "15h30" and "half past three" may be the same.

Laws: pure; linear; a clock of twelve hours and one of twenty-four are not told apart, nor are morning and evening.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_TIME: Final = re.compile(
    r"(?<![\d.,:/-])(?P<hour>[01]?\d|2[0-4])(?:(?P<mark>[:h])(?P<minute>[0-5]\d)|h)?(?P<half>\s?(?:[ap]m\b|[ap]\.\s?m\b\.?))?(?![\d:/-]|[.,]\d)",
    re.IGNORECASE,
)
_PARTS: Final = {
    30: re.compile(r"\b(?:half|media|meia|demie?|halb|mezz[ao]|halve?)\b", re.IGNORECASE),
    15: re.compile(r"\b(?:quarter|cuarto|quart|viertel|quarto|kwart)\b", re.IGNORECASE),
}
_NOON: Final = re.compile(
    r"\b(?:noon|midday|midnight|mediod[ií]a|medianoche|meio-dia|meia-noite|midi|minuit|mittag|mitternacht|mezzogiorno|mezzanotte)\b",
    re.IGNORECASE,
)


def missing_times(source: str, target: str, number_there: Callable[[str], bool]) -> tuple[list[tuple[int, str]], str]:
    """The times of `source` that `target` lacks, (place, time), and the source with blanks in the place of all times."""
    missing: list[tuple[int, str]] = []
    plain = source
    for match in _TIME.finditer(source):
        if match["minute"] is None and match["half"] is None:
            continue  # a number like any other
        if not _is_there(int(match["hour"]), int(match["minute"] or 0), target, number_there):
            missing.append((match.start(), match.group().strip()))
        plain = plain[: match.start()] + " " * len(match.group()) + plain[match.end() :]
    return missing, plain


def _is_there(hour: int, minute: int, target: str, number_there: Callable[[str], bool]) -> bool:
    hours = {hour, (hour + 12) % 24, hour % 12 or 12}
    if minute:
        part = _PARTS.get(30 if minute == 30 else 15 if minute in (15, 45) else 0)
        in_words = part is not None and part.search(target) is not None
        if not (in_words or number_there(str(minute)) or number_there(str(60 - minute))):
            return False
        hours |= {(one + 1) % 24 for one in hours}  # "a quarter to nine"
    elif hour in (0, 12, 24) and _NOON.search(target):
        return True
    return any(number_there(str(one)) for one in hours)
