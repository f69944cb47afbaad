"""One WebSocket connection: frames in, text out, in bounded memory and without a task of its own.

`websockets` (sans-IO) speaks the protocol, asyncio moves the bytes, uvicorn listens and makes one `Link` for each upgrade request.
A message is handed on in the very call that read it from the socket: no queue, task or thread stands between (ASGI's queue and task
would add half again to what a frame costs).

Laws:
- `send` never waits. What the transport does not take is kept here up to `OUTBOX_BYTES`; a client that lets more than that pile up,
  or reads nothing for `STALL_S`, is closed with 1008, and what waited for it is let go at once.
- Nobody is read faster than its budget, nor more than `SLICE_BYTES` at a time: a flood slows its sender and nobody else.
- Text and binary frames are alike: both hold one JSON event (`openai`'s clients send either). UTF-8 is the decoder's business.
- Every close ends within `CLOSE_S`: a peer that does not answer the close is aborted.
- Does not know: what a message means, who may come in (`door`), what stands behind (`Peer`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol, cast

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN

from parley.server.budget import MessageBudget
from parley.server.opening import offered_subprotocols
from parley.server.plain_frames import awaits_message, plain_message
from parley.server.refusals import Refusal
from parley.server.wire_protocol import WireProtocol

log = logging.getLogger("parley.server")

OUTBOX_BYTES = 8 * 1024 * 1024
"""Speech is generated up to a minute ahead (4 MB as base64) and may wait for a slow link; with twice that, nobody is reading."""

STALL_S = 20.0
"""A link that takes not one byte for so long is dead; mobile networks recover sooner or not at all."""

SLICE_BYTES = 16 * 1024
"""Read at one go: twelve frames of speech. As the smallest messages they take some 20 ms; then it is somebody else's turn."""

CLOSE_S = 5.0
"""From our close to the end of the connection, whatever the peer does."""

PING_S = 20.0
"""Proxies drop connections that are silent for 30 to 60 s."""

PONG_S = 20.0

MAX_FRAGMENTS = 1024
"""Pieces of one message; more, or endless empty ones, is an attack on memory."""


class Peer(Protocol):
    """What a link carries messages to and from. `lost` is the last call, exactly one after `opened`."""

    def opened(self, link: Link) -> None: ...
    def received(self, data: bytes) -> None: ...
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


def link_class(door: Door) -> type[asyncio.Protocol]:
    """The class to give to `uvicorn.Config(ws=...)`: links that open at `door`."""

    class DoorLink(Link):
        def __init__(self, **uvicorn_state: Any) -> None:
            super().__init__(door, uvicorn_state["server_state"].connections)

    return DoorLink


class Link(asyncio.Protocol):
    """`connections` is uvicorn's set of what it must close when it stops."""

    def __init__(self, door: Door, connections: set[Any]) -> None:
        self._door = door
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._wire = WireProtocol(max_size=door.max_message_bytes)
        self._budget = MessageBudget(door.messages_per_second, time.monotonic_ns)
        self._peer: Peer | None = None
        self._close: tuple[int, str] | None = None
        # reading
        self._max_size = door.max_message_bytes
        self._at_message = False
        self._fragments: list[bytes] = []
        self._unread = bytearray()
        self._next_slice: asyncio.Handle | None = None
        # writing
        self._write_paused = False
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        # clocks
        self._stall: asyncio.TimerHandle | None = None
        self._abort: asyncio.TimerHandle | None = None
        self._keepalive: asyncio.TimerHandle | None = None
        self._ping_sent = False

    # --- for the peer --------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send one text frame, after all that was sent before. Does nothing once the link is closing."""
        if self._close is not None or self._wire.state is not OPEN:
            return
        data = text.encode()
        if not self._write_paused:
            self._wire.send_text(data)
            self._flush()
            return
        self._outbox.append(data)
        self._outbox_bytes += len(data)
        if self._outbox_bytes > OUTBOX_BYTES:
            self._give_up(f"you read too slowly: {self._outbox_bytes >> 20} MiB wait to be read")

    def close(self, code: int, reason: str) -> None:
        """Close once what was sent before has gone out. The first close counts."""
        if self._close is not None or self._peer is None:
            return
        self._close = (code, reason)
        self._end_within(CLOSE_S)
        if not self._outbox:
            self._send_close()

    # --- asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        # Whatever comes shows that somebody is there: a pong waits behind what was sent before it.
        self._ping_sent = False
        if not self._unread and self._next_slice is None and len(data) <= SLICE_BYTES:
            self._read(data)
            if self._budget.spent:
                self._read_later()
            return
        self._unread += data
        if self._next_slice is None:
            self._read_later()

    def pause_writing(self) -> None:
        self._write_paused = True
        self._stall = self._loop.call_later(STALL_S, self._give_up, f"you have read nothing for {STALL_S:.0f} s")

    def resume_writing(self) -> None:
        self._write_paused = False
        self._cancel("_stall")
        while self._outbox and not self._write_paused and self._wire.state is OPEN:
            data = self._outbox.popleft()
            self._outbox_bytes -= len(data)
            self._wire.send_text(data)
            self._flush()
        if self._close is not None and not self._outbox:
            self._send_close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        for timer in ("_stall", "_abort", "_keepalive", "_next_slice"):
            self._cancel(timer)
        self._let_go()
        self._wire.let_go()
        if self._peer is None:
            return
        peer, self._peer = self._peer, None
        self._close = self._close or (1006, "the connection broke")
        peer.lost(*self._close)

    def shutdown(self) -> None:
        """uvicorn stops."""
        if self._peer is None:
            self.transport.close()
        else:
            self.close(1012, "the server is restarting")

    # --- reading -------------------------------------------------------------------------------------------------------

    def _read_later(self) -> None:
        """Read no more from the socket until what is here has had its turn and the budget allows."""
        self.transport.pause_reading()
        wait_s = self._budget.wait_s()
        if wait_s > 0 and self._budget.throttled == 1:
            log.info("%s sends more than its messages per second and is read more slowly", _address(self.transport))
        self._next_slice = (
            self._loop.call_later(wait_s, self._read_slice) if wait_s > 0 else self._loop.call_soon(self._read_slice)
        )

    def _read_slice(self) -> None:
        self._next_slice = None
        if self._unread:
            data = bytes(self._unread[:SLICE_BYTES])
            del self._unread[:SLICE_BYTES]
            self._read(data)
        if self._unread or self._budget.spent:
            self._read_later()
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def _read(self, data: bytes) -> None:
        at = 0
        while self._at_message and self._close is None and (plain := plain_message(data, at, self._max_size)):
            message, at = plain
            self._budget.spend(len(message))
            self._hand_over(message)
        if at < len(data):
            self._parse(data[at:] if at else data)

    def _parse(self, data: bytes) -> None:
        """All that is not plain."""
        wire = self._wire
        wire.receive_data(data)
        for event in wire.events_received():
            if isinstance(event, Frame):
                self._take(event)
            elif isinstance(event, Request):
                self._answer_handshake(event)
        if wire.parser_exc is not None:
            self._fail()
        self._at_message = self._peer is not None and awaits_message(wire)

    def _take(self, frame: Frame) -> None:
        self._budget.spend(len(frame.data))
        if self._close is not None and frame.opcode is not Opcode.CLOSE:
            self._wire.data_to_send()
            return
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                if frame.fin:
                    self._hand_over(bytes(frame.data))
                else:
                    self._fragments = [bytes(frame.data)]
            case Opcode.CONT:
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    data = b"".join(self._fragments)
                    self._fragments = []
                    self._hand_over(data)
                elif len(self._fragments) > MAX_FRAGMENTS:
                    self.close(1008, f"a message may come in at most {MAX_FRAGMENTS} fragments")
            case Opcode.PING:
                # A pong for somebody who does not read would only pile up.
                pong = self._wire.data_to_send()
                if not self._write_paused:
                    self._write(pong)
            case Opcode.CLOSE:
                self._closed_by_peer()

    def _hand_over(self, data: bytes) -> None:
        if self._close is not None or self._peer is None:
            return
        try:
            self._peer.received(data)
        except Exception:  # the session's boundary: a bug ends this connection and no other
            log.exception("a connection is closed because of a bug in the server")
            self.close(1011, "an internal error; the server's log tells more")

    # --- opening and closing -------------------------------------------------------------------------------------------

    def _answer_handshake(self, request: Request) -> None:
        response = self._wire.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            said = (response.body or b"").decode("utf-8", "replace").strip()
            self._refuse(Refusal(response.status_code, "invalid_handshake", said or response.reason_phrase))
            return
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        try:
            answer = self._door.knock(
                request.path, headers, offered_subprotocols(request.headers), _address(self.transport)
            )
        except Exception:  # as in `_hand_over`
            log.exception("a handshake is refused because of a bug in the server")
            answer = Refusal(
                500, "internal_error", "An internal error; the server's log tells more.", None, "server_error"
            )
        if isinstance(answer, Refusal):
            self._refuse(answer)
            return
        self._wire.send_response(response)
        self._flush()
        self._peer = answer
        self._keepalive = self._loop.call_later(PING_S, self._ping)
        try:
            answer.opened(self)
        except Exception:  # as in `_hand_over`
            log.exception("a connection is closed because of a bug in the server")
            self.close(1011, "an internal error; the server's log tells more")

    def _refuse(self, refusal: Refusal) -> None:
        body = refusal.body()
        headers = Headers({**refusal.headers(), "content-length": str(len(body)), "connection": "close"})
        status = HTTPStatus(refusal.status)
        self._wire.send_response(Response(status.value, status.phrase, headers, body))
        self._flush()
        self._end_within(CLOSE_S)
        self.transport.close()

    def _send_close(self) -> None:
        assert self._close is not None
        if self._wire.state is OPEN:
            code, reason = self._close
            self._wire.send_close(code, _fitting(reason))
            self._flush()

    def _closed_by_peer(self) -> None:
        """The peer's close: `websockets` has made the answer, and nothing follows it."""
        if self._close is None:
            received = self._wire.close_rcvd
            self._close = (int(received.code), received.reason) if received else (1005, "")
        self._let_go()
        self._flush()
        self._end_within(CLOSE_S)
        self.transport.close()

    def _fail(self) -> None:
        """The peer broke the protocol (or its limit): say so, and go on reading into nothing, so that the close frame arrives."""
        if self._close is None:
            sent = self._wire.close_sent
            self._close = (int(sent.code), sent.reason) if sent else (1002, "")
            self._let_go()
            self._end_within(CLOSE_S)
        self._flush()

    def _give_up(self, reason: str) -> None:
        """The peer does not read: what waits for it is dropped, and it is told where it can still see it."""
        self._cancel("_stall")
        self._let_go()
        if self._close is None:
            log.info("%s does not read and is closed: %s", _address(self.transport), reason)
            self.close(1008, reason)
        else:
            self.transport.abort()

    def _let_go(self) -> None:
        self._outbox.clear()
        self._outbox_bytes = 0
        self._fragments = []

    def _ping(self) -> None:
        if self._close is not None or self._wire.state is not OPEN:
            return
        if self._ping_sent:
            self.close(1011, f"nothing has come since a ping {PONG_S:.0f} s ago")
            return
        if not self._write_paused:
            self._ping_sent = True
            self._wire.send_ping(b"parley")
            self._flush()
        self._keepalive = self._loop.call_later(PONG_S if self._ping_sent else PING_S, self._ping)

    # --- the transport -------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._write(self._wire.data_to_send())

    def _write(self, pieces: list[bytes]) -> None:
        if not pieces or self.transport.is_closing():
            return
        data = b"".join(pieces)
        if data:
            self.transport.write(data)
        if pieces[-1] == b"" and self._wire.parser_exc is not None and self.transport.can_write_eof():
            self.transport.write_eof()

    def _end_within(self, seconds: float) -> None:
        if self._abort is None:
            self._abort = self._loop.call_later(seconds, self.transport.abort)

    def _cancel(self, name: str) -> None:
        handle: asyncio.Handle | None = getattr(self, name)
        if handle is not None:
            handle.cancel()
            setattr(self, name, None)


def _fitting(reason: str) -> str:
    """A close reason holds 123 bytes."""
    return reason.encode()[:123].decode("utf-8", "ignore")


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a local socket"
