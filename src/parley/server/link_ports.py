"""What a link stands between: the door that lets it in, and the peer behind it.

Laws: every call returns at once; a peer hears of a message once, whole or in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from parley.server.refusals import Refusal


class LinkToPeer(Protocol):
    """A link as its peer sees it."""

    def send(self, text: str) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class LongArrival(Protocol):
    """A message that comes in pieces: `push` each, then run `finish` to its end. A step of it is one slice of work."""

    @property
    def values(self) -> int:
        """JSON values seen so far; see `MessageBudget`."""

    def push(self, piece: bytes) -> None: ...
    def finish(self) -> Iterator[None]: ...


class Peer(Protocol):
    """What a link carries messages to and from. `lost` is the last call, exactly one after `opened`."""

    def opened(self, link: LinkToPeer) -> None: ...
    def received(self, data: bytes) -> int:
        """Handle a message. Returns the JSON values built for it, see `MessageBudget.charge`."""

    def arrives(self) -> LongArrival:
        """A message longer than `link_reading.SLICE_BYTES` begins. Nothing else is handed over before it has been finished."""

    def congested(self, waits: bool) -> None:
        """Whether the client has yet to take what was sent."""

    def lost(self, code: int, reason: str) -> None: ...


class Door(Protocol):
    """Decides, without waiting, who comes in. `headers` has lower-case names."""

    @property
    def max_message_bytes(self) -> int: ...
    @property
    def messages_per_second(self) -> int: ...
    def knock(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> Peer | Refusal: ...
