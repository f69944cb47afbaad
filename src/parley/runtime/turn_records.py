"""What the account of a session's turns holds, and the changes of it that its renderings follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from parley.core.words.events import Transcribed
from parley.core.words.ids import AttemptId, ItemId, ResponseId, TurnId
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.notices import ResponseView
from parley.core.words.settings import AudioFormat

TURNS_KEPT = 32
"""Turns that a server keeps of a session: more than a screen shows, some 10 KiB."""

VOICED = 0.5
"""The probability from which a frame counts as voice in the account, whatever the session's own threshold."""

Ending = Literal["voice", "commit", "request"]
"""What ended the user's turn: the detector of turns, the client's commit, or a request for a response to nothing that was said."""


@dataclass(slots=True)
class AttemptRecord:
    """One attempt at a reply. Times are ns; None: it has not happened. `response` None: it is held."""

    id: AttemptId
    format: AudioFormat
    requested_ns: int
    speculative: bool
    response: ResponseId | None = None
    first_token_ns: int | None = None
    first_text_ns: int | None = None
    first_audio_ns: int | None = None
    over: bool = False


@dataclass(slots=True)
class ReplyRecord:
    """One response in the conversation. `sent_ns` is when its first audio went out, `first_words_ns` its first words.

    `speculations_lost` counts the speculative attempts that were dropped before it began.
    """

    response: ResponseId
    began_ns: int
    attempt: AttemptRecord | None = None
    speculations_lost: int = 0
    first_words_ns: int | None = None
    sent_ns: int | None = None
    done_ns: int | None = None
    interrupted: bool = False
    items: list[ItemId] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    @property
    def won(self) -> bool:
        """Whether it was begun in a pause, by a speculative attempt."""
        return self.attempt is not None and self.attempt.speculative


@dataclass(slots=True)
class TurnRecord:
    """One turn of the user and its replies; a reply that goes on from tool calls belongs to the turn of the reply that made them.

    Positions are 24 kHz samples of the session's input; `voice_end_sample` None: no voice was scored in it. `transcript` is what was
    said or typed. `pause_ms` is the silence in which the end was recognised.
    """

    number: int
    ending: Ending | None = None
    item: ItemId | None = None
    turn: TurnId | None = None
    start_sample: int = 0
    end_sample: int = 0
    voice_end_sample: int | None = None
    turn_end_ms: float | None = None
    ended_ns: int = 0
    transcript: str = ""
    transcript_ns: int | None = None
    recognised: Transcribed | None = None
    fault: tuple[str, str] | None = None
    """Code and message, where the recogniser failed."""
    replies: list[ReplyRecord] = field(default_factory=list)
    played: bool = False

    @property
    def pause_ms(self) -> float | None:
        if self.voice_end_sample is None:
            return None
        return max(0.0, (self.end_sample - self.voice_end_sample) / SAMPLES_PER_MS)

    @property
    def interrupted(self) -> bool:
        return any(reply.interrupted for reply in self.replies)


@dataclass(frozen=True, slots=True)
class TurnStarted:
    turn: TurnRecord


@dataclass(frozen=True, slots=True)
class WordsHeard:
    """The words so far of the turn that is being spoken."""

    turn: TurnRecord
    text: str


@dataclass(frozen=True, slots=True)
class TurnStopped:
    turn: TurnRecord


@dataclass(frozen=True, slots=True)
class TurnTranscribed:
    """Its words are known; or, with `turn.fault`, they never will be."""

    turn: TurnRecord


@dataclass(frozen=True, slots=True)
class AttemptWritten:
    """The attempt's first text, or its first tool call."""

    attempt: AttemptRecord


@dataclass(frozen=True, slots=True)
class AttemptSpoken:
    """The attempt's first audio."""

    attempt: AttemptRecord


@dataclass(frozen=True, slots=True)
class SpeculationEnded:
    attempt: AttemptRecord
    won: bool


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    turn: TurnRecord
    reply: ReplyRecord


@dataclass(frozen=True, slots=True)
class ReplyWritten:
    """More words of the reply were sent."""

    turn: TurnRecord
    reply: ReplyRecord
    text: str


@dataclass(frozen=True, slots=True)
class ReplySent:
    """The first audio of the reply was sent."""

    turn: TurnRecord
    reply: ReplyRecord


@dataclass(frozen=True, slots=True)
class ReplyPlayed:
    """Where the server holds the playback: the first audio that answers the turn has gone out to the listener."""

    turn: TurnRecord


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """A response of the turn is over; where the server holds the playback, its audio may still be playing."""

    turn: TurnRecord
    reply: ReplyRecord
    response: ResponseView


@dataclass(frozen=True, slots=True)
class TurnAnswered:
    """All replies of the turn are made, and heard where the server holds the playback."""

    turn: TurnRecord


TurnChange = (
    TurnStarted
    | WordsHeard
    | TurnStopped
    | TurnTranscribed
    | AttemptWritten
    | AttemptSpoken
    | SpeculationEnded
    | ReplyStarted
    | ReplyWritten
    | ReplySent
    | ReplyPlayed
    | ReplyDone
    | TurnAnswered
)
