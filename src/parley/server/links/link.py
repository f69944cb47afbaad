"""The port between a connection and what it carries: `Link` is the connection, `Peer` the session behind it.

Laws of every link:
- It carries text frames, one event each, in order and whole. A `Peer` receives a message in one synchronous call, or in pieces
  where it is long; nothing waits between the socket and the peer.
- `opened` is the first call to a peer and `lost` the last, exactly one of each. After `lost` a link refers to its peer no more.
- `send` and `close` return at once, and do nothing once the link is closing. What the client does not take is bounded: the link says
  `congested` first, and closes itself at its limit.
- A link may carry audio too, in frames of its own (`AudioLink`, `AudioPeer`); audio is a stream: its frames may be split anywhere.
- `close` gives a reason, never a code: each kind of link knows its own code for a reason (WebSocket: `websocket/close_codes.py`).

A new kind of link is a folder beside this file: it reads a handshake into a `sessions.SessionRequest`, opens the session with
`sessions.SessionFactory`, and is this port to it.
Does not know: what a message means, who may connect, how bytes travel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol, runtime_checkable

from parley.core.words.effects import CloseReason

EndReason = CloseReason | Literal["call_refused", "dialect_refused", "access_ended", "call_ended"]
"""Why the server closes a link: the session's reasons, and four of the server's: a call cannot begin; the client's dialect is switched
off; what its key allows has ended while the session ran; the call that it was attached to is over."""


class Link(Protocol):
    """A connection, as its peer sees it."""

    def send(self, text: str) -> None:
        """Send one text frame after all that were sent before."""

    def close(self, reason: EndReason) -> None:
        """Close once what was sent before has gone out. The first close counts."""


class AudioLink(Link, Protocol):
    """A link that carries audio beside the text."""

    def send_audio(self, audio: bytes) -> None:
        """Send audio after all that was sent before."""


class LongArrival(Protocol):
    """A message that arrives in pieces: `push` each, then run `finish` to its end. Each step of it is one slice of work."""

    @property
    def values(self) -> int:
        """JSON values seen so far; see `Peer.received`."""

    def push(self, piece: bytes) -> None: ...
    def finish(self) -> Iterator[None]: ...


class Peer(Protocol):
    """What a link carries messages to and from."""

    def opened(self, link: Link) -> None: ...
    def received(self, data: bytes) -> int:
        """Handle a message. Returns the JSON values built for it, by which a link may slow a client that makes much work."""

    def arrives(self) -> LongArrival:
        """A long message begins. Nothing else is handed over before it has been finished."""

    def congested(self, waits: bool) -> None:
        """Whether the client has yet to take what was sent."""

    def lost(self, how: str) -> None:
        """The link is gone; `how` is for the log."""


@runtime_checkable
class AudioPeer(Protocol):
    """A `Peer` that takes audio beside the text; what an `AudioLink` receives as audio never comes to `received`."""

    def heard(self, audio: bytes) -> None:
        """More audio, which may begin and end within a sample."""
