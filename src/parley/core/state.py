"""All that a session remembers, in one place.

Laws: one mutable owner, `Session`; the rooms that decide (`hearing`, `replying`, `requests`) share this and nothing
else. Regions (`input`, `turns`, `playback`, `conversation`, a `Response`) do not know each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.core.policy.policy import Policy
from parley.core.policy.turn_rules import Rules
from parley.core.regions.attempt import Attempt, Plan
from parley.core.regions.conversation import Conversation
from parley.core.regions.entry import Entry
from parley.core.regions.input_audio import InputAudio
from parley.core.regions.playback import Playback
from parley.core.regions.rate_limit import Allowance
from parley.core.regions.response import Response
from parley.core.regions.turn_taking import Turn, TurnTaking
from parley.core.words.effects import Effect, Tell
from parley.core.words.ids import (
    AttemptId,
    ClientEventId,
    FlushId,
    ItemId,
    ListingId,
    Minter,
    ResponseId,
    SessionId,
    ToolCallId,
    TurnId,
)
from parley.core.words.items import Message
from parley.core.words.notices import Notice, Usage
from parley.core.words.settings import Capabilities, McpServer, OwnerSettings, Settings, SettingsPatch
from parley.core.words.work import AS_THE_SESSION, ResponseParams


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
class Owed:
    """A reply that is to be made when the session comes to rest, not before `not_before_ns`.

    `goes_on`: the reply before it had tools called, and this one says what came of them; it need not wait until that
    one has been heard.
    """

    params: ResponseParams = AS_THE_SESSION
    entries: tuple[Entry, ...] | None = None
    hint: Message | None = None
    not_before_ns: int = 0
    goes_on: bool = False


@dataclass(slots=True)
class Listing:
    """An MCP server of the session's and what it was asked. `deadline_ns` None: it has answered."""

    id: ListingId
    server: McpServer
    entry: Entry
    deadline_ns: int | None


@dataclass(frozen=True, slots=True)
class Acting:
    """A response whose generation is over, and whose MCP calls are not: it is done when they are."""

    plan: Plan
    usage: Usage


@dataclass(slots=True)
class RunningCall:
    """A call of an MCP tool under way. `index` is its place in its response; `response` None: it belongs to none, or to
    one that was interrupted. `wanted`: a reply is to say what came of it."""

    entry: Entry
    index: int
    deadline_ns: int
    response: Response | None
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The reply that this turn has cut: should the turn prove to be nothing, it may go on.

    `item` None: nothing of it had been heard yet; `whole`: all of it had been made.
    """

    turn: TurnId
    item: ItemId | None
    whole: bool


@dataclass(frozen=True, slots=True)
class ChangingPipeline:
    """The client wants another pipeline, which has been asked for: what its update changes, and the update's id."""

    patch: SettingsPatch
    event_id: ClientEventId | None


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
    owner: OwnerSettings
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
    defaults: Settings
    """What the pipeline gave the session before its client changed anything."""
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
    owed: Owed | None = None
    """A reply that is wanted and could not be started yet."""
    servers: dict[str, Listing] = field(default_factory=dict)
    """The MCP servers of the session, by their labels."""
    calls: dict[ToolCallId, RunningCall] = field(default_factory=dict)
    acting: dict[ResponseId, Acting] = field(default_factory=dict)
    """Responses that only wait for their MCP calls."""
    tool_rounds: int = 0
    """Replies in a row that only went on because a tool had answered."""
    changing: ChangingPipeline | None = None
    engines_used: bool = False
    """Whether audio of an item was transcribed, or any reply spoken."""
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

    @property
    def audio_exchanged(self) -> bool:
        """Whether the session's pipeline has heard or spoken anything."""
        return self.engines_used or self.input.received > 0

    def user_turn(self) -> Turn | None:
        """The turn now being spoken, if it has the floor."""
        turn = self.turns.turn
        return None if turn is None or turn.provisional else turn
