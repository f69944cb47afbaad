"""Words that only say "I am listening".

Source of the list: the response tokens common to conversation-analytic corpora of these languages. Laws: pure; a
text is a backchannel only if every word of it is one; an unknown language falls back to all lists together.
"""

from __future__ import annotations

_SOUNDS = frozenset(
    {"mm", "mhm", "hm", "hmm", "mmm", "uhhuh", "uh", "huh", "um", "ah", "oh", "eh", "aha", "ha", "mmhm", "mmhmm", "er"}
)
_WORDS = _SOUNDS | frozenset(
    # English, German, Spanish, French, Italian, Portuguese, Dutch
    [
        "yeah",
        "yes",
        "yep",
        "yup",
        "ok",
        "okay",
        "right",
        "sure",
        "wow",
        "cool",
        "nice",
        "really",
        "exactly",
        "ja",
        "jaja",
        "genau",
        "gut",
        "klar",
        "ach",
        "so",
        "stimmt",
        "sí",
        "si",
        "claro",
        "vale",
        "ya",
        "bueno",
        "oui",
        "ouais",
        "voilà",
        "bien",
        "d'accord",
        "certo",
        "sim",
        "pois",
        "tá",
        "goed",
    ]
)


def words_of(text: str) -> list[str]:
    """The words, lower-cased, without punctuation; hyphens joined ("mm-hm" is one word)."""
    joined = (word.replace("-", "").strip(".,;:!?…\"'()[]¿¡").lower() for word in text.split())
    return [word for word in joined if word]


def is_backchannel(text: str) -> bool:
    """True for "mm-hm", "yeah, okay": words that leave the floor to the other. An empty text is one too."""
    return all(word in _WORDS for word in words_of(text))


def takes_floor(text: str, words_needed: int) -> bool:
    """True if the words so far show that the speaker wants to be heard."""
    words = words_of(text)
    return len(words) >= words_needed and not all(word in _WORDS for word in words)
