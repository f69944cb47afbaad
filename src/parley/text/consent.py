"""The sentence by which a person allows a voice to be made of theirs, and whether what a recogniser has heard is that sentence.

Laws: pure. Small mistakes of a recogniser are allowed for; a word that turns the sentence round is not, nor is a missing word that matters.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from parley.text.language_tags import primary_tag

TOLERATED: Final = 0.2
"""The share of the sentence's words that may be heard as others, be missing, or be too many."""

_WORD: Final = re.compile(r"[^\W\d_]+")
_LONG: Final = 5
"""Letters from which one letter of a word that matters may be heard as another."""


@dataclass(frozen=True, slots=True)
class ConsentPhrase:
    """`text` is read aloud. `needed` are its words that must be heard, `turning` words that must not be; both as `_words()` gives them."""

    text: str
    needed: tuple[str, ...]
    turning: frozenset[str]


PHRASES: Final = {
    "de": ConsentPhrase(
        "Diese Stimme gehört mir, und ich bin damit einverstanden, dass aus meiner Aufnahme eine künstliche Stimme gemacht wird.",
        ("einverstanden", "aufnahme"),
        frozenset({"nicht", "nie", "niemals", "kein", "keine", "keiner", "keinesfalls"}),
    ),
    "en": ConsentPhrase(
        "I am the owner of this voice, and I agree that my recording is used to make a synthetic voice.",
        ("owner", "agree", "recording"),
        frozenset({"not", "t", "dont", "cant", "wont", "never", "no", "nor", "refuse", "disagree", "cannot"}),
    ),
    "es": ConsentPhrase(
        "Esta voz es mía, y acepto que mi grabación se use para crear una voz sintética.",
        ("acepto", "grabacion"),
        frozenset({"no", "nunca", "jamas", "tampoco", "rechazo"}),
    ),
    "fr": ConsentPhrase(
        "Cette voix est la mienne, et j'accepte que mon enregistrement serve à créer une voix de synthèse.",
        ("accepte", "enregistrement"),
        frozenset({"ne", "n", "pas", "jamais", "refuse"}),
    ),
    "it": ConsentPhrase(
        "Questa voce è mia, e accetto che la mia registrazione sia usata per creare una voce sintetica.",
        ("accetto", "registrazione"),
        frozenset({"non", "mai", "neanche", "rifiuto"}),
    ),
    "nl": ConsentPhrase(
        "Deze stem is van mij, en ik ga ermee akkoord dat mijn opname wordt gebruikt om een synthetische stem te maken.",
        ("akkoord", "opname"),
        frozenset({"niet", "geen", "nooit", "weiger"}),
    ),
    "pt": ConsentPhrase(
        "Esta voz é minha, e aceito que a minha gravação seja usada para criar uma voz sintética.",
        ("aceito", "gravacao"),
        frozenset({"nao", "nunca", "jamais", "nem", "recuso"}),
    ),
}
"""By primary language tag."""


def phrase(language: str) -> ConsentPhrase | None:
    """The sentence in a language (a BCP-47 tag); None where there is none."""
    return PHRASES.get(primary_tag(language))


def phrase_of(text: str, language: str) -> ConsentPhrase | None:
    """A sentence of somebody else's, such as a server's that makes voices; None where it has no words.

    In a language of `PHRASES`, what turns that sentence round must not be heard either, unless the text has it.
    """
    words = _words(text)
    known = phrase(language)
    turning = known.turning - frozenset(words) if known is not None else frozenset()
    return ConsentPhrase(text, (), turning) if words else None


def fault(wanted: ConsentPhrase, heard: str) -> str:
    """Why what was heard is not the sentence; "" where it is."""
    words, spoken = _words(wanted.text), _words(heard)
    if not spoken:
        return "no words were heard in it"
    if turning := [word for word in spoken if word in wanted.turning]:
        return f"it has the word {turning[0]!r}"
    if missing := [word for word in wanted.needed if not any(_same(word, other) for other in spoken)]:
        return f"the word {missing[0]!r} was not heard"
    if _edits(words, spoken) > TOLERATED * len(words):
        return "it says something else, or more"
    return ""


def _words(text: str) -> list[str]:
    """Words in small letters without accents."""
    parted = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in parted if not unicodedata.combining(letter))
    return _WORD.findall(plain)


def _same(word: str, other: str) -> bool:
    return word == other or (len(word) >= _LONG and _edits(word, other) <= 1)


def _edits(one: str | list[str], other: str | list[str]) -> int:
    """The least number of insertions, deletions and replacements (Levenshtein)."""
    before = list(range(len(other) + 1))
    for row, left in enumerate(one, 1):
        current = [row]
        for column, right in enumerate(other, 1):
            current.append(min(before[column] + 1, current[-1] + 1, before[column - 1] + (left != right)))
        before = current
    return before[-1]
