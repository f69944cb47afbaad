"""A client's WebSocket for one driven session.

Prepared frames go straight to the transport, received ones through `websockets`' sans-IO protocol.

Laws: no task, queue or timer per session; everything happens in the event loop's own callbacks. The few frames a
server sends in a turn may cost what the library costs; the fifty a second that leave may not (`websockets`'
connection: 18 us each, `transport.write`: about 5).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from parley.client.urls import MAX_MESSAGE_BYTES

MAX_UNSENT_BYTES = 4 * 2**20
"""About a minute of speech: a server that has not read for so long will not answer in time."""


FAREWELL_S = 2.0
"""How long closing waits for the server's close frame."""


class LoadLink(asyncio.Protocol):
    """One connection. `on_message(message, monotonic seconds)` for each text message; `ended` resolves to the reason
    when it is over."""

    def __init__(self, url: str, api_key: str | None, on_message: Callable[[bytes, float], None]) -> None:
        self._protocol = ClientProtocol(parse_uri(url), max_size=MAX_MESSAGE_BYTES)
        self._api_key = api_key
        self._on_message = on_message
        self._parts: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._leaving = False
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()

    @classmethod
    async def dial(cls, url: str, api_key: str | None, on_message: Callable[[bytes, float], None]) -> LoadLink:
        """Connect and shake hands; raises OSError, or ConnectionRefusedError with the server's own words."""
        uri = parse_uri(url)
        context = ssl.create_default_context() if uri.secure else None
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: cls(url, api_key, on_message), uri.host, uri.port, ssl=context
        )
        await link.opened
        return link

    def send(self, frame: bytes) -> None:
        """Write one prepared frame (`recording.text_frame`); nothing happens once the connection is over."""
        if self._transport is not None and not self._leaving:
            self._transport.write(frame)

    @property
    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def close(self) -> None:
        """Start the closing handshake; the connection is over (`ended`) when the server has answered, or after `FAREWELL_S`.

        To hang up at once, with messages unread, would look to the server like a connection that broke.
        """
        if self._transport is None or self._leaving:
            return
        if self._protocol.state is not OPEN:
            self._end("closed by the client")
            return
        self._leaving = True
        self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        self._flush()
        asyncio.get_running_loop().call_later(FAREWELL_S, self._end, "closed by the client")

    def abandon(self, reason: str) -> None:
        """Drop the connection, for a reason on this side."""
        self._end(reason)

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only
        request = self._protocol.connect()
        if self._api_key is not None:
            request.headers["Authorization"] = f"Bearer {self._api_key}"
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            match event:
                case Response():
                    self._shaken(event)
                case Frame():
                    self._take(event, now_s)
                case _:
                    self._end("the server sent what only a client may send")
        self._flush()
        if self._protocol.close_rcvd is not None or (self._protocol.close_expected() and not self._leaving):
            self._end(self._farewell())

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        list(self._protocol.events_received())
        self._end(self._farewell())

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection broke: {exc}" if exc else self._farewell())

    # ------------------------------------------------------------------------------------------------------------------

    def _shaken(self, response: Response) -> None:
        if self._protocol.handshake_exc is None:
            if not self.opened.done():
                self.opened.set_result(None)
            return
        body = bytes(response.body or b"")[:500].decode(errors="replace").strip()
        self._end(f"HTTP {response.status_code} {response.reason_phrase}{': ' if body else ''}{body}")

    def _take(self, frame: Frame, now_s: float) -> None:
        if self._leaving:
            return
        if frame.opcode is Opcode.TEXT or (frame.opcode is Opcode.CONT and self._parts):
            if frame.fin and not self._parts:
                self._on_message(bytes(frame.data), now_s)
                return
            self._parts.append(bytes(frame.data))
            if frame.fin:
                message = b"".join(self._parts)
                self._parts.clear()
                self._on_message(message, now_s)

    def _farewell(self) -> str:
        if self._leaving:
            return "closed by the client"
        close = self._protocol.close_rcvd
        if close is None:
            return "the server hung up without a close frame"
        return f"the server closed with {close.code}{f' ({close.reason})' if close.reason else ''}"

    def _flush(self) -> None:
        if self._transport is not None:
            for data in self._protocol.data_to_send():
                if data:
                    self._transport.write(data)

    def _end(self, reason: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        if not self.opened.done():
            self.opened.set_exception(ConnectionRefusedError(reason))
        if not self.ended.done():
            self.ended.set_result(reason)
