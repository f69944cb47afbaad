"""How English numbers, dates and times are spoken, as functions of what is written. The rules that find them are in `english_forms`.

Laws: pure; what is spoken holds no digits.
"""

from __future__ import annotations

import re
from typing import Final

from parley.text import number_words
from parley.text.english_words import MONTH_BY_NAME, MONTHS

Match = re.Match[str]
EN: Final = "en"


def number(written: str) -> str:
    """A number as it is written ("1,234.5", "007", ".5") in words."""
    plain = written.replace(",", "")
    negative = plain[:1] in "-−–" and plain[1:] != ""
    plain = plain.lstrip("-−–")
    if len(plain) > 1 and plain.startswith("0") and "." not in plain:
        said = number_words.digits(plain, EN)
    else:
        said = number_words.cardinal(plain, EN)
    return ("minus " if negative else "") + (said or "")


def year(written: str) -> str:
    """A year of four digits: "nineteen eighty-four", "two thousand six"."""
    century, rest = divmod(int(written), 100)
    if century % 10 == 0 and rest < 10:
        return number(str(century // 10)) + " thousand" + (f" {number(str(rest))}" if rest else "")
    return f"{number(str(century))} " + (
        "hundred" if not rest else f"oh {number(str(rest))}" if rest < 10 else number(str(rest))
    )


def is_year(written: str) -> bool:
    return len(written) == 4 and 1100 <= int(written) <= 2099


def quantity(written: str) -> str:
    return year(written) if written.isdigit() and is_year(written) else number(written)


def ordinal(written: str) -> str:
    return number_words.ordinal(written.replace(",", ""), EN) or ""


def digits(written: str) -> str:
    return number_words.digits(written, EN) or ""


def singular(written: str) -> bool:
    return written.replace(",", "") in ("1", "1.0")


def spoken_range(first: str, last: str | None) -> str:
    if last is None:
        return number(first)
    return f"{number(first)} {'' if first == last else 'to '}{number(last)}"  # "50-50" is "fifty fifty"


# --- dates and times ---


def date(year_written: str, month: int, day: int) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{MONTHS[month - 1]} {ordinal(str(day))}" + (f", {year(year_written)}" if year_written else "")


def iso_date(match: Match, _: str) -> str | None:
    day = date(match[1], int(match[2]), int(match[3]))
    return day if day is None or match[4] is None else f"{day}, {clock(match[4], match[5], '')}"


def american_date(match: Match, _: str) -> str | None:
    first, second, written = int(match[1]), int(match[2]), match[3]
    if len(written) == 2:
        written = ("19" if int(written) > 50 else "20") + written
    return date(written, first, second) if first <= 12 else date(written, second, first)


def dotted_date(match: Match, _: str) -> str | None:
    return date(match[3], int(match[2]), int(match[1]))


def month_day(match: Match, _: str) -> str | None:
    month = MONTH_BY_NAME[match[1].lower().rstrip(".")]
    if not 1 <= int(match[2]) <= 31:
        return None
    said = f"{month} {ordinal(match[2])}"
    if match[3] is not None:
        said += f" to {ordinal(match[3])}"
    return said + (f", {year(match[4])}" if match[4] else "")


def day_month(match: Match, _: str) -> str | None:
    if not 1 <= int(match[1]) <= 31:
        return None
    month = MONTH_BY_NAME[match[2].lower().rstrip(".")]
    return f"the {ordinal(match[1])} of {month}" + (f", {year(match[3])}" if match[3] else "")


def day_range(match: Match, _: str) -> str | None:
    if not (1 <= int(match[1]) <= 31 and 1 <= int(match[2]) <= 31):
        return None
    month = MONTH_BY_NAME[match[3].lower().rstrip(".")]
    return f"the {ordinal(match[1])} to the {ordinal(match[2])} of {month}" + (
        f", {year(match[4])}" if match[4] else ""
    )


def month_year(match: Match, _: str) -> str:
    return f"{MONTH_BY_NAME[match[1].lower().rstrip('.')]} {year(match[2])}"


def clock(hours: str, minutes: str, half: str) -> str:
    said, after = number(str(int(hours))), int(minutes)
    if after:
        said += f" oh {number(str(after))}" if after < 10 else f" {number(str(after))}"
    elif not half:
        said = (
            "midnight" if int(hours) in (0, 24) else f"{said} o'clock" if int(hours) <= 12 else f"{said} hundred hours"
        )
    return f"{said} {half}".rstrip()


def time_rule(match: Match, _: str) -> str:
    half = halves(match["half"])
    said = clock(match["hours"], match["minutes"] or "00", half)
    if match["seconds"]:
        seconds = int(match["seconds"])
        said += f" and {number(str(seconds))} second" + ("" if seconds == 1 else "s")
    # The point of "p.m." that ends a sentence stays one.
    return said + ("." if (match["half"] or "").endswith(".") and ends_sentence(match) else "")


def time_range(match: Match, _: str) -> str:
    first, last = (
        clock(match[hours], match[minutes] or "00", halves(match[half]) or ("" if match[minutes] else " "))
        for hours, minutes, half in ((1, 2, 3), (4, 5, 6))
    )
    return " ".join(f"{first} to {last}".split())


def halves(written: str | None) -> str:
    """`p.m.` as it is spoken: `p m`."""
    return " ".join(letter for letter in (written or "").lower() if letter.isalpha())


def ends_sentence(match: Match) -> bool:
    rest = match.string[match.end() :].lstrip()
    return not rest or rest[0].isupper()


def decade(match: Match, _: str) -> str:
    written = match[1] or match[2]
    tens = number(written[-2:-1] + "0") if written[-2] != "0" else ""
    plural = {"ten": "tens"}.get(tens, tens[:-1] + "ies") if tens else ""
    if len(written) == 2:
        return plural or "two thousands"
    century = int(written[:2])
    if not plural:
        return f"{number(str(century // 10))} thousands" if century % 10 == 0 else f"{number(str(century))} hundreds"
    return f"{number(str(century))} {plural}"


def years(match: Match, _: str) -> str | None:
    first, last = match[1], match[2]
    if not is_year(first) or (len(last) == 4 and not is_year(last)):
        return None
    return f"{year(first)} to {year(last) if len(last) == 4 else number(str(int(last)))}"


def year_rule(match: Match, _: str) -> str | None:
    return year(match[1]) if is_year(match[1]) else None
