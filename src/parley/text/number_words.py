"""Numbers in the words of a language: `num2words` behind what the spoken forms ask for.

Laws: pure; never raises. A language, or a number, that the library lacks is None; a number longer than `MAX_DIGITS` is read digit by digit.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from num2words import CONVERTER_CLASSES, num2words

MAX_DIGITS: Final = 15
"""Longer numbers are names (of an account, of a parcel), not quantities."""

_ALIASES: Final = {"nb": "no", "nn": "no", "iw": "he", "in": "id", "kk": "kz"}
_CENTS: Final = "|"
_KEPT: Final = re.compile(r"[^\w\s'’-]+")


def known(language: str) -> str:
    """The library's name of a language (a BCP-47 tag); "" where it has none."""
    tag = language.strip().replace("-", "_").lower()
    primary = tag.partition("_")[0]
    names = {name.lower(): name for name in CONVERTER_CLASSES}
    return names.get(tag) or names.get(primary) or names.get(_ALIASES.get(primary, "")) or ""


def cardinal(number: str, language: str) -> str | None:
    """A number of ASCII digits, with "." before its decimals: "three point one four"."""
    whole, _, decimals = number.partition(".")
    if len(whole) > MAX_DIGITS or len(decimals) > MAX_DIGITS:
        return digits(number.replace(".", ""), language)
    if not decimals:
        return _said(str(int(whole or "0")), "cardinal", language)
    said = _said(f"{int(whole or '0')}.{decimals}", "cardinal", language)
    if said is not None and not decimals.endswith("0"):
        return said
    if language.startswith("en"):  # "1.50" is "one point five zero"; the library drops zeros
        return f"{_said(str(int(whole or '0')), 'cardinal', language)} point {digits(decimals, language)}"
    return said


def ordinal(number: str, language: str) -> str | None:
    return _said(number, "ordinal", language) if len(number) <= MAX_DIGITS else None


def year(number: str, language: str) -> str | None:
    """A year of four digits; None where the language is not known."""
    return _said(str(int(number)), "year", language) or cardinal(number, language)


def digits(number: str, language: str) -> str | None:
    """Each digit by its name."""
    said = [_said(digit, "cardinal", language) for digit in number if digit.isascii() and digit.isdigit()]
    return None if None in said else " ".join(one for one in said if one)


def money(amount: str, currency: str, language: str) -> str | None:
    """An amount ("3.50") of an ISO 4217 currency, in words; None where the library lacks it in that language."""
    if len(amount) > MAX_DIGITS or not re.fullmatch(r"\d+(?:\.\d\d)?", amount):
        return None
    cents = int(amount.partition(".")[2] or 0)
    options = (
        {} if cents else {"separator": _CENTS}
    )  # by which they can be told and left out: "vingt euros et zéro centimes"
    try:
        said = num2words(Decimal(f"{float(amount):.2f}"), lang=language, to="currency", currency=currency, **options)
    except (NotImplementedError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return None
    if not isinstance(said, str) or (not cents and _CENTS not in said):
        return None
    return _plain(said.partition(_CENTS)[0])


@lru_cache(4096)
def _said(number: str, form: str, language: str) -> str | None:
    try:
        said = (
            num2words(Decimal(number), lang=language, to=form)
            if "." in number
            else num2words(int(number), lang=language, to=form)
        )
    except (NotImplementedError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, InvalidOperation):
        return None
    return _plain(said)


def _plain(said: object) -> str | None:
    """Without the library's commas, at which a voice would pause; None where digits are left in it."""
    text = " ".join(_KEPT.sub(" ", said).split()) if isinstance(said, str) else ""
    return text if text and not any(character.isdigit() for character in text) else None
