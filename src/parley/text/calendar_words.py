"""The names of months and weekdays in English, Spanish, Portuguese, French, German, Italian and Dutch, as patterns.

Laws: data only. The patterns are for text without accents and in small letters (`folding`), bounds of words included. Those for reading
a source are strict, since a word that is taken for a date wrongly is an alarm; those for finding a date in a translation take short forms
as well.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class CalendarWords(NamedTuple):
    """The patterns of one language. Months and weekdays are numbered by their place: 0 is January, and Monday."""

    months: tuple[re.Pattern[str], ...]
    months_found: tuple[re.Pattern[str], ...]
    weekdays: tuple[re.Pattern[str], ...]
    weekdays_found: tuple[re.Pattern[str], ...]
    doubtful: frozenset[str]
    """Names of months that are common words or names of people as well."""
    short: tuple[str, ...]
    """Short names of the months, which count in a source beside a day only ("3 Sept")."""


_MONTHS: Final = {
    "en": "january february march april may june july august september october november december",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre",
    "pt": "janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro",
    "fr": "janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "de": r"januar\w*|janner februar\w* marz\w*|maerz april\w* mai juni\w* juli\w* august\w* september oktober\w* november\w* dezember",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
}  # fmt: skip
_SHORT: Final = {
    "en": "jan feb mar apr may jun jul aug sept? oct nov dec",
    "es": "ene feb mar abr may jun jul ago sept? oct nov dic",
    "pt": "jan fev mar abr mai jun jul ago set out nov dez",
    "fr": "janv fevr? mars avr mai juin juil aout sept oct nov dec",
    "it": "gen feb mar apr mag giu lug ago sett? ott nov dic",
    "de": "jan|jann feb marz apr mai jun jul aug sept? okt nov dez",
    "nl": "jan feb mrt apr mei jun jul aug sept? okt nov dec",
}
_WEEKDAYS: Final = {
    "en": r"mondays? tuesdays? wednesdays? thursdays? fridays? saturdays? sundays?",
    "es": "lunes martes miercoles jueves viernes sabados? domingos?",
    "pt": r"segundas?[-\s]feiras? tercas?[-\s]feiras? quartas?[-\s]feiras? quintas?[-\s]feiras? sextas?[-\s]feiras? sabados? domingos?",
    "fr": "lundis? mardis? mercredis? jeudis? vendredis? samedis? dimanches?",
    "it": "lunedi martedi mercoledi giovedi venerdi sabat[oi] domenic(?:a|he)",
    "de": r"\w*montag\w* \w*dienstag\w* \w*mittwoch\w* \w*donnerstag\w* \w*freitag\w* \w*samstag\w*|sonnabend\w* \w*sonntag\w*",
    "nl": r"maandag\w* dinsdag\w* woensdag\w* donderdag\w* vrijdag\w* zaterdag\w* zondag\w*",
}
_WEEKDAYS_SHORT: Final = {
    "en": "mon tues? weds? thu|thurs? fri satur sun",
    "pt": r"segundas?|2\.?[ªa] tercas?|3\.?[ªa] quartas?|4\.?[ªa] quintas?|5\.?[ªa] sextas?|6\.?[ªa] sab dom",
    "it": "lun|pasquetta mart merc giov ven sab dom",
}
"""Where they could be other words ("mer", "so"), they are left out."""


_DOUBTFUL: Final = {"en": frozenset({"may", "march", "august"}), "fr": frozenset({"mars"})}


def _bounded(alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w])(?:{alternatives})(?![\w])")


def _patterns(written: str, short: str = "") -> tuple[re.Pattern[str], ...]:
    shorts = short.split() if short else [""] * len(written.split())
    return tuple(
        _bounded(f"{name}|{other}" if other else name) for name, other in zip(written.split(), shorts, strict=True)
    )


WORDS: Final = {
    language: CalendarWords(
        _patterns(_MONTHS[language]),
        _patterns(_MONTHS[language], _SHORT[language]),
        _patterns(_WEEKDAYS[language]),
        _patterns(_WEEKDAYS[language], _WEEKDAYS_SHORT.get(language, "")),
        _DOUBTFUL.get(language, frozenset()),
        tuple(_SHORT[language].split()),
    )
    for language in _MONTHS
}
"""By primary language."""
