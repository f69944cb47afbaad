"""What a client's session tells those around it: the screen, the loudspeaker, the recording.

Laws: frozen values, past tense; texts are whole (never deltas), so that whoever missed one is right again with the next.
Times are seconds of the caller's monotonic clock, `*_ms` positions in audio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TYPED = "item_typed_"
"""How the ids of typed messages begin."""

Level = Literal["note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SessionBegan:
    """The server has opened a session."""

    session_id: str
    model: str
    voice: str


@dataclass(frozen=True, slots=True)
class UserBegan:
    """The user has the floor. `over_reply`: what the loudspeaker plays must stop now."""

    item_id: str
    over_reply: bool


@dataclass(frozen=True, slots=True)
class UserEnded:
    """The user's turn is over. `voice_end_s`: when the last of the voice was spoken, as far as can be known from here."""

    item_id: str
    voice_end_s: float
    turn_end_s: float


@dataclass(frozen=True, slots=True)
class UserHeard:
    """The user's words so far; `final`: they stay as they are."""

    item_id: str
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class UserLost:
    """The turn came to nothing: cleared, not understood, or its recognition failed for the reason given."""

    item_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReplyBegan:
    response_id: str


@dataclass(frozen=True, slots=True)
class ReplyWorded:
    """The reply's words so far; `final`: the server adds none."""

    response_id: str
    item_id: str
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class ReplySounded:
    """More of the reply's audio (PCM16, 24 kHz mono): for `Playback.push`."""

    response_id: str
    item_id: str
    content_index: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class ReplySoundEnded:
    """No more audio comes for the item: for `Playback.end`."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """`status` as on the wire (completed, cancelled, incomplete, failed); `reason` in words where there is one."""

    response_id: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReplyCut:
    """The reply was silenced after `heard_ms`: of its words `heard` reached the ear, `unheard` did not. `exact`: the server says so.

    `by_user` False: nobody interrupted it; the conversation ended, or a device or the link was lost.
    """

    item_id: str
    heard: str
    unheard: str
    heard_ms: int
    exact: bool
    by_user: bool = True


@dataclass(frozen=True, slots=True)
class ToolAsked:
    """The model asked for a function, which this client has none of."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ServerToolCalled:
    """A reply calls a tool that the server carries out; another reply goes on from what the tool answers."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Told:
    """Something a person should read."""

    level: Level
    message: str


ClientUpdate = (
    SessionBegan
    | UserBegan
    | UserEnded
    | UserHeard
    | UserLost
    | ReplyBegan
    | ReplyWorded
    | ReplySounded
    | ReplySoundEnded
    | ResponseEnded
    | ReplyCut
    | ToolAsked
    | ServerToolCalled
    | Told
)
