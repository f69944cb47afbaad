"""Every attempt at a reply: when it was started, what it generated, which response it became, how it ended.

Laws kept here: 8 (each generation started ends in exactly one of finished, failed, cancelled), 4 and 5 (a held attempt lives only in a
pause, tells and plays nothing), and that a response tells exactly what its own attempt generated: nothing of a dead one, nothing twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from parley.core.words.effects import CancelGeneration, StartGeneration
from parley.core.words.events import (
    ClauseStarted,
    GenerationFailed,
    GenerationFinished,
    SpeechGenerated,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
    VoiceScored,
)
from parley.core.words.ids import AttemptId, ResponseId
from parley.core.words.notices import (
    InputCommitted,
    ResponseCreated,
    ResponseDone,
)
from parley.core.words.settings import ServerVad
from parley.testing.rules.base import Hearing, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.response_lifecycle import Ledgers


class ChangeCount(Protocol):
    """What attempts need to know of the conversation: how often it has changed."""

    changes: int


class End(Enum):
    """How an attempt ended."""

    NOT_YET = auto()
    FINISHED = auto()
    FAILED = auto()
    CANCELLED = auto()


@dataclass(slots=True)
class ClauseRecord:
    """A clause and its audio: `start` and `samples` within the attempt's audio, `words` from text end to audio end."""

    text: str
    start: int
    samples: int = 0
    words: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    call_id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class StartedAttempt:
    """One StartGeneration and all it has yielded while it lived."""

    started: StartGeneration
    changes: int
    settings_version: int
    response: ResponseId | None = None
    end: End = End.NOT_YET
    reason: str = ""
    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    clauses: list[ClauseRecord] = field(default_factory=list)
    calls: dict[int, Call] = field(default_factory=dict)
    told_chars: int = 0
    told_bytes: int = 0
    stale: bool = False
    """Held and finished, and nothing could make it right any more."""
    resumed: tuple[StartedAttempt, int] | None = None
    """The attempt whose unheard rest this is, and the sample it goes on from."""

    @property
    def id(self) -> AttemptId:
        return self.started.attempt

    @property
    def alive(self) -> bool:
        return self.end is End.NOT_YET

    @property
    def samples(self) -> int:
        return self.started.format.samples(len(self.audio))


class AttemptLifecycle(Rule):
    """8: each generation started ends once, and which response each attempt speaks for."""

    law = "8"

    def __init__(self, ledgers: Ledgers, arrived: Arrived, changes: ChangeCount) -> None:
        self.by_id: dict[AttemptId, StartedAttempt] = {}
        self.of_response: dict[ResponseId, StartedAttempt] = {}
        self.released: list[tuple[StartedAttempt, int]] = []
        """Held attempts that this step released, with the count of conversation changes at that moment."""
        self.linked: list[StartedAttempt] = []
        """Attempts whose response became known in this step."""
        self._ledgers = ledgers
        self._arrived = arrived
        self._changes = changes
        self.seen: Counter[str] = Counter()
        self._awaiting: list[ResponseId] = []
        self._coming: list[AttemptId] = []
        self._committing = False
        self._created_now: ResponseId | None = None
        self._fresh: list[StartedAttempt] = []
        """Attempts of no response, that may still get one."""

    @property
    def held(self) -> list[StartedAttempt]:
        """Attempts that run and belong to no response."""
        return [attempt for attempt in self._fresh if attempt.alive]

    def before(self, step: Step) -> None:
        self.released.clear()
        self.linked.clear()
        self._committing = False
        self._created_now = None
        self._coming = [effect.attempt for effect in step.effects if isinstance(effect, StartGeneration)]

    def sees(self) -> Hearing:
        return {
            TextGenerated: self._text,
            ClauseStarted: self._clause,
            SpeechGenerated: self._speech,
            ToolCallStarted: self._call,
            ToolArgumentsGenerated: self._arguments,
            GenerationFinished: self._finished,
            GenerationFailed: self._failed,
            VoiceScored: self._scored,
        }

    def hears(self) -> Hearing:
        return {
            StartGeneration: self._start,
            CancelGeneration: self._cancel,
            InputCommitted: self._committed,
            ResponseCreated: self._created,
            ResponseDone: self._done,
        }

    def finish(self, quiet: bool) -> None:
        running = [attempt.id for attempt in self.by_id.values() if attempt.alive]
        self.require(not running, f"attempts {running} never ended")

    # --- what it yields

    def living(self, attempt: AttemptId) -> StartedAttempt | None:
        known = self.by_id.get(attempt)
        return known if known is not None and known.alive else None

    def _text(self, event: TextGenerated) -> None:
        if attempt := self.living(event.attempt):
            attempt.text += event.text

    def _clause(self, event: ClauseStarted) -> None:
        if attempt := self.living(event.attempt):
            attempt.text += event.text
            attempt.clauses.append(ClauseRecord(event.text, attempt.samples))

    def _speech(self, event: SpeechGenerated) -> None:
        if (attempt := self.living(event.attempt)) and attempt.clauses:
            attempt.audio += event.audio
            clause = attempt.clauses[-1]
            clause.samples = attempt.samples - clause.start
            clause.words.update((word.text_end, word.end_sample) for word in event.words)

    def _call(self, event: ToolCallStarted) -> None:
        if attempt := self.living(event.attempt):
            attempt.calls[event.index] = Call(event.call_id, event.name)

    def _arguments(self, event: ToolArgumentsGenerated) -> None:
        if (attempt := self.living(event.attempt)) and event.index in attempt.calls:
            attempt.calls[event.index].arguments += event.arguments

    def _finished(self, event: GenerationFinished) -> None:
        if attempt := self.living(event.attempt):
            attempt.end = End.FINISHED
            attempt.reason = event.reason

    def _failed(self, event: GenerationFailed) -> None:
        if attempt := self.living(event.attempt):
            attempt.end = End.FAILED

    def _scored(self, event: VoiceScored) -> None:
        if self._fresh and event.probability >= voice_threshold(self._arrived):
            self._spoil()

    def _spoil(self) -> None:
        """Guesses that had finished are no longer right."""
        for attempt in self._fresh:
            attempt.stale = attempt.end is End.FINISHED
        self._fresh = [attempt for attempt in self._fresh if attempt.alive]

    # --- whose it is

    def _start(self, effect: StartGeneration) -> None:
        self.require(effect.attempt not in self.by_id, f"attempt {effect.attempt} is started twice")
        attempt = StartedAttempt(effect, self._changes.changes, self._arrived.settings.version)
        self.by_id[effect.attempt] = attempt
        if effect.attempt in self._coming:
            self._coming.remove(effect.attempt)
            response = self._waiting_for(effect)
            if response is not None:
                self._awaiting.remove(response)
                self._link(attempt, response)
                return
        self._fresh.append(attempt)
        self.seen["guesses"] += 1

    def _waiting_for(self, effect: StartGeneration) -> ResponseId | None:
        """The response this generation is for: the one just created, else the oldest that waits and asks for the like."""
        if self._created_now in self._awaiting:
            return self._created_now
        for response in self._awaiting:
            view = self._ledgers.by_id[response].created
            if (view.modality, view.voice, view.output_format) == (effect.modality, effect.voice, effect.format):
                return response
        return None

    def _cancel(self, effect: CancelGeneration) -> None:
        attempt = self.by_id.get(effect.attempt)
        if attempt is None:
            self.fail(f"attempt {effect.attempt} is cancelled, it was never started")
        self.require(attempt.alive, f"attempt {effect.attempt} is cancelled, it had already ended ({attempt.end.name})")
        attempt.end = End.CANCELLED

    def _committed(self, told: InputCommitted) -> None:
        self._committing = True

    def _created(self, told: ResponseCreated) -> None:
        response = told.response.id
        self._created_now = response
        candidates = [attempt for attempt in self._fresh if attempt.end in (End.NOT_YET, End.FINISHED)]
        guessed = self._committing and self._ledgers.by_id[response].in_conversation
        if self._coming or not guessed or not candidates:
            self._awaiting.append(response)
            return
        attempt = candidates[-1]
        self.seen["guesses released"] += 1
        self.released.append((attempt, self._changes.changes))
        self._link(attempt, response)

    def resume(self, attempt: StartedAttempt, response: ResponseId) -> None:
        """`response` goes on with what `attempt` had left."""
        self.seen["replies resumed"] += 1
        if response in self._awaiting:
            self._awaiting.remove(response)
        self._link(attempt, response)

    def _link(self, attempt: StartedAttempt, response: ResponseId) -> None:
        attempt.response = response
        self.of_response[response] = attempt
        self.linked.append(attempt)
        if attempt in self._fresh:
            self._fresh.remove(attempt)

    def _done(self, told: ResponseDone) -> None:
        if told.response.id in self._awaiting:
            self._awaiting.remove(told.response.id)

    def after(self, step: Step) -> None:
        if self._committing:
            self._spoil()
        for response, attempt in list(self.of_response.items()):
            ledger = self._ledgers.by_id[response]
            if ledger.done is not None:
                self.require(not attempt.alive, f"response {response} is over, its generation {attempt.id} still runs")
                del self.of_response[response]


def voice_threshold(arrived: Arrived) -> float:
    """The probability from which a frame counts as voice."""
    detection = arrived.settings.turn_detection
    return detection.threshold if isinstance(detection, ServerVad) else 0.5
