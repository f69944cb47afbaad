"""Languages as a user types them, and their English names.

Laws: pure; an unknown language is refused with the tag that was probably meant. What a server or an engine translates is for them to say.
"""

from __future__ import annotations

import difflib
import re
from typing import Final

from parley.engines.mt.language_codes import short_tag
from parley.engines.mt.translation_prompt import LANGUAGES, knows
from parley.engines.mt.translation_prompt import language_name as known_name
from parley.engines.stt.language_names import TAGS
from parley.errors import ParleyError
from parley.text.language_tags import primary_tag

MAX_TYPED: Final = 200
"""Characters of an answer that are read; a longer one is no pair of languages."""

_MORE: Final = """
an Aragonese, ast Asturian, awa Awadhi, ban Balinese, bho Bhojpuri, ceb Cebuano, ckb Central Kurdish, crh Crimean Tatar, eo Esperanto,
fil Filipino, fur Friulian, ga Irish, gd Scottish Gaelic, gn Guarani, hne Chhattisgarhi, hsb Upper Sorbian, ig Igbo, ilo Ilocano,
kab Kabyle, ku Kurdish, ky Kyrgyz, lg Luganda, lij Ligurian, lmo Lombard, ltg Latgalian, mai Maithili, min Minangkabau, nb Bokmål,
nds Low German, nso Northern Sotho, ny Chichewa, om Oromo, or Odia, pap Papiamento, qu Quechua, rw Kinyarwanda, sc Sardinian, scn Sicilian,
sh Serbo-Croatian, sm Samoan, ss Swati, st Southern Sotho, szl Silesian, ti Tigrinya, tn Tswana, tpi Tok Pisin, ts Tsonga, ug Uyghur,
vec Venetian, war Waray, wo Wolof, xh Xhosa, zu Zulu
"""
"""Languages of translators and voices that recognisers do not name."""

_MORE_NAMES: Final = {
    tag: name for tag, _, name in (entry.strip().partition(" ") for entry in _MORE.replace("\n", " ").split(","))
}
_BY_NAME: Final = {**TAGS, **{name.lower(): tag for tag, name in _MORE_NAMES.items()}}
_TAG: Final = re.compile(r"^(?:[a-z]{2,3}|x-[a-z0-9]{1,8})(?:-[a-z0-9]{1,8})*$", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"\s*(?:->|[,;/>→])\s*|\s+(?:to|and)\s+", re.IGNORECASE)


class UnknownLanguage(ParleyError):
    """What was typed is no language, or not two of them."""


def name_of(tag: str) -> str:
    """The English name of a tag: "Brazilian Portuguese"; the tag itself where it has none, and "any language" for ""."""
    if not tag.strip():
        return "any language"
    if knows(tag):
        return known_name(tag)
    return _MORE_NAMES.get(primary_tag(tag), tag.strip())


def tag_typed(text: str) -> str:
    """The tag of one language as a user types it: a tag (`es`, `pt-BR`, `spa`) or an English name. Raises `UnknownLanguage`."""
    typed = " ".join(text.split()).replace("_", "-")
    by_name = _BY_NAME.get(typed.lower())
    if by_name is not None:
        return by_name
    if _TAG.match(typed):
        main, dash, rest = typed.partition("-")
        main = short_tag(main.lower()) if main.lower() != "x" else "x"
        if main == "x" or main in LANGUAGES or main in _MORE_NAMES:
            return main + dash + rest
    near = difflib.get_close_matches(typed.lower(), _BY_NAME, 1, 0.75)
    meant = f" Did you mean {_BY_NAME[near[0]]} ({name_of(_BY_NAME[near[0]])})?" if near else ""
    raise UnknownLanguage(
        f"'{typed[:40]}' is not a language that is known here.{meant}",
        "Write a tag such as es, en or pt-BR, or an English name.",
    )


def pair_typed(text: str) -> tuple[str, str]:
    """The user's language and the other party's: "es en", "Spanish, English". Raises `UnknownLanguage`."""
    typed = text.strip()[:MAX_TYPED]
    words = [word for word in (_BETWEEN.split(typed) if _BETWEEN.search(typed) else typed.split()) if word]
    if len(words) != 2:
        raise UnknownLanguage(
            f"{ {0: 'No language is', 1: 'One language is'}.get(len(words), f'{len(words)} languages are') } written.",
            "Write two: yours, then theirs, such as: es en",
        )
    mine, theirs = map(tag_typed, words)
    if primary_tag(mine) == primary_tag(theirs):
        raise UnknownLanguage(f"Both languages are {name_of(mine)}.", "Write two: yours, then theirs, such as: es en")
    return mine, theirs
