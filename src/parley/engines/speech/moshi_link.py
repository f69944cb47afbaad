"""One connection to a Moshi server: frames of audio out, audio and text in, and where each lies.

Laws:
- Nothing is sent before the server's handshake: PersonaPlex loses what comes while it reads its prompts.
- No task and no queue of its own: who talks also listens. What nobody takes stays in the WebSocket's queue, which stops the server.
- No redirect is followed; a key goes to the server that was named.
- `leave()` returns at once; the connection ends behind it, within `CLOSE_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from parley.audio.types import Samples
from parley.engines.speech.moshi_errors import MoshiFaults
from parley.engines.speech.moshi_opus import InvalidOpus, OpusReader, OpusWriter
from parley.engines.speech.moshi_protocol import MAX_MESSAGE_BYTES, MessageKind, Query, TokenText, address

if TYPE_CHECKING:
    import ssl

    from websockets.asyncio.client import ClientConnection

CLOSE_S: Final = 1.0
_MAX_WAITING: Final = 16
"""Messages that the WebSocket keeps for us."""

_SERIAL: Final = 0x70617273

_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.INFO)  # below, websockets logs each header, a key among them, and each frame


class MoshiLink:
    """A conversation with the model. `query` is what it was begun with; `sent` and `got` count samples of audio at 24 kHz."""

    def __init__(self, socket: ClientConnection, faults: MoshiFaults, query: Query) -> None:
        self.query = query
        self.sent = 0
        self.got = 0
        self._lag: int | None = None
        self._socket = socket
        self._faults = faults
        self._writer: OpusWriter | None = OpusWriter(_SERIAL)
        self._reader: OpusReader | None = OpusReader()
        self._text = TokenText()
        self._leaving: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """False once the connection is known to have ended."""
        return self._leaving is None and self._socket.state.name == "OPEN"

    @property
    def lag(self) -> int:
        """Samples by which the model answers late: the fewest that were ever on their way. 0 before it has answered."""
        return max(0, self._lag or 0)

    async def send(self, frame: Samples) -> None:
        """Send `FRAME` samples. Raises `MoshiLinkLost`."""
        if self._writer is None:
            raise self._faults.lost("it was closed here")
        await self._send(self._writer.push(frame))
        self.sent += len(frame)

    async def receive(self) -> Samples | str:
        """The next audio or text, possibly empty. Raises `EngineError`: `connection_lost`, `server_error`, `invalid_answer`."""
        while True:
            kind, payload = await self._message()
            match kind:
                case MessageKind.AUDIO:
                    if self._reader is None:
                        raise self._faults.lost("it was closed here")
                    try:
                        audio = self._reader.push(payload)
                    except InvalidOpus as error:
                        raise self._faults.invalid(str(error)) from None
                    self.got += len(audio)
                    self._lag = self.sent - self.got if self._lag is None else min(self._lag, self.sent - self.got)
                    return audio
                case MessageKind.TEXT:
                    return self._text.push(payload)
                case MessageKind.ERROR:
                    raise self._faults.reported(payload.decode("utf-8", "replace"))

    def leave(self) -> asyncio.Task[None]:
        """End the connection; whoever waits for it gets `connection_lost`. The task is done when it is closed."""
        if self._leaving is None:
            self._writer = self._reader = None  # FFmpeg's threads end with them
            self._leaving = asyncio.get_running_loop().create_task(self._close())
        return self._leaving

    async def begin(self, limit_s: float) -> None:
        """Wait for the handshake, then begin the stream. Raises `EngineError`: `server_busy`, `no_handshake`, `server_error`."""
        from websockets.exceptions import ConnectionClosed

        try:
            async with asyncio.timeout(limit_s):
                while True:
                    try:
                        message = await self._socket.recv()
                    except ConnectionClosed as closed:
                        raise self._faults.no_handshake(f"it closed the connection{_reason(closed)}") from None
                    if isinstance(message, str) or not message:
                        raise self._faults.no_handshake("its first message is none of the protocol")
                    if message[0] == MessageKind.HANDSHAKE:
                        break
                    if message[0] == MessageKind.ERROR:
                        raise self._faults.reported(message[1:].decode("utf-8", "replace"))
                    if message[0] in (MessageKind.AUDIO, MessageKind.TEXT):
                        raise self._faults.no_handshake("it sent an answer before its handshake")
        except TimeoutError:
            raise self._faults.busy(f"it took the connection and sent no handshake within {limit_s:g} s") from None
        assert self._writer is not None
        await self._send(self._writer.head())

    async def _send(self, data: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(bytes([MessageKind.AUDIO]) + data)
        except ConnectionClosed as closed:
            raise self._faults.lost(_how(closed)) from None

    async def _message(self) -> tuple[int, bytes]:
        from websockets.exceptions import ConnectionClosed

        try:
            message = await self._socket.recv()
        except ConnectionClosed as closed:
            raise self._faults.lost(_how(closed)) from None
        if isinstance(message, str):
            raise self._faults.invalid("a message is text where the protocol has bytes")
        if not message:
            raise self._faults.invalid("a message is empty")
        return message[0], message[1:]

    async def _close(self) -> None:
        closing = asyncio.get_running_loop().create_task(self._socket.close())
        # What is still in its queue would keep the end of the connection from being read.
        with contextlib.suppress(Exception):
            while True:
                await self._socket.recv()
        await closing


async def connect(faults: MoshiFaults, query: Query, handshake_s: float, tls: ssl.SSLContext | None) -> MoshiLink:
    """Open a conversation and wait for its handshake. Raises `EngineError`: `connection_failed`, `invalid_base_url`, `invalid_api_key`,
    `server_busy`, `no_handshake`, `server_error`; `ValueError` where the query is too long."""
    from websockets.asyncio.client import connect as open_socket
    from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

    endpoint = faults.endpoint
    url = address(endpoint.base_url, query)

    class _Opening(open_socket):
        def process_redirect(self, exc: Exception) -> Exception:
            return exc  # a redirect would carry the key and the instructions elsewhere

    try:
        socket = await _Opening(
            url,
            additional_headers=endpoint.request_headers(),
            open_timeout=endpoint.connect_timeout_s,
            close_timeout=CLOSE_S,
            ping_interval=None,  # a server that holds another conversation does not answer; time limits are the caller's
            max_size=MAX_MESSAGE_BYTES,
            max_queue=_MAX_WAITING,
            logger=_wire_log,
            compression=None,
            proxy=None if endpoint.is_local else True,
            ssl=tls if url.startswith("wss:") else None,
        )
    except InvalidStatus as error:
        raise faults.refused_status(error.response.status_code) from None
    except (InvalidMessage, InvalidURI, InvalidHandshake) as error:
        raise faults.no_websocket(type(error).__name__) from None
    except OSError as error:
        raise faults.unreachable(error) from None
    link = MoshiLink(socket, faults, query)
    try:
        await link.begin(handshake_s)
    except BaseException:
        link.leave()
        raise
    return link


def _how(closed: Exception) -> str:
    return f"it was closed{_reason(closed)}"


def _reason(closed: Exception) -> str:
    """The close code, where the server gave one."""
    received = getattr(closed, "rcvd", None)
    return f" (code {received.code})" if received is not None else " without a goodbye"
