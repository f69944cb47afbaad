"""The state of a session: its regions, and the few facts that belong to none.

Laws: one mutable owner, `Session`; the modules of `decisions/` share this and nothing else. Only a region writes its own fields; regions
of different concern do not know each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from parley.core.policy.policy import Policy
from parley.core.policy.turn_rules import Rules
from parley.core.regions.attempt import Attempts
from parley.core.regions.captions import Captions
from parley.core.regions.conversation import Conversation
from parley.core.regions.entry import Entry
from parley.core.regions.input_audio import InputBuffer
from parley.core.regions.open_responses import OpenResponses
from parley.core.regions.pending_turns import PendingTurns
from parley.core.regions.playback import Playback
from parley.core.regions.rate_limit import RateLimiter
from parley.core.regions.reply_wait import ReplyWait
from parley.core.regions.response import Response
from parley.core.regions.summaries import Summaries
from parley.core.regions.tool_servers import ToolServers
from parley.core.regions.turn_taking import TurnTaking, UserTurn
from parley.core.regions.work_queue import WorkQueue
from parley.core.words.effects import Effect, Tell
from parley.core.words.events import SessionUpdateRequested
from parley.core.words.ids import ItemId, Minter, SessionId, TurnId
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.notices import Notice
from parley.core.words.rights import Asker, Rights, rights_of
from parley.core.words.settings import Capabilities, OwnerSettings, Settings


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The reply that this turn has cut; it may be resumed after a false interruption.

    `item` None: nothing of it had been heard yet; `whole`: all of it had been made.
    """

    turn: TurnId
    item: ItemId | None
    whole: bool


@dataclass(frozen=True, slots=True)
class Idle:
    """There has been no speech since `since_ns`, when the input stood at `since_sample`."""

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
    started_ns: int
    input: InputBuffer
    playback: Playback
    conversation: Conversation
    rate_limit: RateLimiter
    now: int
    defaults: Settings
    """What the pipeline gave the session before its client changed anything."""
    custom_policy: bool = False
    rules: Rules = field(default_factory=Rules)
    turns: TurnTaking = field(default_factory=TurnTaking)
    pending: PendingTurns = field(default_factory=PendingTurns)
    responses: OpenResponses = field(default_factory=OpenResponses)
    attempts: Attempts = field(default_factory=Attempts)
    work: WorkQueue = field(default_factory=WorkQueue)
    tools: ToolServers = field(default_factory=ToolServers)
    summaries: Summaries = field(default_factory=Summaries)
    captions: Captions = field(default_factory=Captions)
    reply_wait: ReplyWait = field(default_factory=ReplyWait)
    translated: tuple[str, ...] = ()
    """The texts that were given to the translation model last, oldest first."""
    tool_rounds: int = 0
    """Consecutive replies that only followed the outcome of tools."""
    changing: SessionUpdateRequested | None = None
    """The update whose pipeline is searched for."""
    engines_used: bool = False
    """Whether audio of an item was transcribed, or any reply spoken."""
    interrupted: Interrupted | None = None
    idle: Idle | None = None
    heard_language: str = ""
    """The language of the last turn whose words are known, as far as it is believed; "" where it is not known."""
    last_heard_ns: int = 0
    """When audio last came, or was last scored: a turn in which nothing is heard any more has ended."""
    late: int = 0
    """Events of work that was no longer alive."""
    out: list[Effect] = field(default_factory=list)
    closed: bool = False
    winding_down: bool = False
    closing: Literal["no", "input", "output"] = "no"
    """Whether the client has asked to close: first its audio is heard out ("input"), then what follows from it is finished."""

    def place(self, response: Response, entry: Entry) -> ItemId | None:
        """Add an item of this response to the conversation if the response is in it. Returns the id of the item before it."""
        return self.conversation.insert(entry) if response.conversation_id is not None else None

    def rights(self, asker: Asker) -> Rights:
        """What `asker` may change at this moment."""
        return rights_of(asker, self.owner, self.capabilities)

    def tell(self, notice: Notice) -> None:
        self.out.append(Tell(notice))

    def tell_all(self, notices: list[Notice]) -> None:
        self.out.extend(map(Tell, notices))

    def do(self, effect: Effect) -> None:
        self.out.append(effect)

    def do_all(self, effects: list[Effect]) -> None:
        self.out.extend(effects)

    def turn_audio(self, longest_ms: int) -> bytes:
        """The end of the turn now being spoken, up to what was scored last, in the input's format; b"" without a turn."""
        turn, end = self.turns.turn, self.turns.scored_to
        if turn is None:
            return b""
        return self.input.span(max(turn.start_sample, end - longest_ms * SAMPLES_PER_MS), end)

    @property
    def audio_exchanged(self) -> bool:
        """Whether the session's pipeline has received or sent audio."""
        return self.engines_used or self.input.received > 0

    @property
    def awaits_audio(self) -> bool:
        """Whether audio that does not come ends something. In a translation session a pause of the link is no pause of the speaker."""
        if self.settings.kind == "translation":
            return self.closing == "input"
        return self.turns.turn is not None

    @property
    def output_heard(self) -> bool:
        """Whether a reply is generated in the conversation, or played."""
        return self.responses.main is not None or self.playback.audible(self.now)

    def user_turn(self) -> UserTurn | None:
        """The turn now being spoken, if it has the floor."""
        turn = self.turns.turn
        return None if turn is None or turn.provisional else turn
