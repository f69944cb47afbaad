"""How the bytes of one connection become messages: as they come, in order, and never much at a time.

Laws:
- No client is read faster than its budget. One go takes `SLICE_BYTES` at the most and stops once `ANSWER_BYTES` have been sent in answer
  to it or `GO_S` has passed: a flood slows its sender only.
- A message longer than a slice is handed on piece by piece (`long_frames`), then decoded in slices of the loop (`loop_slices`);
  nothing that came after it is read before that.
- What is no plain frame is `websockets`' to read (`plain_frames`).
- Binary frames are audio where the peer takes audio (`AudioPeer`): handed on as they come, in pieces where they are long. Any other peer
  gets them as text.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import cast

from websockets.frames import Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from parley.runtime.loop_slices import slice_turn
from parley.server.links.budget import MessageBudget
from parley.server.links.link import AudioPeer, LongArrival, Peer
from parley.server.links.websocket.long_frames import LongFrame, in_header, long_frame
from parley.server.links.websocket.plain_frames import WHOLE_BINARY, awaits_message, plain_message

log = logging.getLogger("parley.server")

SLICE_BYTES = 16 * 1024
"""Read at one go: twelve frames of speech. As the smallest messages they take some 20 ms; then other connections have their turn. A
longer message arrives in pieces."""

ANSWER_BYTES = 256 * 1024
"""Sent at one go while messages are read: a short message may ask for a megabyte, and a slice holds two hundred of them."""

GO_S = 0.005
"""Worked for the messages of one go, and the one that goes beyond it: a short message may also ask for much work, such as a response to
two thousand items."""


class WebSocketReader(asyncio.Protocol):
    """The half of a `WebSocketLink` that reads. The other half answers handshakes and what is no message."""

    def __init__(self, wire: ServerProtocol, budget: MessageBudget, max_size: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._wire = wire
        self._budget = budget
        self._peer: Peer | None = None
        self._audio: AudioPeer | None = None
        """The peer, where it takes audio."""
        self._close: tuple[int, str] | None = None
        self._ping_sent = False
        self._answered = 0
        """Bytes sent since the last go was begun."""
        self._go_ends = 0.0
        self._max_size = max_size
        self._at_message = False
        self._head = b""
        self._fragments: list[bytes] = []
        self._long: LongFrame | None = None
        self._arrival: LongArrival | None = None
        self._decoding: asyncio.Task[None] | None = None
        self._events: deque[object] = deque()
        self._unread = bytearray()
        self._next_slice: asyncio.Handle | None = None

    @abstractmethod
    def close_with(self, code: int, reason: str) -> None:
        """Close with this code once what was sent before has gone out."""

    @abstractmethod
    def _take(self, frame: Frame) -> None:
        """A frame that is not plain."""

    @abstractmethod
    def _answer_handshake(self, request: Request) -> None: ...

    @abstractmethod
    def _refuse_unreadable(self, fault: Exception) -> None:
        """Answer a handshake that `websockets` could not read."""

    @abstractmethod
    def _fail(self) -> None:
        """The peer broke the protocol."""

    def data_received(self, data: bytes) -> None:
        # Any data shows that the client is there: a pong waits behind what was sent before it.
        self._ping_sent = False
        if not (self._unread or self._next_slice or self._decoding) and len(data) <= SLICE_BYTES:
            self._read(data)
            if self._behind:
                self._read_later()
            return
        self._unread += data
        if self._next_slice is None:
            self._read_later()

    def _read_later(self) -> None:
        """Read no more from the socket until what is here has had its turn and the budget allows."""
        if self.transport.is_closing():
            return
        self.transport.pause_reading()
        if self._decoding is not None:
            return
        wait_s = self._budget.wait_s()
        if wait_s > 0 and self._budget.throttled == 1:
            log.info("%s sends more than its messages per second and is read more slowly", address_of(self.transport))
        self._next_slice = (
            self._loop.call_later(wait_s, self._read_slice) if wait_s > 0 else self._loop.call_soon(self._read_slice)
        )

    @property
    def reading_waits(self) -> bool:
        """Whether nothing is read for now, whatever the client sends."""
        return self._next_slice is not None or self._decoding is not None

    @property
    def _behind(self) -> bool:
        """Whether something must come before more is read."""
        return bool(self._budget.spent or self._decoding or self._unread or self._events)

    def _read_slice(self) -> None:
        self._next_slice = None
        if self._events:
            self._begin_go()
            self._take_events()
        elif self._unread:
            data = bytes(self._unread[:SLICE_BYTES])
            del self._unread[:SLICE_BYTES]
            self._read(data)
        if self._behind:
            self._read_later()
        elif not self.transport.is_closing():
            self._ping_sent = False  # a pong could not be read until now
            self.transport.resume_reading()

    def _read(self, data: bytes) -> None:
        data, self._head = self._head + data if self._head else data, b""
        at = 0
        self._begin_go()
        while at < len(data):
            if at and self._go_is_over:
                self._unread[:0] = data[at:]
                return
            if self._long is not None:
                at = self._read_long(self._long, data, at)
            elif not self._at_message or self._close is not None:
                break
            elif plain := plain_message(data, at, self._max_size):
                binary = self._audio is not None and data[at] == WHOLE_BINARY
                message, at = plain
                self._budget.spend(len(message))
                if binary:
                    self._hand_over_audio(message)
                else:
                    self._hand_over(message)
            elif frame := long_frame(data, at, SLICE_BYTES, self._max_size):
                self._long, at = frame
            elif in_header(data, at):
                self._head = data[at:]
                return
            else:
                break
        if at < len(data):
            self._parse(data[at:] if at else data)

    def _begin_go(self) -> None:
        self._answered = 0
        self._go_ends = perf_counter() + GO_S

    @property
    def _go_is_over(self) -> bool:
        """Whether what is here must wait for the next go."""
        return self._decoding is not None or self._answered > ANSWER_BYTES or perf_counter() > self._go_ends

    def _read_long(self, frame: LongFrame, data: bytes, at: int) -> int:
        """The next piece of a long message; once it is whole, nothing is read before it has been decoded."""
        piece, at = frame.take(data, at)
        if not frame.left:
            self._long = None
            self._budget.spend(frame.size)
        if self._close is not None or self._peer is None:
            return at
        if frame.binary and self._audio is not None:
            self._hand_over_audio(piece)
            return at
        try:
            self._arrival = self._arrival or self._peer.arrives()
            self._arrival.push(piece)
            if not frame.left:
                arrival, self._arrival = self._arrival, None
                self._decoding = self._loop.create_task(self._decode(arrival))
        except Exception:  # as in `_hand_over`
            log.exception("a connection is closed because of a bug in the server")
            self.close_with(1011, "an internal error; the server's log tells more")
        return at

    async def _decode(self, arrival: LongArrival, fragments: Sequence[bytes] = ()) -> None:
        """Push what has not been pushed, and finish the message, in slices of the loop."""
        try:
            for fragment in fragments:
                for at in range(0, len(fragment), SLICE_BYTES):
                    arrival.push(fragment[at : at + SLICE_BYTES])
                    await slice_turn()
            for _ in arrival.finish():
                await slice_turn()
        except Exception:  # as in `_hand_over`
            log.exception("a connection is closed because of a bug in the server")
            self.close_with(1011, "an internal error; the server's log tells more")
        self._budget.charge(arrival.values)
        self._decoding = None
        self._read_later()

    def _parse(self, data: bytes) -> None:
        """All that is not plain."""
        self._wire.receive_data(data)
        self._events.extend(self._wire.events_received())
        self._take_events()

    def _take_events(self) -> None:
        while self._events:
            if self._go_is_over:
                return
            event = self._events.popleft()
            if isinstance(event, Frame):
                self._take(event)
            elif isinstance(event, Request):
                self._answer_handshake(event)
        if self._wire.handshake_exc is not None and not self.transport.is_closing():
            self._refuse_unreadable(self._wire.handshake_exc)
        if self._wire.parser_exc is not None:
            self._fail()
        self._at_message = self._peer is not None and awaits_message(self._wire)

    def _put_together(self, fragments: list[bytes]) -> None:
        """A whole message in its fragments; nothing is read before a long one has been decoded."""
        if sum(map(len, fragments)) <= SLICE_BYTES:
            self._hand_over(b"".join(fragments))
        elif self._close is None and self._peer is not None:
            self._decoding = self._loop.create_task(self._decode(self._peer.arrives(), fragments))

    def _hand_over_audio(self, data: bytes) -> None:
        """What came in a binary frame, or a piece of one."""
        if self._close is not None or self._audio is None:
            return
        try:
            self._audio.heard(data)
        except Exception:  # as in `_hand_over`
            log.exception("a connection is closed because of a bug in the server")
            self.close_with(1011, "an internal error; the server's log tells more")

    def _hand_over(self, data: bytes) -> None:
        """A whole message that is not long."""
        if self._close is not None or self._peer is None:
            return
        try:
            if values := self._peer.received(data):
                self._budget.charge(values)
        except Exception:  # the session's boundary: a bug ends this connection and no other
            log.exception("a connection is closed because of a bug in the server")
            self.close_with(1011, "an internal error; the server's log tells more")


def address_of(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a local socket"
