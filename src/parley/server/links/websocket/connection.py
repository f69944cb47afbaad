"""One WebSocket connection: frames in, text out, in bounded memory and without a task of its own.

`websockets` (sans-IO) speaks the protocol, asyncio moves the bytes, uvicorn listens and makes one `WebSocketLink` for each upgrade request;
`reading` makes messages of bytes. A message is handed on in the very call that read it from the socket: no queue, task or thread
is between (ASGI's queue and task would add half to the cost of a frame).

Laws:
- `send` never waits. What the transport does not take is kept here up to `OUTBOX_BYTES`, and the peer is notified, so that it makes
  no more (`congested`); a client that lets more than that pile up, or reads nothing for `STALL_S`, is closed with 1008, and its
  waiting frames are dropped at once.
- Text and binary frames are alike: both hold one JSON event (`openai`'s clients send either), unless the peer takes audio. UTF-8 is the
  decoder's business.
- Every close ends within `CLOSE_S`: a peer that does not answer the close is aborted.
- Does not know: what a message means, who may connect (`Gate`), what is behind it (`Peer`).
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
from websockets.exceptions import InvalidMessage, SecurityError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN

from parley.server.links.budget import MessageBudget
from parley.server.links.link import AudioPeer, EndReason, Peer
from parley.server.links.websocket.close_codes import CLOSE_CODES
from parley.server.links.websocket.opening import combined_headers, offered_subprotocols
from parley.server.links.websocket.reading import WebSocketReader, address_of
from parley.server.links.websocket.wire_protocol import WireProtocol
from parley.server.refusals import Refusal
from parley.server.time_limits import CLOSE_S, STALL_S

log = logging.getLogger("parley.server")

OUTBOX_BYTES = 8 * 1024 * 1024
"""Synthesis stops while anything waits here, so what waits are answers to what the client sends: with so many of them, it reads none."""

PING_S = 20.0
"""Proxies drop connections that are silent for 30 to 60 s."""

PONG_S = 20.0

MAX_FRAGMENTS = 1024
"""Pieces of one message; more, or endless empty ones, is an attack on memory."""


class Gate(Protocol):
    """Accepts or refuses a handshake, at once. `headers` has lower-case names, `client` is an address."""

    @property
    def max_message_bytes(self) -> int: ...
    @property
    def messages_per_second(self) -> int: ...
    def accept(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> Peer | Refusal: ...


def link_class(gate: Gate) -> type[asyncio.Protocol]:
    """The class to give to `uvicorn.Config(ws=...)`: links that `gate` accepts or refuses."""

    class GatedLink(WebSocketLink):
        def __init__(self, **uvicorn_state: Any) -> None:
            super().__init__(gate, uvicorn_state["server_state"].connections)

    return GatedLink


class WebSocketLink(WebSocketReader):
    """An `AudioLink`. `connections` is uvicorn's set of what it must close when it stops."""

    def __init__(self, gate: Gate, connections: set[Any]) -> None:
        self._wire: WireProtocol
        super().__init__(
            WireProtocol(max_size=gate.max_message_bytes),
            MessageBudget(gate.messages_per_second, time.monotonic_ns),
            gate.max_message_bytes,
        )
        self._gate = gate
        self._connections = connections
        self._audio_goes_on = False
        """Whether the fragments that follow are audio."""
        # writing
        self._write_paused = False
        self._outbox: deque[tuple[bytes, Opcode]] = deque()
        self._outbox_bytes = 0
        # clocks
        self._stall: asyncio.TimerHandle | None = None
        self._abort: asyncio.TimerHandle | None = None
        self._keepalive: asyncio.TimerHandle | None = None

    # --- for the peer --------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send one text frame, after all that was sent before. Does nothing once the link is closing."""
        if self._close is not None or self._wire.state is not OPEN:
            return
        data = text.encode()
        self._answered += len(data)
        if not self._write_paused:
            self._wire.send_text(data)
            self._flush()
            return
        self._keep(data, Opcode.TEXT)

    def send_audio(self, audio: bytes) -> None:
        """Send one binary frame, as `send` does."""
        if self._close is not None or self._wire.state is not OPEN:
            return
        if not self._write_paused:
            self._wire.send_binary(audio)
            self._flush()
            return
        self._keep(audio, Opcode.BINARY)

    def _keep(self, data: bytes, opcode: Opcode) -> None:
        """Until the transport takes more."""
        self._outbox.append((data, opcode))
        self._outbox_bytes += len(data)
        if self._outbox_bytes > OUTBOX_BYTES:
            self._give_up(f"you read too slowly: {self._outbox_bytes >> 20} MiB wait to be read")

    def close(self, reason: EndReason) -> None:
        """Close once what was sent before has gone out. The first close counts."""
        self.close_with(*CLOSE_CODES[reason])

    def close_with(self, code: int, reason: str) -> None:
        """As `close`, with a code and a text of the WebSocket protocol itself."""
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

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._peer is not None:
            self._peer.congested(True)
        self._stall = self._loop.call_later(STALL_S, self._give_up, f"you have read nothing for {STALL_S:.0f} s")

    def resume_writing(self) -> None:
        self._write_paused = False
        self._cancel("_stall")
        while self._outbox and not self._write_paused and self._wire.state is OPEN:
            data, opcode = self._outbox.popleft()
            self._outbox_bytes -= len(data)
            if opcode is Opcode.TEXT:
                self._wire.send_text(data)
            else:
                self._wire.send_binary(data)
            self._flush()
        if self._close is not None and not self._outbox:
            self._send_close()
        if self._peer is not None and not self._write_paused:
            self._peer.congested(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        for timer in ("_stall", "_abort", "_keepalive", "_next_slice", "_decoding"):
            self._cancel(timer)
        self._let_go()
        self._wire.let_go()
        if self._peer is None:
            return
        peer, self._peer, self._audio = self._peer, None, None
        self._close = self._close or (1006, "the connection broke")
        peer.lost(f"{self._close[0]} {self._close[1]}".strip())

    def shutdown(self) -> None:
        """uvicorn stops."""
        if self._peer is None:
            self.transport.close()
        else:
            self.close_with(1012, "the server is restarting")

    # --- frames that are not plain -------------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        self._budget.spend_whole(len(frame.data))
        if self._close is not None and frame.opcode is not Opcode.CLOSE:
            self._wire.data_to_send()
            return
        match frame.opcode:
            case Opcode.BINARY if self._audio is not None:
                self._audio_goes_on = not frame.fin
                self._hand_over_audio(bytes(frame.data))
            case Opcode.CONT if self._audio_goes_on:
                self._audio_goes_on = not frame.fin
                self._hand_over_audio(bytes(frame.data))
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    fragments, self._fragments = self._fragments, []
                    self._put_together(fragments)
                elif len(self._fragments) > MAX_FRAGMENTS:
                    self.close_with(1008, f"a message may have at most {MAX_FRAGMENTS} fragments")
            case Opcode.PING:
                # Pongs for a client that does not read would only accumulate.
                pong = self._wire.data_to_send()
                if not self._write_paused:
                    self._write(pong)
            case Opcode.CLOSE:
                self._closed_by_peer()

    # --- opening and closing -------------------------------------------------------------------------------------------

    def _answer_handshake(self, request: Request) -> None:
        response = self._wire.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            said = (response.body or b"").decode("utf-8", "replace").strip()
            self._refuse(Refusal(response.status_code, "invalid_handshake", said or response.reason_phrase))
            return
        try:
            answer = self._gate.accept(
                request.path,
                combined_headers(request.headers),
                offered_subprotocols(request.headers),
                address_of(self.transport),
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
        self._audio = answer if isinstance(answer, AudioPeer) else None
        self._keepalive = self._loop.call_later(PING_S, self._ping)
        try:
            answer.opened(self)
        except Exception:  # as in `_hand_over`
            log.exception("a connection is closed because of a bug in the server")
            self.close_with(1011, "an internal error; the server's log tells more")

    def _refuse_unreadable(self, fault: Exception) -> None:
        cause = fault.__cause__ or fault
        # One that is too long is a `SecurityError` inside an `InvalidMessage` in websockets 16, an exception of its own later.
        too_long = isinstance(cause, SecurityError) or not isinstance(fault, InvalidMessage)
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST
        self._refuse(Refusal(status, "invalid_handshake", f"The WebSocket handshake cannot be read: {cause}."))

    def _refuse(self, refusal: Refusal) -> None:
        body = refusal.body()
        headers = Headers({**refusal.headers(), "content-length": str(len(body)), "connection": "close"})
        status = HTTPStatus(refusal.status)
        self._write([Response(status.value, status.phrase, headers, body).serialize()])
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
        """The client does not read: drop what waits for it, and say why in the close frame where it can still see one."""
        self._cancel("_stall")
        self._let_go()
        if self._close is None:
            log.info("%s does not read and is closed: %s", address_of(self.transport), reason)
            self.close_with(1008, reason)
        else:
            self.transport.abort()

    def _let_go(self) -> None:
        self._outbox.clear()
        self._outbox_bytes = 0
        self._fragments = []
        self._arrival = None

    def _ping(self) -> None:
        if self._close is not None or self._wire.state is not OPEN:
            return
        if self._ping_sent and not self.reading_waits:
            self.close_with(1011, f"nothing has come since a ping {PONG_S:.0f} s ago")
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
        handle: asyncio.Handle | asyncio.Task[None] | None = getattr(self, name)
        if handle is not None:
            handle.cancel()
            setattr(self, name, None)


def _fitting(reason: str) -> str:
    """A close reason holds 123 bytes."""
    return reason.encode()[:123].decode("utf-8", "ignore")
