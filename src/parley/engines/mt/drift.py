"""Whether the output of a language model is a translation of what it was given, or the model has drifted: answered, refused, commented.

Laws:
- Pure and deterministic, but for `guess`, which the caller gives. The rules know neither the model nor the prompt.
- Few false alarms come first: where a rule cannot say, the output passes. An answer in the target language that has the length of a
  translation and none of the marks below passes wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from parley.engines.mt.drift_phrases import (
    AGREED,
    AGREEMENTS,
    APOLOGIES,
    ASSISTANT,
    FIRST_PERSON,
    LABELS,
    NEGATIONS,
    PROMISES,
    QUESTION_BEGINS,
    REFUSALS,
    REGRETS,
    WITH_PHRASES,
)
from parley.engines.mt.language_guess import LanguageGuess
from parley.text.faithful import missing_facts
from parley.text.language_tags import primary_tag
from parley.text.repeats import is_loop

DriftKind = Literal["empty", "length", "language", "question", "refusal", "comment", "loop", "facts"]
KINDS: Final[tuple[DriftKind, ...]] = ("empty", "length", "language", "question", "refusal", "comment", "loop", "facts")

DOUBTS: Final = frozenset({"facts"})
"""Kinds that are worth a second request, and no reason to refuse its answer: a name may be called otherwise in the other language."""

MAX_RATIO: Final = 2.2
SPARE_CHARACTERS: Final = 24
"""A translation has at most so many times the letters of its source, and these more: "No." may become "I'm afraid not."."""

MIN_RATIO: Final = 0.33
SHORT_CHARACTERS: Final = 24
"""From so many letters on, a translation has at least that part of them."""

SURE: Final = 0.9
"""Probability from which a language counts, where it is the source's."""

SURE_OF_OTHER: Final = 0.97
OTHER_WORDS: Final = 5
"""Probability and words from which a language counts that is neither the source's nor the target's."""

ECHO: Final = 0.3
"""Part of the words, at most, that are new in an output that repeats the source."""

OTHERS: Final = ("en", "es", "pt", "de", "fr", "it", "nl", "ru", "zh", "ja")
"""Languages to which a model falls back, beside those of the pair."""

_WORD: Final = re.compile(r"[^\W_]+")
_DENSE: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_DENSITY: Final = 1.8
"""A character of a script of syllables or words stands for about so many more letters."""

_ASKS: Final = re.compile("[?？؟;՞]")
_ENDS_ASKING: Final = re.compile("[?？؟;]")
_PARTICLES: Final = {
    "ja": re.compile("(か|かな|の|かい)[。！]?\\s*$"),
    "zh": re.compile("[吗呢么]"),
    "el": re.compile(";"),
    "th": re.compile("ไหม|หรือ"),
}
"""How a question may be asked without a mark."""

_ENDS_STATING: Final = re.compile(r"[.!。！]\W*$")
_ENDS_WITH_QUESTION: Final = re.compile(r"[?？]\W*$")
_LOOKED_AT: Final = 1_000
"""Characters of an output in which loops are looked for."""

_ONE_WORD: Final = 4
"""From so many times on, a word alone is a loop where the source repeats nothing."""

_NOTHING: Final = "x"
"""A text that has no fact."""

Guess = Callable[[str, Iterable[str]], LanguageGuess | None]


@dataclass(frozen=True, slots=True)
class Drift:
    """Why an output is no translation: the rule, and what it saw, as a sentence for a log."""

    kind: DriftKind
    reason: str


def drift_of(source: str, output: str, from_language: str, to_language: str, guess: Guess) -> Drift | None:
    """What is wrong with `output` as the translation of `source`; None: nothing that can be seen.

    Languages are BCP-47 tags; `from_language` may be "". `guess` says the language of a text among candidates, or None.
    """
    return (
        _empty(source, output)
        or _comment(source, output)
        or _refusal(source, output, from_language)
        or _length(source, output)
        or _language(source, output, from_language, to_language, guess)
        or _question(source, output, to_language)
        or _asks_back(source, output, from_language)
        or _loop(source, output)
        or _facts(source, output, from_language, to_language)
    )


def drift_at_start(
    source: str | None, beginning: str, from_language: str, to_language: str, guess: Guess
) -> Drift | None:
    """What is wrong already with the first words of an output, of which more follow; None: nothing that can be seen.

    `source` None: what was said is not known yet, and only the language of the words is looked at. Languages as in `drift_of`.
    """
    if source is None:
        return _language("", beginning, from_language, to_language, guess)
    return (
        _comment(source, beginning)
        or _refusal(source, beginning, from_language)
        or _language(source, beginning, from_language, to_language, guess)
        or (_length(source, beginning) if _weight(beginning) > longest(source) else None)
    )


def longest(source: str) -> int:
    """How many characters of output are read before it counts as too long, whatever script it has."""
    return round(MAX_RATIO * _weight(source)) + SPARE_CHARACTERS


def _empty(source: str, output: str) -> Drift | None:
    if _WORD.search(source) and not _WORD.search(output):
        return Drift("empty", "there is no word in the output")
    return None


def _comment(source: str, output: str) -> Drift | None:
    if "\n" in output.strip() and "\n" not in source.strip():
        return Drift("comment", "the output has several lines, the source one")
    label = LABELS.match(output)
    if label is not None and LABELS.match(source) is None:
        return Drift("comment", f"the output begins with {label.group().strip()!r}")
    return None


def _refusal(source: str, output: str, from_language: str) -> Drift | None:
    """The model speaks of itself, refuses, or agrees to do something. Where the person does the same, it is a translation."""
    found = ASSISTANT.search(output)
    if found is not None and ASSISTANT.search(source) is None:
        return Drift("refusal", f"the output speaks as an assistant: {found.group()!r}")
    if primary_tag(from_language) not in WITH_PHRASES:
        return None  # what the person said cannot be looked through for the same
    for phrases, said in ((REFUSALS, NEGATIONS), (APOLOGIES, REGRETS)):
        found = phrases.search(output)
        if found is not None and said.search(source) is None:
            return Drift("refusal", f"the output refuses: {found.group()!r}")
    for phrases, said in ((AGREEMENTS, AGREED), (PROMISES, FIRST_PERSON)):
        found = phrases.search(output)
        if found is not None and said.search(source) is None:
            return Drift("comment", f"the output does what was said: {found.group().strip()!r}")
    return None


def _length(source: str, output: str) -> Drift | None:
    said, made = _weight(source), _weight(output)
    if made > MAX_RATIO * said + SPARE_CHARACTERS:
        return Drift("length", f"the output is {made / max(said, 1):.1f} times as long as the source")
    if said >= SHORT_CHARACTERS and made < MIN_RATIO * said:
        return Drift("length", f"the output has {made / said:.2f} of the source's length")
    return None


def _language(source: str, output: str, from_language: str, to_language: str, guess: Guess) -> Drift | None:
    """Names stand in both texts: only the words of the output that are new say something of its language."""
    target, known = primary_tag(to_language), primary_tag(from_language)
    candidates = {target, *OTHERS, *([known] if known else [])}
    kept = {word.lower() for word in _WORD.findall(source)}
    words = [word for word in output.split() if _WORD.search(word)]
    new = [word for word in words if not _within(word, kept)]
    found = guess(" ".join(new), candidates)
    if found is not None and found.language != target:
        if found.language == known and found.probability >= SURE:
            return Drift("language", f"the output is in the language of the source ({known})")
        if found.probability >= SURE_OF_OTHER and len(new) >= OTHER_WORDS and found.language != known:
            return Drift("language", f"the output is in another language ({found.language})")
    if len(new) <= ECHO * len(words):
        whole = guess(output, {target, known} if known else candidates)  # what repeats the source is in one of the two
        if whole is not None and whole.language == known != target and whole.probability >= SURE:
            return Drift("language", "the output repeats the source")
    return None


def _question(source: str, output: str, to_language: str) -> Drift | None:
    if not _ASKS.search(source) or _ENDS_ASKING.search(output):
        return None
    particle = _PARTICLES.get(primary_tag(to_language))
    if particle is not None and particle.search(output):
        return None
    return Drift("question", "the source asks and the output does not")


def _asks_back(source: str, output: str, from_language: str) -> Drift | None:
    """A question in the place of what is none. Recognisers write a full stop behind questions too: how it begins decides."""
    begins = QUESTION_BEGINS.get(primary_tag(from_language))
    if (
        begins is None
        or _ASKS.search(source)
        or not _ENDS_STATING.search(source)
        or not _ENDS_WITH_QUESTION.search(output)
    ):
        return None
    if any(begins.match(sentence.strip()) for sentence in re.split(r"[.!,;:…]", source)):
        return None
    return Drift("question", "the output asks and the source does not")


def _loop(source: str, output: str) -> Drift | None:
    """A model that has lost the thread writes the same again and again."""
    if _repeats(output) and not _repeats(source):
        return Drift("loop", "the output repeats itself")
    return None


def _repeats(text: str) -> bool:
    """Whether a text holds a loop, or is one phrase of two words or more, again and again."""
    words = [word.lower() for word in _WORD.findall(text[:_LOOKED_AT])]
    phrases = (size for size in range(2, len(words) // 2 + 1) if words[size:] == words[:-size])
    one_word = len(words) >= _ONE_WORD and len(set(words)) == 1
    return one_word or (next(phrases, None) is not None and len(set(words)) > 1) or is_loop(text[:_LOOKED_AT])


def _facts(source: str, output: str, from_language: str, to_language: str) -> Drift | None:
    """An answer seldom has the names and numbers of its question; a translation that lacks all of them is rare."""
    facts = missing_facts(source, _NOTHING, to_language, from_language)
    if facts and missing_facts(source, output, to_language, from_language) == facts:
        return Drift("facts", f"the output has none of: {', '.join(facts)}")
    return None


def _within(word: str, kept: set[str]) -> bool:
    parts = _WORD.findall(word)
    return all(part.lower() in kept for part in parts)


def _weight(text: str) -> float:
    """Characters, those of dense scripts counted as the letters that they stand for."""
    return len(text.strip()) + _DENSITY * len(_DENSE.findall(text))
