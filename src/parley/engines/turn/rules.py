"""A turn judge without weights: rules over the last words and the last sounds, added up as log odds.

Laws:
- Every rule is a line of a table: its evidence, its weight, and why. Positive speaks for "finished". The sum goes through the
  logistic function; with no evidence at all the answer is about one half.
- Words count for more than sounds: syntax projects a turn's end, and intonation only confirms it (de Ruiter, Mitterer & Enfield
  2006). They count by the recogniser's confidence: with wrong words, the sounds decide.
- Words of a language that is unknown or has no lists are not judged at all.
- Cheap enough for the event loop: one judgement takes a few ms at most.

The weights are fitted to labelled pauses, starting from values set by hand (`benchmarks/turns_fit.py`). They are meant for people
who talk to a machine: short requests, answers, dictated numbers. A trained model (Smart Turn) plugs into the same port.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from parley.engines.options import OptionReader
from parley.engines.ports import EngineInfo, PauseContext
from parley.engines.turn.prosody import SAMPLE_RATE, Ending, ending
from parley.engines.turn.words import LANGUAGES, SMALL_WORDS, TurnWords
from parley.text.language_tags import primary_tag

BASE: Final = 0.0
"""Log odds without evidence: even. How many pauses are ends depends on who speaks about what, so no corpus can say it."""

_WARM_UP: Final = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE * 2).astype(np.float32)
"""Numpy's first transform of a size takes ten times as long as the others."""

MAX_TEXT_CHARS: Final = 400
"""Of the transcript: the last sentence or two decide."""

LEAST_TRUST: Final = 0.3
"""By how much words count at the least. A recogniser that is wrong about most words still hears some of the small ones."""

LEAST_SMALL_WORDS: Final = 0.3
"""The share of a language's small words (articles, auxiliaries, question words...) in a text that is taken to be in it."""

_GOING_ON: Final = frozenset({",", "-", "…", ":"})
"""Last marks after which more is expected."""

_TOKEN: Final = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?。！？؟।])\s*")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rules look at: the last sentence's words, its last mark, and how it sounded."""

    text: str
    words: tuple[str, ...]
    mark: str
    lists: TurnWords | None
    sound: Ending | None

    @property
    def last(self) -> str:
        return self.words[-1] if self.words else ""

    @property
    def phrase(self) -> str:
        return " ".join(self.words)

    @property
    def asks(self) -> bool:
        """Begins like a question (and not like "when it rains")."""
        if self.lists is None or len(self.words) < 3 or self.words[0] not in self.lists.questions:
            return False
        # "when it rains" and "when the rain stops" do not ask
        return self.words[0] not in self.lists.subordinators or self.words[1] not in self.lists.pronouns | {"the"}


@dataclass(frozen=True, slots=True)
class WeightedRule:
    """`weight` in log odds when `holds` is true."""

    name: str
    weight: float
    why: str
    holds: Callable[[Evidence], bool]


def _listed(evidence: Evidence, lists: str) -> bool:
    return evidence.lists is not None and evidence.last in getattr(evidence.lists, lists)


def _stranded(evidence: Evidence) -> bool:
    """A question may end with this word: "what are you looking for", "where the station is", not "what is the weather in"."""
    lists, words = evidence.lists, evidence.words
    if lists is None or not evidence.asks or not _listed(evidence, "stranded"):
        return False
    if evidence.last in lists.questions:  # a form of "to be" or "to do", which has its subject before it
        return len(words) > 3
    if evidence.last == "like" and words[-2] not in lists.auxiliaries:
        return True
    return words[0] in lists.gap_openers and any(word in lists.pronouns for word in words[-3:-1])


def _holds_on(evidence: Evidence) -> bool:
    """Ends with a word that has something after it: always, or in a question that leaves no gap for it."""
    if _stranded(evidence):
        return False
    return _listed(evidence, "holding") or (evidence.asks and _listed(evidence, "stranded"))


def _lacks_noun(evidence: Evidence) -> bool:
    """ "the next", "a small": an attribute that waits for its noun."""
    lists, words = evidence.lists, evidence.words
    if lists is None or len(words) < 2 or evidence.last not in lists.attributes:
        return False
    return words[-2] in lists.holding or words[-2] in lists.leaning or words[-2] in lists.attributes


def _lacks_verb(evidence: Evidence) -> bool:
    """ "how much does it": the subject of a question, whose verb is still to come."""
    lists, words = evidence.lists, evidence.words
    if lists is None or not evidence.asks or evidence.last not in lists.pronouns:
        return False
    if words[0] == "who":  # is the subject itself: "who did it"
        return False
    first = next((place for place, word in enumerate(words) if word in lists.auxiliaries), None)
    return first == len(words) - 2


def _whole_turn(evidence: Evidence) -> bool:
    lists = evidence.lists
    return lists is not None and (evidence.phrase in lists.answers or evidence.phrase in lists.greetings)


def _open_ended(evidence: Evidence) -> bool:
    lists = evidence.lists
    if lists is None or _stranded(evidence):
        return False
    return any(evidence.phrase == opening or evidence.phrase.endswith(f" {opening}") for opening in lists.openings)


def _goes_on(evidence: Evidence) -> bool:
    """Any of the strong signs of an unfinished clause."""
    return (
        _listed(evidence, "hesitations")
        or _holds_on(evidence)
        or _open_ended(evidence)
        or _lacks_noun(evidence)
        or _lacks_verb(evidence)
    )


def _dictated_digits(evidence: Evidence) -> int:
    """Digits at the end, spoken one by one or in groups; 0 unless there are at least three words or two groups of them."""
    if evidence.lists is None:
        return 0
    digits = tokens = 0
    for word in reversed(evidence.words):
        if word.isdigit():
            digits += len(word)
            tokens += 2
        elif word in evidence.lists.digits:
            digits += 1
            tokens += 1
        else:
            break
    return digits if tokens >= 3 else 0


def _subordinate_only(evidence: Evidence) -> bool:
    if evidence.lists is None or not 2 <= len(evidence.words) <= 5 or "," in evidence.text:
        return False
    return evidence.words[0] in evidence.lists.subordinators and not evidence.asks


def _complete(evidence: Evidence) -> bool:
    if evidence.lists is None or len(evidence.words) < 3 or evidence.mark in _GOING_ON:
        return False
    return not (
        _goes_on(evidence) or _listed(evidence, "leaning") or _dictated_digits(evidence) or _subordinate_only(evidence)
    )


def _sounds(test: Callable[[Ending], bool]) -> Callable[[Evidence], bool]:
    return lambda evidence: evidence.sound is not None and evidence.sound.voiced_ms >= 120 and test(evidence.sound)


WORD_RULES: Final[tuple[WeightedRule, ...]] = (
    # Words that end a turn.
    WeightedRule("answer or greeting", 2.37, "a whole turn by itself (Schegloff & Sacks 1973: adjacency pairs)", _whole_turn),
    WeightedRule("question mark", 2.0, "the recogniser heard a question, and questions hand the turn over (Sacks et al. 1974)",
         lambda e: e.mark == "?" and not _goes_on(e)),
    WeightedRule("question", 0.85, "begins like a question and ends like one",
         lambda e: e.asks and e.mark != "?" and not _goes_on(e) and (not _listed(e, "leaning") or _stranded(e))),
    WeightedRule("full stop", 0.5, "recognisers set one by the words and the fall of the voice; they also set it too often",
         lambda e: e.mark == "." and not _goes_on(e)),
    WeightedRule("complete clause", 0.45, "three words or more and nothing open at their end (Ford & Thompson 1996)", _complete),
    # Words that hold it.
    WeightedRule("hesitation", -3.03, "um and uh announce a delay and a wish to go on (Clark & Fox Tree 2002)",
         lambda e: _listed(e, "hesitations") and not _whole_turn(e)),
    WeightedRule("unfinished clause", -3.24, "an article, conjunction or preposition has something after it",
         lambda e: _holds_on(e) and not _whole_turn(e)),
    WeightedRule("open phrase", -2.17, "\"I would like\" asks for its complement (Ford & Thompson 1996)",
         lambda e: _open_ended(e) and not _holds_on(e) and not _whole_turn(e)),
    WeightedRule("noun or verb missing", -2.27, "\"the next\" asks for its noun, \"how much does it\" for its verb",
         lambda e: (_lacks_noun(e) or _lacks_verb(e)) and not _holds_on(e) and not _whole_turn(e)),
    WeightedRule("leaning word", -2.0, "an auxiliary or determiner usually has something after it",
         lambda e: _listed(e, "leaning") and not _stranded(e) and not _whole_turn(e) and not _goes_on(e)),
    WeightedRule("comma or dash", -1.5, "the recogniser expects more", lambda e: e.mark in _GOING_ON),
    WeightedRule("digits being dictated", -1.37, "numbers are dictated in groups with pauses between them",
         lambda e: 0 < _dictated_digits(e) < 7),
    WeightedRule("a long number", -0.45, "it may be whole", lambda e: _dictated_digits(e) >= 7),
    WeightedRule("subordinate clause alone", -1.29, "\"if it rains\" projects a main clause (Lerner 1991: compound turn units)",
         _subordinate_only),
    WeightedRule("one word", -0.83, "rarely a turn, unless it is an answer",
         lambda e: e.lists is not None and len(e.words) == 1 and not _whole_turn(e) and not _goes_on(e)),
)  # fmt: skip

SOUND_RULES: Final[tuple[WeightedRule, ...]] = (
    WeightedRule("falling pitch", 0.35, "a fall to the bottom of the voice ends a turn (Duncan 1972; Gravano & Hirschberg 2011)",
         _sounds(lambda s: s.slope_st <= -1.5 and s.height_st <= -1.0)),
    WeightedRule("high rise", 0.43, "a steep rise asks (Gravano & Hirschberg 2011); without a question's words it may as well go on",
         lambda e: (e.asks or e.mark == "?") and e.sound is not None and e.sound.slope_st >= 3.0 and e.sound.height_st > 0),
    WeightedRule("level pitch", -0.9, "a sustained tone keeps the turn (Duncan 1972; Gravano & Hirschberg 2011)",
         _sounds(lambda s: abs(s.slope_st) < 0.8 and s.height_st > -1.0)),
    WeightedRule("slight rise", -0.47, "a continuation rise (Selting 1996)", _sounds(lambda s: 0.8 <= s.slope_st < 3.0)),
    WeightedRule("faded", 0.8, "turns end quieter than they went on (Gravano & Hirschberg 2011)", _sounds(lambda s: s.drop_db >= 7)),
    WeightedRule("fading", 0.4, "the same, less clearly", _sounds(lambda s: 3 <= s.drop_db < 7)),
    WeightedRule("still loud", -0.55, "no fading", _sounds(lambda s: -2 <= s.drop_db < 1)),
    WeightedRule("louder", -1.25, "the last syllable is louder than the rest: the stress of a phrase, not its end",
         _sounds(lambda s: s.drop_db < -2)),
    WeightedRule("drawn out", -0.85, "a long steady last syllable is a filled pause (Local & Kelly 1986)",
         _sounds(lambda s: s.drawn_ms >= 350)),
)  # fmt: skip

RULES: Final = WORD_RULES + SOUND_RULES


@dataclass(frozen=True, slots=True)
class Judgement:
    """The rules that hold for a pause, and by how much those of words count."""

    rules: tuple[WeightedRule, ...]
    trust: float

    @property
    def log_odds(self) -> float:
        words = sum(rule.weight for rule in self.rules if rule in WORD_RULES)
        sounds = sum(rule.weight for rule in self.rules if rule in SOUND_RULES)
        return BASE + self.trust * words + sounds

    @property
    def probability(self) -> float:
        """That the turn is over, in 0..1."""
        return 1 / (1 + math.exp(-self.log_odds))


def create(model: str, options: Mapping[str, object]) -> RuleJudge:
    """`rules`; no options."""
    OptionReader("turn rules", options).close()
    return RuleJudge()


class RuleJudge:
    """A `TurnJudge` that needs nothing installed and nothing loaded."""

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="turn",
            name="rules",
            summary="Judges a pause by the last words (English, German, Spanish, French) and by pitch and loudness.",
            sample_rate=SAMPLE_RATE,
            languages=tuple(LANGUAGES),
            deterministic=True,
        )

    async def open(self) -> None:
        await self.judge(PauseContext("", _WARM_UP))

    async def close(self) -> None:
        return None

    async def judge(self, pause: PauseContext) -> float:
        return weigh(pause).probability


def weigh(pause: PauseContext) -> Judgement:
    """What speaks for and against the end of the turn: for tests and for debugging."""
    evidence = _evidence(pause)
    return Judgement(tuple(rule for rule in RULES if rule.holds(evidence)), trust(pause.confidence))


def trust(confidence: float | None) -> float:
    """By how much the words' weights count: as much as the recogniser is sure of them, and whole where it does not say."""
    return 1.0 if confidence is None else min(1.0, max(LEAST_TRUST, confidence))


def _evidence(pause: PauseContext) -> Evidence:
    text = pause.text.strip()[-MAX_TEXT_CHARS:].lower().replace("’", "'")
    sentences = [part for part in _SENTENCE_END.split(text) if _TOKEN.search(part)]
    sentence = sentences[-1] if sentences else ""
    words = tuple(_TOKEN.findall(sentence))
    return Evidence(sentence, words, _mark(text), _lists_for(pause.language, text), ending(pause.audio))


def _mark(text: str) -> str:
    """The last punctuation, in its plain form ("" for none)."""
    bare = text.rstrip("\"'”»)] ")
    if bare.endswith(("...", "…")):
        return "…"
    plain = {
        "。": ".",
        "！": ".",
        "!": ".",
        "।": ".",
        "？": "?",
        "؟": "?",
        "，": ",",
        "、": ",",
        "–": "-",
        "—": "-",
        ";": ",",
    }
    last = bare[-1:]
    mark = plain.get(last, last)
    return mark if mark in {".", "?", ",", "-", ":"} else ""


def _lists_for(language: str, text: str) -> TurnWords | None:
    """The lists of the language; without one, of the language whose small words the text has most of.

    None for a language that has no lists, and for words that might be of any: these are not judged.
    """
    tag = primary_tag(language)
    if tag:
        return LANGUAGES.get(tag)
    words = _TOKEN.findall(text)
    phrase = " ".join(words)
    hits = {}
    for language, lists in LANGUAGES.items():
        if phrase in lists.answers or phrase in lists.greetings:
            return lists
        hits[language] = sum(word in SMALL_WORDS[language] for word in words)
        hits[language] += any(phrase.endswith(opening) for opening in lists.openings)
    best, second = sorted(hits, key=lambda language: -hits[language])[:2]
    enough = hits[best] >= max(1 if len(words) < 3 else 2, LEAST_SMALL_WORDS * len(words))
    return LANGUAGES[best] if enough and hits[best] > hits[second] else None
