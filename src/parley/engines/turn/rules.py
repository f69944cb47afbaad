"""A turn judge without weights: rules over the last words and the last sounds, added up as log odds.

Laws:
- Every rule is a line of a table: its evidence, its weight, and why. Positive speaks for "finished". The sum goes through the
  logistic function; with no evidence at all the answer is about one half.
- Words count for more than sounds: syntax projects a turn's end, and intonation only confirms it (de Ruiter, Mitterer & Enfield
  2006).
- Cheap enough for the event loop: one judgement takes a few ms at most.

The weights are set by hand so that one strong cue decides, and two weak ones against it do not. They are meant for people who
talk to a machine: short requests, answers, dictated numbers. A trained model (Smart Turn) plugs into the same port.
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
from parley.engines.turn.words import ENGLISH, LANGUAGES, TurnWords

BASE: Final = 0.1
"""Log odds without evidence: a pause that is long enough to be asked about is a little more often an end than not."""

_WARM_UP: Final = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE * 2).astype(np.float32)
"""Numpy's first transform of a size takes ten times as long as the others."""

MAX_TEXT_CHARS: Final = 400
"""Of the transcript: the last sentence or two decide."""

_TOKEN: Final = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?。！？؟।])\s*")


_SUBJECTS: Final = frozenset(
    {"i", "you", "it", "he", "she", "we", "they", "the", "il", "elle", "on", "je", "tu", "nous", "vous"}
)
"""What follows a "when" or "quand" that does not ask."""


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
        return self.words[0] not in self.lists.subordinators or self.words[1] not in _SUBJECTS


@dataclass(frozen=True, slots=True)
class Rule:
    """`weight` in log odds when `holds` is true."""

    name: str
    weight: float
    why: str
    holds: Callable[[Evidence], bool]


def _listed(evidence: Evidence, lists: str) -> bool:
    return evidence.lists is not None and evidence.last in getattr(evidence.lists, lists)


def _stranded(evidence: Evidence) -> bool:
    return evidence.asks and _listed(evidence, "stranded")


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
        or (_listed(evidence, "holding") and not _stranded(evidence))
        or _open_ended(evidence)
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


def _sounds(test: Callable[[Ending], bool]) -> Callable[[Evidence], bool]:
    return lambda evidence: evidence.sound is not None and evidence.sound.voiced_ms >= 120 and test(evidence.sound)


RULES: Final[tuple[Rule, ...]] = (
    # Words that end a turn.
    Rule("answer or greeting", 2.2, "a whole turn by itself (Schegloff & Sacks 1973: adjacency pairs)", _whole_turn),
    Rule("question mark", 2.0, "the recogniser heard a question, and questions hand the turn over (Sacks et al. 1974)",
         lambda e: e.mark == "?" and not _goes_on(e)),
    Rule("question", 1.5, "begins like a question and ends like one",
         lambda e: e.asks and e.mark != "?" and not _goes_on(e) and (not _listed(e, "leaning") or _stranded(e))),
    Rule("full stop", 0.5, "recognisers set one by the words and the fall of the voice; they also set it too often",
         lambda e: e.mark == "." and not _goes_on(e)),
    Rule("complete clause", 0.7, "three words or more and nothing open at their end (Ford & Thompson 1996)",
         lambda e: len(e.words) >= 3 and not _goes_on(e) and not _listed(e, "leaning") and e.mark not in ",-…"),
    # Words that hold it.
    Rule("hesitation", -3.0, "um and uh announce a delay and a wish to go on (Clark & Fox Tree 2002)",
         lambda e: _listed(e, "hesitations") and not _whole_turn(e)),
    Rule("unfinished clause", -2.6, "an article, conjunction or preposition has something after it",
         lambda e: _listed(e, "holding") and not _stranded(e) and not _whole_turn(e)),
    Rule("open phrase", -2.2, "\"I would like\" asks for its complement (Ford & Thompson 1996)",
         lambda e: _open_ended(e) and not _listed(e, "holding") and not _whole_turn(e)),
    Rule("leaning word", -1.1, "an auxiliary or determiner usually has something after it",
         lambda e: _listed(e, "leaning") and not _stranded(e) and not _whole_turn(e) and not _open_ended(e)),
    Rule("comma or dash", -1.5, "the recogniser expects more", lambda e: e.mark in (",", "-", "…", ":")),
    Rule("digits being dictated", -1.7, "numbers are dictated in groups with pauses between them",
         lambda e: 0 < _dictated_digits(e) < 7),
    Rule("a long number", -0.6, "it may be whole", lambda e: _dictated_digits(e) >= 7),
    Rule("subordinate clause alone", -1.2, "\"if it rains\" projects a main clause (Lerner 1991: compound turn units)",
         lambda e: _subordinate_only(e)),
    Rule("one word", -0.5, "rarely a turn, unless it is an answer",
         lambda e: len(e.words) == 1 and not _whole_turn(e) and not _goes_on(e)),
    # Sounds.
    Rule("falling pitch", 0.8, "a fall to the bottom of the voice ends a turn (Duncan 1972; Gravano & Hirschberg 2011)",
         _sounds(lambda s: s.slope_st <= -1.5 and s.height_st <= -1.0)),
    Rule("high rise", 0.5, "a steep rise asks (Gravano & Hirschberg 2011); without a question's words it may as well go on",
         lambda e: (e.asks or e.mark == "?") and e.sound is not None and e.sound.slope_st >= 3.0 and e.sound.height_st > 0),
    Rule("level pitch", -0.7, "a sustained tone keeps the turn (Duncan 1972; Gravano & Hirschberg 2011)",
         _sounds(lambda s: abs(s.slope_st) < 0.8 and s.height_st > -1.0)),
    Rule("slight rise", -0.5, "a continuation rise (Selting 1996)", _sounds(lambda s: 0.8 <= s.slope_st < 3.0)),
    Rule("fading", 0.4, "turns end quieter than they went on (Gravano & Hirschberg 2011)", _sounds(lambda s: s.drop_db >= 6)),
    Rule("still loud", -0.3, "no fading", _sounds(lambda s: s.drop_db < 1)),
    Rule("drawn out", -0.8, "a long steady last syllable is a filled pause (Local & Kelly 1986)",
         _sounds(lambda s: s.drawn_ms >= 350)),
)  # fmt: skip


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
        )

    async def open(self) -> None:
        await self.judge(PauseContext("", _WARM_UP))

    async def close(self) -> None:
        return None

    async def judge(self, pause: PauseContext) -> float:
        return probability(weigh(pause))


def probability(weights: list[Rule]) -> float:
    """The rules that hold, as the probability that the turn is over."""
    return 1 / (1 + math.exp(-BASE - sum(rule.weight for rule in weights)))


def weigh(pause: PauseContext) -> list[Rule]:
    """The rules that hold for a pause: for tests, and for whoever asks why."""
    evidence = _evidence(pause)
    return [rule for rule in RULES if rule.holds(evidence)]


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
    """The lists of the language; without one, of the language whose small words the text has most of. None: no lists for it."""
    tag = language.lower().partition("-")[0]
    if tag:
        return LANGUAGES.get(tag)
    words = _TOKEN.findall(text)
    if words and not any(word[0] < "\u0250" for word in words):
        return None

    phrase = " ".join(words)

    def hits(lists: TurnWords) -> int:
        whole = phrase in lists.answers or phrase in lists.greetings
        return 2 * whole + sum(
            word in lists.holding or word in lists.leaning or word in lists.questions for word in words
        )

    best = max(LANGUAGES.values(), key=hits)
    return best if hits(best) > hits(ENGLISH) else ENGLISH
