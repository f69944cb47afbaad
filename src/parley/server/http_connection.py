"""One HTTP connection: uvicorn's, with a limit to every wait.

Laws:
- A complete request, headers and body, arrives within `request_s` after the connection began or the response before it was sent, and as
  much longer as its bytes take at `bytes_per_s`; else the connection ends. Single bytes do not extend the limit. (A WebSocket handshake is
  such a request; then `links/websocket` takes over.) A body that was answered before its end gains nothing.
- A response of which nothing is read for `stall_s` ends too.
- Where descriptors run short, the connection that has waited longest for its request is closed; where none waits, requests
  are refused with 503.
- Does not know: what is asked or answered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from parley.server.descriptors import Descriptors
from parley.server.refusals import Refusal
from parley.server.time_limits import CLOSE_S, STALL_S

REQUEST_S = 10.0
"""For a complete request; those of stock clients are one packet, and a mobile network sends that within seconds."""

BYTES_PER_S = 32 * 1024
"""A recording of 25 MB takes 13 minutes at this rate; a slower link is refused. It is less than any network that carries speech both ways
gives, and a client that sends less than that gains no time by it."""

WORTH_WAITING_S = 0.05
"""Time that a request has gained by its bytes; a few of them gain less."""

FULL_RETRY_S = 5
"""Connections that say nothing are gone after twice this."""

TOO_SLOW = Refusal(408, "request_timeout", f"The request was not complete within {REQUEST_S:g} s.")
FULL = Refusal(
    503,
    "too_many_connections",
    f"The server has too many open connections. Try again in {FULL_RETRY_S} s.",
    None,
    "server_error",
    FULL_RETRY_S,
)

INCOMPLETE = (h11.IDLE, h11.SEND_BODY, h11.ERROR, h11.CLOSED)
"""Where h11 sees the client while there is no whole request of its."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an HTTP connection may do nothing."""

    request_s: float = REQUEST_S
    stall_s: float = STALL_S
    bytes_per_s: float = BYTES_PER_S


@dataclass(slots=True)
class HttpConnections:
    """What all connections of one server share. `waiting`: those without a complete request, the longest first."""

    patience: Patience = field(default_factory=Patience)
    descriptors: Descriptors = field(default_factory=Descriptors)
    waiting: dict[HttpConnection, None] = field(default_factory=dict)

    def class_(self) -> type[asyncio.Protocol]:
        """The class to give to `uvicorn.Config(http=...)`."""
        shared = self

        class SharedHttpConnection(HttpConnection):
            def __init__(self, **uvicorn_state: Any) -> None:
                super().__init__(shared, **uvicorn_state)

        return SharedHttpConnection

    def can_serve(self, connections: int, descriptor: int) -> bool:
        """Whether the last of so many connections, with this descriptor, may be served. Ends another one for it, if need be."""
        if not self.descriptors.short(connections, descriptor):
            return True
        evicted = next(iter(self.waiting), None)
        self.descriptors.say(
            "%d connections are open, as many as the limit of %s descriptors allows: %s",
            connections,
            self.descriptors.limit,
            "connections that send no request are closed" if evicted else "new connections are refused",
        )
        if evicted is None:
            return False
        evicted.abandon()
        return True


class HttpConnection(H11Protocol):
    """Keywords are uvicorn's."""

    def __init__(self, shared: HttpConnections, **uvicorn_state: Any) -> None:
        super().__init__(**uvicorn_state)
        self._shared = shared
        self._served = True
        self._deadline: asyncio.TimerHandle | None = None
        self._since_s = 0.0
        self._received = 0
        """Bytes of the request that is awaited."""
        self._stall: asyncio.TimerHandle | None = None

    # --- asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._served = self._shared.can_serve(len(self.connections), transport.get_extra_info("socket").fileno())
        self._await_request()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if not self._served:
            # Only now: an answer before the request may be lost when the connection is closed.
            self._refuse(FULL)
            return
        self._received += len(data)
        super().data_received(data)
        self._see_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._cancel_stall()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(self._shared.patience.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_stall()

    # --- uvicorn -------------------------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        self._await_request()
        super().on_response_complete()
        self._see_request()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._stop_waiting()
        super().handle_websocket_upgrade(event)

    # --- the request ---------------------------------------------------------------------------------------------------

    def _await_request(self) -> None:
        self._stop_waiting()
        self._shared.waiting[self] = None
        self._since_s, self._received = self.loop.time(), 0
        self._deadline = self.loop.call_later(self._shared.patience.request_s, self._too_late)

    def _see_request(self) -> None:
        """Stop the clock if the request is complete. A connection that is closing keeps its deadline: its client may not read."""
        if self.conn.their_state not in INCOMPLETE and not self.transport.is_closing():
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        self._shared.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        patience = self._shared.patience
        until_s = self._since_s + patience.request_s + self._received / patience.bytes_per_s
        reading = self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.SEND_RESPONSE
        if reading and until_s > self.loop.time() + WORTH_WAITING_S:
            self._deadline = self.loop.call_at(until_s, self._too_late)
            return
        began, _ = self.conn.trailing_data
        if began and self.conn.our_state is h11.IDLE and not self.transport.is_closing():
            self._refuse(TOO_SLOW)
        else:
            self.abandon()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, and let the connection end at once, or soon where the client does not read."""
        self._stop_waiting()
        body, status = refusal.body(), HTTPStatus(refusal.status)
        headers = {**refusal.headers(), "content-length": str(len(body)), "connection": "close"}
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self._deadline = self.loop.call_later(CLOSE_S, self.transport.abort)
        self.transport.close()

    def abandon(self) -> None:
        """End it without a word."""
        self._stop_waiting()
        self.transport.abort()

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
