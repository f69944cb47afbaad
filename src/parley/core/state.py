"""All that a session remembers, in one place.

Laws: one mutable owner, `Session`; the rooms that decide (`hearing`, `replying`, `requests`) share this and nothing
else. Regions (`input`, `turns`, `playback`, `conversation`, a `Response`) do not know each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.core.allowance import Allowance
from parley.core.conversation import Conversation, Entry
from parley.core.effects import Effect, Tell
from parley.core.events import ResponseParams
from parley.core.generation import Attempt
from parley.core.ids import AttemptId, FlushId, ItemId, Minter, ResponseId, SessionId, TurnId
from parley.core.input_audio import InputAudio
from parley.core.items import Message
from parley.core.notices import Notice
from parley.core.playback import Playback
from parley.core.policy import Policy
from parley.core.response import Response
from parley.core.rules import Rules
from parley.core.settings import Capabilities, Conduct, Settings
from parley.core.turn_taking import Turn, TurnTaking


@dataclass(slots=True)
class Pending:
    """A committed turn whose transcript is still to come. `flush`: its answer will do, nothing was said after it
    was asked for."""

    turn: Turn
    entry: Entry
    samples: int
    deadline_ns: int
    wants_reply: bool
    flush: FlushId | None = None
    silent_prompt: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a response will be generated from, once the transcripts it needs are there. `entries` None: the conversation."""

    params: ResponseParams
    entries: tuple[Entry, ...] | None
    hint: Message | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The reply that this turn has cut: should the turn prove to be nothing, it may go on.

    `item` None: nothing of it had been heard yet; `whole`: all of it had been made.
    """

    turn: TurnId
    item: ItemId | None
    whole: bool


@dataclass(frozen=True, slots=True)
class Idle:
    """Nobody has spoken since `since_ns`, when the input stood at `since_sample`."""

    since_ns: int
    since_sample: int


@dataclass(slots=True)
class State:
    """The regions. `now` is the time of the event being handled; `out` the effects it has caused so far."""

    session_id: SessionId
    settings: Settings
    conduct: Conduct
    capabilities: Capabilities
    policy: Policy
    ids: Minter
    paced: bool
    started_ns: int
    input: InputAudio
    turns: TurnTaking
    playback: Playback
    conversation: Conversation
    allowance: Allowance
    now: int
    custom_policy: bool = False
    rules: Rules = field(default_factory=Rules)
    out: list[Effect] = field(default_factory=list)
    closed: bool = False
    winding_down: bool = False
    manual: Turn | None = None
    pending: dict[TurnId, Pending] = field(default_factory=dict)
    attempts: dict[AttemptId, Attempt] = field(default_factory=dict)
    guess: Attempt | None = None
    main: Response | None = None
    sounding: dict[ResponseId, None] = field(default_factory=dict)
    """Responses whose sound has begun and has not been heard to its end, in order; they may be done already (draining)."""
    sides: dict[ResponseId, Response] = field(default_factory=dict)
    waiting: dict[ResponseId, Plan] = field(default_factory=dict)
    owed: bool = False
    """A turn wants a reply that could not be started yet."""
    owed_hint: Message | None = None
    interrupted: Interrupted | None = None
    idle: Idle | None = None
    answered: bool = False
    """Whether any response has been made: the idle timeout runs only after one."""
    last_heard_ns: int = 0
    """When audio last came, or was last scored: a turn in which nothing is heard any more has ended."""
    late: int = 0
    """Events of work that was no longer alive."""

    def tell(self, notice: Notice) -> None:
        self.out.append(Tell(notice))

    def tell_all(self, notices: list[Notice]) -> None:
        self.out.extend(map(Tell, notices))

    def do(self, effect: Effect) -> None:
        self.out.append(effect)

    def user_turn(self) -> Turn | None:
        """The turn now being spoken, if it has the floor."""
        turn = self.turns.turn
        return None if turn is None or turn.provisional else turn
