"""Committed turns with a pending transcript."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from parley.core.regions.entry import Entry
from parley.core.regions.turn_taking import UserTurn
from parley.core.words.ids import FlushId, TurnId


@dataclass(frozen=True, slots=True)
class HeldTranscript:
    """The words of a turn, in `language` (BCP 47, "" unknown); `logprobs` is JSON text."""

    text: str
    logprobs: str
    language: str


@dataclass(slots=True)
class Pending:
    """A committed turn. `flush`: the answer to it will do as the turn's words, because nothing was said after it was asked for.
    `silent_prompt`: it has no speech, and the reply prompts the user."""

    turn: UserTurn
    entry: Entry
    samples: int
    deadline_ns: int
    wants_reply: bool
    flush: FlushId | None = None
    silent_prompt: bool = False
    held: HeldTranscript | None = None
    """Its words, where they came before those of an older turn."""

    def hold(self, transcript: HeldTranscript) -> None:
        """Keep its words until the older turns have theirs."""
        self.held = transcript

    def answered_by(self, flush: FlushId) -> None:
        self.flush = flush


class PendingTurns:
    """The region, oldest turn first."""

    def __init__(self) -> None:
        self.turns: dict[TurnId, Pending] = {}
        """By their ids; only this region changes it."""

    def __iter__(self) -> Iterator[Pending]:
        return iter(tuple(self.turns.values()))

    def get(self, turn_id: TurnId) -> Pending | None:
        return self.turns.get(turn_id)

    def add(self, pending: Pending) -> None:
        self.turns[pending.turn.id] = pending

    def remove(self, turn_id: TurnId) -> None:
        del self.turns[turn_id]

    @property
    def oldest(self) -> Pending:
        return next(iter(self.turns.values()))

    @property
    def samples(self) -> int:
        """Audio (24 kHz samples) that waits for its words."""
        return sum(pending.samples for pending in self.turns.values())

    @property
    def reply_follows(self) -> bool:
        """Whether any of them wants a reply once its words are known."""
        return any(pending.wants_reply for pending in self.turns.values())

    def answered_by_reply(self) -> None:
        """A reply that waits for all of them has begun: no other follows."""
        for pending in self.turns.values():
            pending.wants_reply = pending.silent_prompt = False

    def deadline_ns(self) -> int | None:
        if not self.turns:
            return None
        return min((pending.deadline_ns for pending in self.turns.values() if pending.held is None), default=None)

    def clear(self) -> None:
        self.turns.clear()
