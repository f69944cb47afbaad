"""Attempts at the work of a response: released ones feed their response, one may be held until the turn confirms or drops it.

Laws: a held attempt's output is kept here, within a limit, and not sent or played; a held attempt has a basis, and is released
only if the whole basis still holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from parley.core.regions.context import Shown
from parley.core.regions.entry import Entry
from parley.core.regions.response import Response
from parley.core.regions.tool_offer import OfferedTool
from parley.core.words.events import GenerationEvent, GenerationFailed, GenerationFinished, SpeechGenerated
from parley.core.words.ids import AttemptId
from parley.core.words.items import Message
from parley.core.words.limits import GENERATION_SILENCE_NS, MAX_HELD_BYTES
from parley.core.words.work import (
    AS_THE_SESSION,
    HeardTurn,
    OriginalSpeech,
    ResponseParams,
    Translation,
    Utterance,
    Work,
)

_EVENT_BYTES = 256
"""What an event without audio counts as."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a response will be generated from, once the transcripts it needs are there. `entries` None: the conversation.

    `given`: work that needs no prompt; None: the language model replies.
    """

    params: ResponseParams = AS_THE_SESSION
    entries: tuple[Entry, ...] | None = None
    hint: Message | None = None
    given: Translation | Utterance | OriginalSpeech | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """What a speculative attempt rests on: it may be released only if all three still hold when the turn is over."""

    transcript: str
    settings_version: int
    conversation_version: int


@dataclass(slots=True)
class Attempt:
    """Running work. `response` is None while it is held; `shown` is what its prompt has of the items, `input_tokens` and
    `input_audio_ms` are the estimated size of its input; `offered` are the tools that the session calls itself, by the names that the
    model knows them by."""

    id: AttemptId
    work: Work
    shown: Shown
    input_tokens: int
    input_audio_ms: int
    progress_ns: int
    plan: Plan
    offered: Mapping[str, OfferedTool]
    heard: tuple[HeardTurn, ...] = ()
    """What a conversational synthesizer is given."""
    response: Response | None = None
    queued_ns: int = 0
    """When its work was decided; 0: at once."""
    speed: float = 1.0
    """How much faster than usual it is spoken."""
    began_ns: int | None = None
    """When its first audio came."""
    ended: bool = False

    def progress(self, now: int) -> None:
        """Record progress."""
        self.progress_ns = now

    def silent(self, now: int) -> bool:
        """Whether it has produced nothing for too long."""
        return not self.ended and now - self.progress_ns >= GENERATION_SILENCE_NS

    def begin(self, now: int) -> None:
        """Record its first audio."""
        if self.began_ns is None:
            self.began_ns = now

    def hurry(self, queued_ns: int, speed: float) -> None:
        """Record since when its work waits, and how much faster it is spoken."""
        self.queued_ns, self.speed = queued_ns, speed

    def end(self) -> None:
        self.ended = True

    def feed(self, response: Response, turn_ms: int = 0) -> None:
        """Feed its output to this response from now on; `turn_ms` of user audio came in addition to its prompt."""
        self.response = response
        self.input_audio_ms += turn_ms


@dataclass(slots=True)
class Held:
    """The speculative attempt of a pause, and its output so far."""

    attempt: Attempt
    basis: Basis
    output: list[GenerationEvent] = field(default_factory=list)
    bytes: int = 0
    failed: bool = False

    def hold(self, event: GenerationEvent) -> None:
        """Keep an event until the attempt is released or dropped."""
        self.output.append(event)
        self.bytes += len(event.audio) if isinstance(event, SpeechGenerated) else _EVENT_BYTES
        self.failed = self.failed or isinstance(event, GenerationFailed)

    @property
    def too_large(self) -> bool:
        return self.bytes > MAX_HELD_BYTES


class Attempts:
    """Every running attempt, and the held one."""

    def __init__(self) -> None:
        self.alive: dict[AttemptId, Attempt] = {}
        """By their ids; only this region changes it."""
        self.held: Held | None = None

    def __iter__(self) -> Iterator[Attempt]:
        return iter(tuple(self.alive.values()))

    def __contains__(self, attempt_id: object) -> bool:
        return attempt_id in self.alive

    def get(self, attempt_id: AttemptId) -> Attempt | None:
        return self.alive.get(attempt_id)

    def add(self, attempt: Attempt) -> None:
        self.alive[attempt.id] = attempt

    def hold(self, attempt: Attempt, basis: Basis) -> None:
        """Hold the attempt: its output waits for the end of the turn."""
        self.held = Held(attempt, basis)

    def take_held(self) -> Held | None:
        """Take the held attempt out, to release or drop it."""
        held, self.held = self.held, None
        return held

    def progressed(self, attempt_id: AttemptId, now: int) -> Attempt | None:
        """Record progress of an attempt and return it; None if it has ended."""
        attempt = self.alive.get(attempt_id)
        if attempt is None or attempt.ended:
            return None
        attempt.progress(now)
        return attempt

    def generated(self, event: GenerationEvent, now: int) -> Attempt | None:
        """As `progressed`, for an event that may be the attempt's last."""
        attempt = self.progressed(event.attempt, now)
        if attempt is not None and isinstance(event, GenerationFinished | GenerationFailed):
            attempt.end()
        return attempt

    def forget(self, attempt_id: AttemptId) -> bool:
        """Forget the attempt. True if it still runs and must be cancelled."""
        attempt = self.alive.pop(attempt_id, None)
        return attempt is not None and not attempt.ended

    def running(self) -> list[AttemptId]:
        """Those whose outcome has not arrived."""
        return [attempt.id for attempt in self.alive.values() if not attempt.ended]

    def deadline_ns(self) -> int | None:
        """When the slowest attempt times out."""
        if not self.alive:
            return None
        slowest = min((attempt.progress_ns for attempt in self.alive.values() if not attempt.ended), default=None)
        return None if slowest is None else slowest + GENERATION_SILENCE_NS

    def clear(self) -> None:
        self.alive.clear()
        self.held = None
