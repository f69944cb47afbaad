"""Roman numerals in English text: where a word before them says that they are numbers.

Laws: pure; linear. These stay as they are: a lone "I" within a sentence ("the Part I liked"), a lone C, L or X behind a heading ("Type C"),
a letter with a point behind a name ("John C. Reilly"), and what is not written as a numeral is ("VIIII").
"""

from __future__ import annotations

import re
from typing import Final

from parley.text.english_numbers import number, ordinal

_HEADINGS: Final = (
    "Act", "Appendix", "Article", "Book", "Chapter", "Class", "Episode", "Figure", "Grade", "Level", "Part", "Phase", "Round",
    "Scene", "Season", "Section", "Stage", "Super Bowl", "Table", "Tier", "Title", "Type", "Unit", "Vol.", "Volume", "World War",
)  # fmt: skip
_RULERS: Final = (
    "Alexander", "Benedict", "Catherine", "Charles", "Christian", "Clement", "Edward", "Elizabeth", "Francis", "Frederick", "George",
    "Gregory", "Gustav", "Haakon", "Harald", "Henry", "Innocent", "Ivan", "James", "John", "Leo", "Louis", "Ludwig", "Mary", "Napoleon",
    "Nicholas", "Olav", "Otto", "Paul", "Peter", "Philip", "Pius", "Ramesses", "Ramses", "Richard", "Rudolf", "Thutmose", "Urban",
    "Wilhelm", "William",
)  # fmt: skip
"""Names that rulers and popes have shared."""

_VALUES: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_NUMERAL: Final = r"(?=[IVXLC])(?:XC|XL|L?X{0,3}|C{1,3}(?:XC|XL|L?X{0,3}))(?:IX|IV|V?I{0,3})(?!\w)"

_END: Final = re.compile(r"\s*(?:[.,:;!?)\]]|$)")


def _behind(words: tuple[str, ...]) -> re.Pattern[str]:
    """A numeral behind one of the words; look-behinds have one width each."""
    return re.compile("|".join(rf"(?<=(?<!\w){re.escape(word)} )" for word in words).join(("(?:", ")")) + _NUMERAL)


def _heading(match: re.Match[str], _: str) -> str | None:
    numeral, war = match.group(), match.string.endswith("World War ", 0, match.start())
    if numeral in ("C", "L", "X", "XL") or (numeral == "I" and not war and not _END.match(match.string, match.end())):
        return None
    return number(_value(numeral))


def _ruler(match: re.Match[str], _: str) -> str | None:
    numeral = match.group()
    initial = match.string[match.end() : match.end() + 1] == "." and match.string[match.end() + 1 :].strip()
    return None if numeral in ("I", "C", "L") or (len(numeral) == 1 and initial) else f"the {ordinal(_value(numeral))}"


def _value(numeral: str) -> str:
    values = [_VALUES[letter] for letter in numeral]
    return str(sum(-one if one < max(values[at:]) else one for at, one in enumerate(values)))


ROMAN_RULES: Final = ((_behind(_HEADINGS), _heading), (_behind(_RULERS), _ruler))
