"""What a client session reports to the screen, the loudspeaker and the recording.

Laws: frozen values. Texts are whole, never deltas, so that a consumer that missed one is up to date with the next.
Times are seconds of the caller's monotonic clock, `*_ms` positions in audio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TYPED = "item_typed_"
"""How the ids of typed messages begin."""

Level = Literal["note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The server has opened a session. `transcription` is the model of the user's words, as the session has it or is asked to have it.
    `configuring`: it is asked for changes, and a `SessionConfigured` follows."""

    session_id: str
    model: str
    voice: str
    transcription: str = ""
    configuring: bool = False


@dataclass(frozen=True, slots=True)
class SessionConfigured:
    """The server has taken what was asked of the session when it began, or refused it."""


@dataclass(frozen=True, slots=True)
class UserTurnStarted:
    """The user has the floor. `over_reply`: the loudspeaker must stop now."""

    item_id: str
    over_reply: bool


@dataclass(frozen=True, slots=True)
class UserTurnEnded:
    """The user's turn is over. `voice_end_s`: when the user's voice ended, as far as the client can know."""

    item_id: str
    voice_end_s: float
    turn_end_s: float


@dataclass(frozen=True, slots=True)
class UserTranscript:
    """The user's words so far; `final`: they no longer change."""

    item_id: str
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class UserTurnLost:
    """The turn has no words: it was cleared or not understood, or its recognition failed. `reason` says which."""

    item_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The server has begun a response."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ResponseText:
    """The reply's words so far; `final`: no more follow."""

    response_id: str
    item_id: str
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class ResponseAudio:
    """More of the reply's audio (PCM16, 24 kHz mono): for `Playback.push`."""

    response_id: str
    item_id: str
    content_index: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class ResponseAudioEnded:
    """No more audio comes for the item: for `Playback.end`."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """`status` as on the wire (completed, cancelled, incomplete, failed); `reason` in words, "" if there is none."""

    response_id: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class ResponseCut:
    """The reply was silenced after `heard_ms`: its words `heard` were played, `unheard` were not. `exact`: as the server reports it;
    `settling`: the server is asked for them, and another of these follows when it answers.

    `by_user` False: the user did not interrupt; the conversation ended, or a device or the link was lost.
    """

    item_id: str
    heard: str
    unheard: str
    heard_ms: int
    exact: bool
    by_user: bool = True
    settling: bool = False


@dataclass(frozen=True, slots=True)
class FunctionCalled:
    """The model called a function. This client has no functions, so no answer follows."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ServerToolCalled:
    """A reply calls a tool that the server runs; the next reply continues from the tool's output."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ToolListing:
    """The session asks an MCP server for its tools, or (`over`) has its answer, which may be that it has failed."""

    item_id: str
    over: bool


@dataclass(frozen=True, slots=True)
class ConsentAsked:
    """The model wants to call `tool` of the MCP server `server`, which needs the user's consent: answer with `ClientSession.decide()`.
    `arguments` is JSON text."""

    request_id: str
    server: str
    tool: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ConsentSettled:
    """The server has taken an answer to the request, this client's or another's. A refused call is followed by a reply."""

    request_id: str
    approved: bool


@dataclass(frozen=True, slots=True)
class ConsentedCallEnded:
    """A call that was consented to has its outcome; a reply follows."""

    request_id: str


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A message to show to the user."""

    level: Level
    message: str


ClientUpdate = (
    SessionStarted
    | SessionConfigured
    | UserTurnStarted
    | UserTurnEnded
    | UserTranscript
    | UserTurnLost
    | ResponseStarted
    | ResponseText
    | ResponseAudio
    | ResponseAudioEnded
    | ResponseEnded
    | ResponseCut
    | FunctionCalled
    | ServerToolCalled
    | ToolListing
    | ConsentAsked
    | ConsentSettled
    | ConsentedCallEnded
    | StatusMessage
)
