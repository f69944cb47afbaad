"""Every attempt at a reply: when it was started, what it generated, which response it became, how it ended.

Law kept here: 8 (each generation started ends in exactly one of finished, failed, cancelled). This is also the model that the rules
about speculation (4 and 5), provenance (6) and prompts (9) read.
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
from parley.core.words.work import Utterance
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.response_lifecycle import ResponseLifecycle


class ChangeCount(Protocol):
    """What attempts read of the conversation: the number of its changes."""

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
    """One StartGeneration and everything it generated before it ended."""

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
    sent_chars: int = 0
    sent_bytes: int = 0
    stale: bool = False
    """Held and finished, and can no longer be released."""
    resumed: tuple[StartedAttempt, int] | None = None
    """The attempt that this one continues, and the sample from which it continues."""

    @property
    def id(self) -> AttemptId:
        return self.started.attempt

    @property
    def alive(self) -> bool:
        return self.end is End.NOT_YET

    @property
    def filler(self) -> bool:
        """Whether it says something while a reply is awaited."""
        return is_filler(self.started)

    @property
    def samples(self) -> int:
        return self.started.format.samples(len(self.audio))


def is_filler(effect: StartGeneration) -> bool:
    """Whether this work says something while a reply is awaited."""
    return effect.response is None and isinstance(effect.work, Utterance)


class AttemptLifecycle(Rule):
    """8: each generation started ends once. Also records which response each attempt belongs to."""

    law = "8"

    def __init__(self, responses: ResponseLifecycle, arrived: Arrived, changes: ChangeCount) -> None:
        self.by_id: dict[AttemptId, StartedAttempt] = {}
        self.of_response: dict[ResponseId, StartedAttempt] = {}
        self.released: list[tuple[StartedAttempt, int]] = []
        """Held attempts that this step released, each with the number of conversation changes at that moment."""
        self.linked: list[StartedAttempt] = []
        """Attempts whose response became known in this step."""
        self._responses = responses
        self._arrived = arrived
        self._changes = changes
        self.seen: Counter[str] = Counter()
        self._awaiting: list[ResponseId] = []
        self._coming: list[AttemptId] = []
        self._committing = False
        self._created_now: ResponseId | None = None
        self._fresh: list[StartedAttempt] = []
        """Attempts without a response that may still get one."""
        self._fillers: list[StartedAttempt] = []
        """The filler that was begun last."""

    @property
    def held(self) -> list[StartedAttempt]:
        """Running attempts without a response."""
        return [attempt for attempt in self._fresh if attempt.alive]

    def before(self, step: Step) -> None:
        self.released.clear()
        self.linked.clear()
        self._committing = False
        self._created_now = None
        started = (effect for effect in step.effects if isinstance(effect, StartGeneration))
        self._coming = [effect.attempt for effect in started if not is_filler(effect)]

    def event_handlers(self) -> Handlers:
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

    def effect_handlers(self) -> Handlers:
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

    # --- what it generates

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
            self._mark_stale()

    def _mark_stale(self) -> None:
        """Held attempts that have finished can no longer be released."""
        for attempt in self._fresh:
            attempt.stale = attempt.end is End.FINISHED
        self._fresh = [attempt for attempt in self._fresh if attempt.alive]

    # --- which response it belongs to

    def _start(self, effect: StartGeneration) -> None:
        self.require(effect.attempt not in self.by_id, f"attempt {effect.attempt} is started twice")
        attempt = StartedAttempt(effect, self._changes.changes, self._arrived.settings.version)
        self.by_id[effect.attempt] = attempt
        if attempt.filler:
            running = [one.id for one in self._fillers if one.alive]
            self.require(not running, f"the filler {attempt.id} is begun beside {running}", "filler")
            self._fillers = [attempt]
            return
        if effect.attempt in self._coming:
            self._coming.remove(effect.attempt)
            response = self._response_for(effect)
            if response is not None:
                self._awaiting.remove(response)
                self._link(attempt, response)
                return
        self._fresh.append(attempt)
        self.seen["speculative attempts"] += 1

    def _response_for(self, effect: StartGeneration) -> ResponseId | None:
        """The response of this generation: the one just created, else the oldest waiting one with the same modality, voice, format."""
        if self._created_now in self._awaiting:
            return self._created_now
        for response in self._awaiting:
            view = self._responses.by_id[response].created
            if (view.modality, view.voice, view.output_format) == (effect.modality, effect.voice, effect.format):
                return response
        return None

    def _cancel(self, effect: CancelGeneration) -> None:
        attempt = self.by_id.get(effect.attempt)
        if attempt is None:
            self.fail(f"attempt {effect.attempt} was cancelled and never started")
        self.require(
            attempt.alive, f"attempt {effect.attempt} was cancelled and had already ended ({attempt.end.name})"
        )
        attempt.end = End.CANCELLED

    def _committed(self, notice: InputCommitted) -> None:
        self._committing = True

    def _created(self, notice: ResponseCreated) -> None:
        response = notice.response.id
        if self._responses.by_id[response].filler:
            self.require(
                bool(self._fillers) and self._fillers[0].end is End.FINISHED and self._fillers[0].response is None,
                f"response {response} is a filler that was not made",
                "filler",
            )
            self.seen["fillers heard"] += 1
            self._link(self._fillers[0], response)
            return
        self._created_now = response
        candidates = [attempt for attempt in self._fresh if attempt.end in (End.NOT_YET, End.FINISHED)]
        speculative = self._committing and self._responses.by_id[response].in_conversation
        if self._coming or not speculative or not candidates:
            self._awaiting.append(response)
            return
        attempt = candidates[-1]
        self.seen["speculative attempts answering a turn"] += 1
        self.released.append((attempt, self._changes.changes))
        self._link(attempt, response)

    def resume(self, attempt: StartedAttempt, response: ResponseId) -> None:
        """`response` continues with the unheard rest, `attempt`."""
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

    def _done(self, notice: ResponseDone) -> None:
        if notice.response.id in self._awaiting:
            self._awaiting.remove(notice.response.id)

    def after(self, step: Step) -> None:
        if self._committing:
            self._mark_stale()
        for response, attempt in list(self.of_response.items()):
            record = self._responses.by_id[response]
            if record.done is not None:
                self.require(
                    not attempt.alive, f"response {response} is done, and its generation {attempt.id} still runs"
                )
                del self.of_response[response]


def voice_threshold(arrived: Arrived) -> float:
    """The probability from which a frame counts as voice."""
    detection = arrived.settings.turn_detection
    return detection.threshold if isinstance(detection, ServerVad) else 0.5
