"""How English text is spoken: numbers, dates, times, money, units, phone numbers, versions, ranges, fractions, addresses, signs.

Laws: pure; rules in the order of `RULES`, each linear; what is spoken holds no digits. Words and names stay as they are, and so do Roman
numerals without a word before them that says that they are numbers ("Chapter IV", "Henry VIII").

American readings where they differ: 3/5/2026 is March fifth. A number of four digits from 1100 to 2099 is a year, unless it counts a unit.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from parley.text.english_numbers import (
    Match,
    american_date,
    day_month,
    day_range,
    decade,
    digits,
    dotted_date,
    ends_sentence,
    is_year,
    iso_date,
    month_day,
    month_year,
    number,
    ordinal,
    singular,
    spoken_range,
    time_range,
    time_rule,
    year,
    year_rule,
    years,
)
from parley.text.english_roman import ROMAN_RULES
from parley.text.english_words import (
    ABBREVIATIONS,
    CURRENCIES,
    DENOMINATORS,
    FRACTION_SIGNS,
    MONTHS,
    PERIODS,
    SCALES,
    SIGNS,
    TITLES,
    UNITS,
)


def _one_of(words: object) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))  # type: ignore[call-overload]


_NUMBER: Final = r"(?<!\d)(?:\d{1,3}(?:,\d{3}){1,6}+(?:\.\d++)?(?!\d)|\d++(?:\.\d++)?|(?<!\.)\.\d++)"
"""Begins where a run of digits begins and takes the run whole, so that no rule looks at a digit of a long number twice."""

_MONTH: Final = rf"(?:{_one_of(MONTHS)}|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
_FREE: Final = r"(?<![\w.,/:$€£¥-])"
_END: Final = r"(?![\w/])"
_DASH: Final = r"\s?[-–—]\s?"
_SIGNED: Final = r"[-−–]?"


# --- money, units, degrees, percent ---


def _money(match: Match, _: str) -> str:
    sign, written, scale = match["sign"], match["amount"], match["scale"]
    one, many, cent, cents = CURRENCIES[sign]
    minus = "minus " if match["minus"] or match["after"] else ""
    last = match["last"]
    if scale or last:
        said = spoken_range(written, last)
        return f"{minus}{said} {SCALES[scale] + ' ' if scale else ''}{many}"
    whole, _, decimals = written.replace(",", "").partition(".")
    if len(decimals) != 2:
        return f"{minus}{number(written)} {one if singular(written) else many}"
    parts = [] if int(whole or 0) == 0 and int(decimals) else [f"{number(whole)} {one if whole == '1' else many}"]
    if int(decimals):
        parts.append(f"{number(str(int(decimals)))} {cent if decimals == '01' else cents}")
    return minus + " and ".join(parts)


def _cents(match: Match, _: str) -> str:
    return f"{number(match[1])} {'cent' if singular(match[1]) else 'cents'}"


def _unit(match: Match, _: str) -> str:
    first, last = match["first"], match["last"]
    one, many = UNITS[match["unit"]]
    hyphen = match["joint"] == "-"  # "a 10-km run"
    return f"{spoken_range(first, last)} {one if hyphen or (last is None and singular(first)) else many}"


def _feet(match: Match, _: str) -> str:
    return f"{number(match[1])} foot" + (f" {number(match[2])}" if match[2] else "")


def _degrees(match: Match, _: str) -> str:
    scale = {"C": " Celsius", "F": " Fahrenheit", None: ""}[match["scale"]]
    single = match["last"] is None and singular(match["first"].lstrip("-−–"))
    return f"{spoken_range(match['first'], match['last'])} degree{'' if single else 's'}{scale}"


def _percent(match: Match, _: str) -> str:
    return f"{spoken_range(match['first'], match['last'])} percent"


# --- names of things ---


def _email(match: Match, _: str) -> str:
    return f"{_address(match[1])} at {_address(match[2])}"


def _url(match: Match, _: str) -> str:
    address = re.sub(r"^(?:[a-z]+://)?(?:www\.)?", "", match.group(), flags=re.IGNORECASE)
    return _address(re.split(r"[?#]", address)[0].rstrip("/"))


_ADDRESS_SIGNS: Final = {".": "dot", "/": "slash", "-": "dash", "_": "underscore", ":": "colon", "@": "at", "+": "plus", "%": "percent",
                         "=": "equals", "&": "and", "~": "tilde"}  # fmt: skip


def _address(text: str) -> str:
    plain = "".join(str(unicodedata.digit(one)) if one.isdigit() else one for one in text)
    parts = re.findall(r"[^\W\d_]+|\d+|[^\w\s]|_", plain)
    return " ".join(_short_number(part) if part.isdecimal() else _ADDRESS_SIGNS.get(part, part) for part in parts)


def _phone(match: Match, _: str) -> str:
    groups = re.findall(r"\d+", match.group())
    plus = "plus " if match.group().startswith("+") else ""
    return plus + ", ".join(map(digits, groups))


def _version(match: Match, _: str) -> str:
    said = " point ".join(_short_number(part) for part in match["parts"].split("."))
    return f"version {said}" if match["v"] else said


def _ip(match: Match, _: str) -> str | None:
    parts = match.group().split(".")
    return " dot ".join(map(digits, parts)) if all(int(part) <= 255 for part in parts) else None


def _short_number(written: str) -> str:
    """A number in a name: two digits as a number, others digit by digit, round hundreds and thousands excepted."""
    if len(written) <= 2 or (len(written) <= 4 and written.endswith("00")):
        return number(written)
    return digits(written) if len(written) != 4 or not is_year(written) else year(written)


def _in_name(match: Match, _: str) -> str:
    return _short_number(match.group())


def _hash(match: Match, _: str) -> str:
    return f"number {number(match[1])}"


def _numbered(match: Match, _: str) -> str:
    return ("number " if match[1] == "No" else "numbers ") + number(match[2])


# --- fractions, ordinals, ranges, arithmetic ---


def _fraction(match: Match, _: str) -> str:
    whole, top, bottom = match["whole"], int(match["top"]), int(match["bottom"])
    names = DENOMINATORS.get(bottom)
    if (match["top"], match["bottom"]) in (("24", "7"), ("9", "11"), ("50", "50")) and not whole:
        return f"{number(match['top'])} {number(match['bottom'])}"
    if names is None or not 0 < top < bottom:
        said = f"{number(match['top'])} over {number(match['bottom'])}"
    else:
        said = f"{number(str(top))} {names[top > 1]}"
    if not whole:
        return said
    return f"{number(whole)} and " + (
        "a half" if said == "one half" else "a quarter" if said == "one quarter" else said
    )


def _fraction_sign(match: Match, _: str) -> str:
    said = FRACTION_SIGNS[match[2]]
    return f"{number(match[1])} and {said.replace('one ', 'a ')}" if match[1] else said


def _ordinal_rule(match: Match, _: str) -> str:
    return ordinal(match[1])


def _range_rule(match: Match, _: str) -> str:
    return spoken_range(match[1], match[2])


def _power(match: Match, _: str) -> str:
    said = {"²": "squared", "³": "cubed"}.get(match.group())
    if said:
        return said
    minus, written = match.group().startswith("⁻"), match.group().lstrip("⁻")
    plain = "".join(str(unicodedata.digit(character)) for character in written)
    if unicodedata.decomposition(written[0]).startswith("<super>"):
        return f"to the power of {'minus ' if minus else ''}{number(plain)}"
    return digits(plain)


def _score(match: Match, _: str) -> str | None:
    """A ratio or a result, and what is written as a time and is none."""
    first, last = match[1], match[2]
    joint = " " if len(last) > 1 and last.startswith("0") else " to "
    return f"{number(first)}{joint}{number(last)}"


def _percent_range(match: Match, _: str) -> str:
    return f"{spoken_range(match[1], match[2])} percent"


def _ordinal_range(match: Match, _: str) -> str:
    return f"{ordinal(match[1])} to {ordinal(match[2])}"


def _scientific(match: Match, _: str) -> str:
    return f"{number(match[1])} times ten to the power of {number(match[2].lstrip('+'))}"


def _per(match: Match, _: str) -> str:
    return f" per {PERIODS[match[1]]}"


def _emergency(match: Match, _: str) -> str:
    return digits(match.group())


def _spaced_number(match: Match, _: str) -> str:
    return number("".join(match.group().split()))


def _minus(match: Match, _: str) -> str:
    return "minus"


def _plus(match: Match, _: str) -> str:
    return "plus"


def _minus_between(match: Match, _: str) -> str:
    return " minus "


def _between(match: Match, _: str) -> str:
    return " "


def _times(match: Match, _: str) -> str:
    return " times "


def _slash(match: Match, _: str) -> str:
    return " slash "


def _sharp(match: Match, _: str) -> str:
    return "sharp"


def _plain(match: Match, _: str) -> str:
    return number("".join(str(int(one)) if one.isdecimal() else one for one in match.group()))


def _title(match: Match, _: str) -> str:
    return TITLES[match.group()]


def _street(match: Match, _: str) -> str:
    return {"St.": "Street", "Dr.": "Drive"}[match.group()] + ("." if ends_sentence(match) else "")


def _abbreviation(match: Match, _: str) -> str:
    said = ABBREVIATIONS[match.group()]
    return said + ("." if match.group().endswith(".") and not match.string[match.end() :].strip() else "")


def _sign(match: Match, _: str) -> str:
    return SIGNS[match.group()]


_FIRST: Final = rf"(?P<first>{_SIGNED}(?:{_NUMBER}))(?:{_DASH}(?P<last>{_NUMBER}))?"
_CURRENCY_BEFORE: Final = _one_of(name for name in CURRENCIES)
_CURRENCY_AFTER: Final = _one_of(name for name in CURRENCIES if name not in ("US$", "A$", "C$"))
_SCALE: Final = rf"(?:\s?(?P<scale>{_one_of(SCALES)})(?!\w))?"
_AMOUNT: Final = rf"(?P<amount>{_NUMBER})(?:{_DASH}(?P<last>{_NUMBER}))?"
_DOMAINS: Final = "com|org|net|edu|gov|io|dev|ai|app|co|uk|de|fr|eu"
_SUFFIX: Final = r"(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:,? ((?:1[1-9]|20)\d\d)\b)?"
_HALF: Final = r"(?P<half>[AaPp]\.?\s?[Mm]\b\.?)"

_CLOCK: Final = r"([01]?\d|2[0-4]):([0-5]\d)(?:\s?([AaPp]\.?[Mm]\b\.?))?"
_HOUR: Final = r"(1[0-2]|[1-9])(?::([0-5]\d))?(?:\s?([AaPp]\.?[Mm]\b\.?))?"
_HOUR_OF_HALF: Final = r"(1[0-2]|[1-9])(?::([0-5]\d))?\s?([AaPp]\.?[Mm]\b\.?)"

RULES: Final = ROMAN_RULES + tuple(
    (re.compile(pattern), speak)
    for pattern, speak in (
        (r"\b([\w.+-]{1,64})@([\w-]{1,63}(?:\.[\w-]{1,63}){1,5})\b", _email),
        (r"(?<![\w@])(?:https?://[^\s<>\"]{1,500}[\w/]|www\.[^\s<>\"]{1,500}[\w/])", _url),
        (
            r"(?<![\w@.])(?:[A-Za-z][\w-]{0,62}\.){1,4}(?:com|org|net|edu|gov|io|dev|ai|app|co|uk|de|fr|eu)(?:/[\w./-]{0,200}\w)?(?![\w.]\w)",
            _url,
        ),
        (rf"{_FREE}(\d{{4}})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::\d\d)?Z?)?(?![\w-])", iso_date),
        (rf"{_FREE}(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}|\d\d)(?![\w/])", american_date),
        (rf"{_FREE}([0-3]?\d)\.([01]?\d)\.((?:1[1-9]|20)\d\d)(?![\w.]\w)", dotted_date),
        (
            rf"\b({_MONTH}) (\d{{1,2}}){_SUFFIX}(?:{_DASH}(\d{{1,2}}){_SUFFIX})?\b(?![:%.]\d|,\d){_YEAR}",
            month_day,
        ),
        (
            rf"{_FREE}(?:the )?(\d{{1,2}}){_SUFFIX}{_DASH}(\d{{1,2}}){_SUFFIX}(?: of)? ({_MONTH})(?!\w){_YEAR}",
            day_range,
        ),
        (
            rf"{_FREE}(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})(?!\w)(?:,? ((?:1[1-9]|20)\d\d)\b)?",
            day_month,
        ),
        (rf"\b({_MONTH}) ((?:1[1-9]|20)\d\d)\b(?!,\d)", month_year),
        (rf"{_FREE}{_CLOCK}{_DASH}{_CLOCK}(?![\w:])", time_range),
        (rf"{_FREE}{_HOUR}{_DASH}{_HOUR_OF_HALF}(?!\w)", time_range),
        (
            rf"{_FREE}(?P<hours>[01]?\d|2[0-4]):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?(?:\s?{_HALF})?(?![\w:])",
            time_rule,
        ),
        (rf"{_FREE}(\d{{1,3}}):(\d{{1,3}})(?![\w:])", _score),
        (rf"{_FREE}(?P<hours>1[0-2]|[1-9])(?P<minutes>)(?P<seconds>)\s?{_HALF}(?!\w)", time_rule),
        (r"(?<![\w.])(?:\+\d{1,3}[ -]?)?\(\d{2,4}\) ?\d{3,4}[ -]\d{3,4}(?![\w-])", _phone),
        (r"(?<![\w.])\+\d{1,3}(?:[ -]\d{2,4}){2,5}(?![\w-])|(?<![\w.+])\+\d{8,15}(?!\w)", _phone),
        (r"(?<![\w.-])(?:1-)?\d{3}[-. ]\d{3}[-. ]\d{4}(?![\w-])|(?<![\w.-])\d{3}-\d{4}(?![\w-])", _phone),
        (r"(?<=\b[Cc]all )[1-9]\d\d(?![\w.,:]*\d)|(?<=\b[Dd]ial )[1-9]\d\d(?![\w.,:]*\d)", _emergency),
        (rf"(?<![\w.])(?P<minus>[-−])?(?P<sign>{_CURRENCY_BEFORE})(?P<after>[-−])?\s?{_AMOUNT}{_SCALE}", _money),
        (rf"{_FREE}(?P<minus>[-−])?{_AMOUNT}(?P<after>){_SCALE}\s?(?P<sign>{_CURRENCY_AFTER})(?!\w)", _money),
        (rf"{_FREE}({_NUMBER})\s?¢", _cents),
        (rf"{_FREE}{_FIRST}\s?°\s?(?P<scale>[CF](?!\w))?", _degrees),
        (rf"{_FREE}({_NUMBER})\s?%{_DASH}({_NUMBER})\s?%", _percent_range),
        (rf"{_FREE}{_FIRST}\s?%", _percent),
        (rf"{_FREE}({_SIGNED}\d{{1,15}}(?:\.\d{{1,15}})?)[eE]([-−+]?\d{{1,3}})(?!\w)", _scientific),
        (rf"{_FREE}(\d{{1,2}})['′](?:\s?(\d{{1,2}})(?:[\"″]|''))", _feet),
        (rf"{_FREE}{_FIRST}(?P<joint>[\s-]?)(?P<unit>{_one_of(UNITS)})(?![\w/²³'’])(?:\.(?=\s[a-z]))?", _unit),
        (rf"{_FREE}\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![\w.]\w)", _ip),
        (r"(?<![\w.])(?P<v>[vV]\.?\s?)(?P<parts>\d{1,4}(?:\.\d{1,4}){0,4})(?!\w)", _version),
        (rf"{_FREE}(?P<v>)(?P<parts>\d{{1,4}}(?:\.\d{{1,4}}){{2,4}})(?![\w]|\.\d)", _version),
        (rf"{_FREE}(?:(?P<whole>\d{{1,3}})[ -])?(?P<top>\d{{1,3}})/(?P<bottom>\d{{1,3}})(?![\w/])", _fraction),
        (rf"(?:(?<!\w)(\d{{1,3}})\s?)?([{''.join(FRACTION_SIGNS)}])", _fraction_sign),
        (r"(?<![\w.])(\d{1,15})(?:st|nd|rd|th)[-–](\d{1,15})(?:st|nd|rd|th)\b", _ordinal_range),
        (r"(?<![\w.])(\d{1,3}(?:,\d{3}){1,4}+|\d{1,15})(?:st|nd|rd|th)\b", _ordinal_rule),
        (r"(?<!\w)(?:(\d{3}0)['’]?s|['’]?(\d0)['’]?s)(?!\w)", decade),
        (r"(?<![\w.-])\d++(?:-\d++){2,12}(?![\w-]|\.\d)", _phone),
        (rf"{_FREE}(\d{{4}}){_DASH}(\d{{4}}|\d\d)(?![\w-]|\.\d)", years),
        (r"(?<=\d)[-−](?=\d{1,15} ?=)", _minus_between),
        (r"(?<![\w.,])[1-9]\d{0,2}(?:[\u00a0\u2009\u202f]\d{3}){1,4}(?!\w)", _spaced_number),
        (rf"{_FREE}({_NUMBER})(?:-|\s?[–—]\s?)({_NUMBER})(?![\w-]|[.,]\d)", _range_rule),
        (r"\b(Nos?)\. ?(\d++)", _numbered),
        (r"(?<![\w&])#(\d++)", _hash),
        (rf"{_FREE}(\d{{4}})(?![\w]|[.,:]\d)", year_rule),
        (r"(?<=\d)\s?[×x*]\s?(?=\d)", _times),
        (r"(?:(?<=[\s(])|^)[-−](?=[.\d])|(?<=\d) [-−] (?=\d)", _minus),
        (r"(?<!\w)\+(?=\d)|(?<=\w)\+(?=\d)", _plus),
        (r"[²³](?![⁰¹²³⁴-⁹])|⁻?[¹⁰⁴-⁹²³]+|[₀-₉]+|[፩-፱᧚①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒🄀-🄊]", _power),
        (r"(?<=[A-Za-z])\d++|(?<!\d)\d++(?=[A-Za-z])|(?<=[A-Za-z]-)\d++(?![,.]\d)", _in_name),
        (_NUMBER, _plain),
        (r"\d", _plain),  # what an earlier rule has left of a number
        (rf"(?<!\w)(?:{_one_of(TITLES)})(?=\s+[A-Z])", _title),
        (r"(?<=[a-z] )(?:St|Dr)\.(?!\w)", _street),
        (rf"(?<![\w.])(?:{_one_of(ABBREVIATIONS)})(?![\w])", _abbreviation),
        (rf"(?<=[\w.])/({_one_of(PERIODS)})(?![\w/])", _per),
        (r"(?<=and)/(?=or\b)", _between),
        (r"(?<=\w)/(?=\w)", _slash),
        (r"(?<=\b[A-G])#(?!\w)", _sharp),
        (rf"[{''.join(re.escape(sign) for sign in SIGNS)}]", _sign),
    )
)
