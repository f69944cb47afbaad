"""What the conversation is doing, in one or two words for the screen.

Laws: pure; follows the client updates; the caller adds the state of the devices.
"""

from __future__ import annotations

from typing import Literal

from parley.client.updates import (
    TYPED,
    ClientUpdate,
    ConsentAsked,
    ConsentSettled,
    ResponseEnded,
    ResponseStarted,
    SessionConfigured,
    SessionStarted,
    StatusMessage,
    ToolListing,
    UserTurnEnded,
    UserTurnLost,
    UserTurnStarted,
)

State = Literal[
    "connecting",
    "reconnecting",
    "listening",
    "you speak",
    "thinking",
    "waits for you",
    "it speaks",
    "muted",
    "press to talk",
    "type a message",
    "no sound device",
]


class Status:
    """Call `on_update()` for each update, `lost()` when the link is gone, then ask `state()`."""

    def __init__(self) -> None:
        self._linked = False
        self._ever = False
        self._user = False
        self._thinking = False
        self._replying = False
        self._configuring = False
        self._listings: set[str] = set()
        """MCP servers that were asked for their tools."""
        self._asked: set[str] = set()
        """Requests for consent that the server has no answer to."""

    def on_update(self, update: ClientUpdate) -> None:
        match update:
            case SessionStarted(configuring=configuring):
                self._configuring = configuring
                self._linked = self._ever = True
                self._user = self._thinking = self._replying = False
                self._asked.clear()
                self._listings.clear()
            case SessionConfigured():
                self._configuring = False
            case ToolListing(item_id=item_id, over=over):
                (self._listings.discard if over else self._listings.add)(item_id)
            case ConsentAsked(request_id=request_id):
                self._asked.add(request_id)
            case ConsentSettled(request_id=request_id):
                self._asked.discard(request_id)
                self._thinking = True
            case UserTurnStarted(item_id=item_id):
                self._user = not item_id.startswith(TYPED)
                self._thinking = not self._user
            case UserTurnEnded():
                self._user, self._thinking = False, True
            case UserTurnLost():
                self._user = self._thinking = False
            case ResponseStarted():
                self._thinking = self._replying = True
            case ResponseEnded():
                self._thinking = self._replying = False
            case StatusMessage() if not self._replying:
                # The server refused what was asked of it.
                self._thinking = False
            case _:
                pass

    def lost(self) -> None:
        """The link is gone."""
        self._linked = self._user = self._thinking = self._replying = False
        self._asked.clear()

    @property
    def replying(self) -> bool:
        """The server is still making a reply."""
        return self._replying

    def state(self, *, audible: bool, muted: bool, hands_free: bool, deaf: bool = False, typed: bool = False) -> State:
        """`audible`: the loudspeaker plays a reply. `deaf`: a device is away. `typed`: there is no microphone."""
        if not self._linked:
            return "reconnecting" if self._ever else "connecting"
        if deaf:
            return "no sound device"
        if self._user:
            return "you speak"
        if audible:
            return "it speaks"
        if self._thinking:
            return "thinking"
        if self._asked:
            return "waits for you"
        if typed:
            return "connecting" if self._configuring or self._listings else "type a message"
        if muted:
            return "muted"
        return "listening" if hands_free else "press to talk"
