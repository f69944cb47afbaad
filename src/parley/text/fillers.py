"""Speech that says nothing: hesitations, laughter, coughs and music, as recognisers write them.

Laws:
- Pure. A text says nothing only if every word of it is a hesitation, laughter, or part of a note such as "[laughter]" or "*coughs*".
- An answer is never a filler: "yes", "ok", "claro", "uh-huh", a number, a name.
- A form that is a word of some language ("um" is German for "around", "jaja" is German for "yes, yes") counts only in a language where it
  is a hesitation; for an unknown language it does not count.
- Words sung between music notes are words.

Does not know: `core.policy.backchannels`, which asks another question (does this take the floor?) and counts "yes" as "no".
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from parley.text.language_tags import primary_tag

_EVERYWHERE: Final = frozenset(
    {"uh", "uhm", "erm", "hm", "m", "eh", "ehm", "ah", "ahm", "äh", "ähm", "öh", "öhm", "euh", "ahem"}
)
"""Hesitations that are words of none of the languages below, each letter once: "uhhh" is "uh", "hmm" is "hm"."""

_BY_LANGUAGE: Final = {
    "en": frozenset({"um", "er", "a"}),
    "es": frozenset({"este", "em", "e"}),
    "ca": frozenset({"e"}),
    "gl": frozenset({"e"}),
    "pt": frozenset({"hum", "hã", "ahn", "ã", "e", "é"}),
    "de": frozenset({"ä", "ö"}),
    "fr": frozenset({"heu", "hum", "e"}),
    "it": frozenset({"em", "e"}),
    "nl": frozenset({"e", "u"}),
    "ru": frozenset({"э", "эм", "м", "ам"}),
    "uk": frozenset({"е", "ем", "м"}),
    "ja": frozenset({"えーと", "ええと", "えと", "えっと", "うーん", "えー", "えーっと"}),
    "zh": frozenset({"呃", "额"}),
    "ko": frozenset({"음", "어"}),
}
"""What hesitates in one language. An alphabet's single letter counts only where it is drawn out: "eee", not "e"."""

_ANSWERS_BEFORE: Final = {"este": (".", "?", "!"), "eh": ("?",), "hã": ("?",)}
"""Marks after which a hesitation says something: "este..." hesitates, "Este." and "¿Este?" do not, and "¿Eh?" asks to hear it again."""

_LAUGHTER: Final = re.compile(
    r"(?:bw|mw)?a?h+([aeio])\1*(?:h+\1+)+h*|h+[ae]+h+|а?х+([аеиоы])\2*(?:х+\2+)+х*|[哈呵嘻]{2,}|[ㅋㅎ]{2,}|は{3,}|へ{3,}|ふ{2,}"
)
_JOTA: Final = re.compile(r"a?j+([aeiou])\1*(?:j+\1+)+j*")
_LAUGHTER_IN: Final = {
    **dict.fromkeys(("es", "gl", "ca", "eu", "ast"), _JOTA),
    "pt": re.compile(r"k{3,}|(?:rs)+r?|(?:hu[ae]+){2,}h*"),
    "ja": re.compile(r"[wｗ笑]+"),
}
_SYLLABLES: Final = frozenset({"ha", "ho", "hah", "heh"})
_JOTA_SYLLABLES: Final = frozenset({"ha", "ja", "je"})
"""Laughter written as separate words, two of them or more: "ha ha", "ja ja"."""

_NOTE: Final = re.compile(
    r"\[([^\[\]]{0,80})\]|\(([^()]{0,80})\)|\*([^*]{1,80})\*|<([^<>]{1,80})>|（([^（）]{0,80})）|【([^【】]{0,80})】"
)
"""What a recogniser puts in brackets, or between stars."""

_NOTE_WORDS: Final = 5
"""A note is short; a longer text in brackets is speech."""

_NOISES: Final = frozenset(
    [
        "sigh",
        "sighs",
        "sighing",
        "sob",
        "sobs",
        "sobbing",
        "hum",
        "hums",
        "humming",
        "breath",
        "breaths",
        "breathes",
        "clap",
        "claps",
        "unk",
        "risa",
        "rie",
        "rien",
        "rio",
        "riendo",
        "tos",
        "tose",
        "tosiendo",
        "suspira",
        "suspiro",
        "riso",
        "ri",
        "rindo",
        "tosse",
        "tossindo",
        "barulho",
        "husten",
        "hustet",
        "seufzen",
        "seufzt",
        "niesen",
        "niest",
        "atmet",
        "stille",
        "rire",
        "rires",
        "rit",
        "rient",
        "toux",
        "tousse",
        "bruit",
        "bruits",
        "ride",
        "ridono",
        "tossisce",
        "rumore",
        "rumori",
        "silence",
        "silencio",
        "silenzio",
        "silencioso",
        "silent",
        "inaudible",
        "inaudivel",
    ]
)
_NOISE_STEMS: Final = (
    "laugh",
    "chuckl",
    "giggl",
    "snicker",
    "cough",
    "sneez",
    "sniff",
    "breathing",
    "inhal",
    "exhal",
    "gasp",
    "groan",
    "music",
    "applau",
    "cheer",
    "noise",
    "unintelligib",
    "blank",
    "throat",
    "crying",
    "whistl",
    "beep",
    "static",
    "crosstalk",
    "yawn",
    "footstep",
    "risas",
    "aplaus",
    "ruido",
    "estornud",
    "carraspe",
    "bostez",
    "suspir",
    "risos",
    "espirr",
    "lach",
    "gelach",
    "musik",
    "gerausch",
    "unverstandlich",
    "rausper",
    "soupir",
    "musique",
    "risat",
    "musica",
    "sospir",
    "笑",
    "拍手",
    "音楽",
    "咳",
    "音乐",
    "掌声",
)
"""Words for noises, and beginnings of such words, without accents."""

_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_RUN: Final = re.compile(r"(.)\1+")
_MARKS: Final = re.compile(r"\s*([.?!…]*)")
_FIRST_SYLLABARY: Final = 0x3000
"""From here on, one character can be a word."""


def only_fillers(text: str, language: str = "") -> bool:
    """Whether `text` holds nothing to say in another language: no word, or only hesitations, laughter, and notes about noises.

    `language` is the BCP-47 tag of the text, "" where it is unknown: then only forms that are words of no language count.
    """
    spoken = _NOTE.sub(lambda match: " " if _is_note(match) else match.group(), text)
    words = [(match.group().lower(), match.end()) for match in _WORD.finditer(spoken)]
    tag = primary_tag(language)
    syllables = _JOTA_SYLLABLES if _LAUGHTER_IN.get(tag) is _JOTA else _SYLLABLES
    if len(words) > 1 and all(word in syllables for word, _ in words):
        return True
    return all(_is_laughter(word, tag) or _hesitates(word, spoken, end, tag) for word, end in words)


def _is_note(match: re.Match[str]) -> bool:
    """Whether a text in brackets or stars says what was heard instead of words."""
    inner = next(group for group in match.groups() if group is not None).strip()
    if not inner or (match.group().startswith("[") and "_" in inner):  # "[BLANK_AUDIO]"
        return True
    plain = "".join(one for one in unicodedata.normalize("NFD", inner.lower()) if not unicodedata.combining(one))
    words = re.findall(r"[^\W_]+", plain)
    return len(words) <= _NOTE_WORDS and any(word in _NOISES or word.startswith(_NOISE_STEMS) for word in words)


def _is_laughter(word: str, tag: str) -> bool:
    own = _LAUGHTER_IN.get(tag)
    return bool(_LAUGHTER.fullmatch(word) or (own is not None and own.fullmatch(word)))


def _hesitates(word: str, text: str, end: int, tag: str) -> bool:
    """Whether a word of `text`, which ends there, is a hesitation."""
    own = _BY_LANGUAGE.get(tag, frozenset())
    once = _RUN.sub(r"\1", word.replace("-", ""))
    if once not in _EVERYWHERE and once not in own and word not in own:
        return False
    if len(word) == 1 and ord(word) < _FIRST_SYLLABARY:
        return False
    marks = _MARKS.match(text, end)
    return marks is None or marks.group(1) not in _ANSWERS_BEFORE.get(once, ())
