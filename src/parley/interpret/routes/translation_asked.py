"""One request for a translation, from the sentences it covers to the verdict on what came. Pure; times are the caller's."""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.engines.mt.drift import DOUBTS, Drift
from parley.interpret.routes.response_output import SOURCE_WAIT_S, ResponseOutput
from parley.interpret.routes.sentences import SpokenSentence


@dataclass(slots=True, eq=False)
class TranslationAsked:
    """Sentences and the responses that are to translate them, one after the other.

    `in_progress`: a response was asked for and has not ended; `ended_s`: it has ended well and its verdict is due. `strict`: an output
    drifted before. `failures`, `limited` and `busy` count why another response was needed. `unwanted` says why the rest of the response
    in progress is not played; `wordless`: because nothing was said.
    """

    sentences: tuple[SpokenSentence, ...]
    strict: bool = False
    failures: int = 0
    limited: int = 0
    busy: int = 0
    not_before_s: float = 0.0
    in_progress: bool = False
    ended_s: float | None = None
    touched_s: float = 0.0
    event_id: str = ""
    response_id: str = ""
    output: ResponseOutput | None = None
    output_items: list[str] = field(default_factory=list)
    unwanted: Drift | None = None
    wordless: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """What the server is to repeat: the numbers of the sentences, and which attempt this is, from 1 on."""
        first, last = self.sentences[0].number, self.sentences[-1].number
        attempt = 1 + self.failures + self.limited + self.busy + self.strict
        return str(first) if first == last else f"{first}-{last}", str(attempt)

    @property
    def until_ms(self) -> float:
        return self.sentences[-1].end_ms

    @property
    def heard(self) -> bool:
        """No more words of its source come."""
        return all(sentence.heard for sentence in self.sentences)

    @property
    def source(self) -> str | None:
        """What was said; None: not all of it is known."""
        words = [sentence.source for sentence in self.sentences if sentence.heard]
        if len(words) < len(self.sentences) or None in words:
            return None
        return " ".join(word for word in words if word)

    @property
    def said_nothing(self) -> bool:
        return all(sentence.wordless for sentence in self.sentences)

    def begin(self, event_id: str, output: ResponseOutput, now_s: float) -> None:
        """A response is asked for."""
        self.in_progress, self.ended_s, self.touched_s = True, None, now_s
        self.event_id, self.response_id, self.output = event_id, "", output
        self.unwanted, self.wordless = None, False

    def again(self, not_before_s: float = 0.0) -> None:
        """The response is over; another one is needed."""
        self.in_progress, self.ended_s, self.output = False, None, None
        self.not_before_s = not_before_s

    def verdict_at(self) -> float | None:
        """When the ended response is judged without its source at the latest."""
        return None if self.ended_s is None else self.ended_s + SOURCE_WAIT_S

    def verdict(self) -> Drift | None:
        """What is wrong with the whole output. A doubt does not stand against a second output, nor against what was played."""
        assert self.output is not None
        drift = self.unwanted or self.output.whole_drift(self.source)
        if drift is not None and drift.kind in DOUBTS and (self.strict or self.output.released):
            return None
        return drift
