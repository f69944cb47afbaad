"""The WebSocket to a Realtime server: messages in order, both ways.

Laws: messages that wait to be sent are bounded; a refusal carries the server's own words and a remedy. A key is sent only to the server
that was named, and appears in no message.
Does not know: what a message means.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from parley.client.urls import MAX_MESSAGE_BYTES, UnusableUrl, realtime_url
from parley.errors import ParleyError

OPEN_TIMEOUT_S = 15
"""A server that has not answered the handshake by then counts as unreachable."""

CLOSE_TIMEOUT_S = 1
"""How long closing waits for the server's close frame."""

UNSENT_MESSAGES = 1500
"""Half a minute of microphone: a server that has not read for so long counts as lost."""

PING_EVERY_S = 20.0
"""How often the server is asked for a sign of life, unless `dial` is told how soon it must answer."""

PING_SOON_S = 1.0

LOOPBACK = ("127.0.0.1", "localhost", "::1")

WRONG_KEY = 401
GONE_FOR_GOOD = range(400, 500)
TOO_MANY = 429

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ServerUnavailable(ParleyError):
    """No session can be opened. `again`: another attempt may succeed."""

    def __init__(self, message: str, remedy: str = "", *, again: bool = False) -> None:
        super().__init__(message, remedy)
        self.again = again


@dataclass(frozen=True, slots=True)
class Server:
    """A server's complete WebSocket URL (`Server.at`), and the key, which appears in no `repr`."""

    url: str
    key: str = field(default="", repr=False)
    name: str = ""

    @classmethod
    def at(cls, url: str, model: str = "", key: str = "", name: str = "") -> Server:
        """Complete a URL as people write it. Raises `ServerUnavailable`."""
        try:
            whole = realtime_url(url, None)
            if model or not parse_qs(urlsplit(whole).query).get("model"):
                whole = realtime_url(url, model or None)
        except UnusableUrl as error:
            raise ServerUnavailable(error.message, error.remedy) from error
        return cls(whole, key, name or urlsplit(whole).netloc.rpartition("@")[2])

    @property
    def http(self) -> str:
        """The server's address for HTTP, without a path."""
        parts = urlsplit(self.url)
        return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"

    @property
    def here(self) -> bool:
        """The server is on this machine, so no proxy is used."""
        return urlsplit(self.url).hostname in LOOPBACK


class Connection:
    """One open WebSocket: iterate over it for messages, `send` never waits. Made by `dial`."""

    def __init__(self, socket: ClientConnection, answers_within_s: float = PING_EVERY_S) -> None:
        self._socket = socket
        self._answers_within_s = answers_within_s
        self._unsent: asyncio.Queue[str] = asyncio.Queue(UNSENT_MESSAGES)
        self._writer = asyncio.create_task(self._write())
        self.why_ended = ""

    def send(self, messages: Iterable[str]) -> None:
        """Queue messages; a server that no longer reads loses the connection."""
        for message in messages:
            try:
                self._unsent.put_nowait(message)
            except asyncio.QueueFull:
                self.abandon("the server stopped reading")
                return

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        try:
            async for message in self._socket:
                yield message
        except ConnectionClosed as error:
            if error.sent is not None and error.sent.reason == "keepalive ping timeout":
                self.why_ended = self.why_ended or f"the server has not answered for {self._answers_within_s:g} s"
        closed = self._socket.close_code, self._socket.close_reason
        self.why_ended = self.why_ended or f"the server closed with {closed[0]}{f' ({closed[1]})' if closed[1] else ''}"

    def abandon(self, why: str) -> None:
        """End the connection at once: nothing that waits is sent."""
        self.why_ended = self.why_ended or why
        self._socket.transport.abort()

    @property
    def unsent(self) -> int:
        """Messages that wait for the server to read."""
        return self._unsent.qsize()

    async def flush(self) -> None:
        """Until everything queued has been handed to the socket, or the connection is over."""
        done = asyncio.create_task(self._unsent.join())
        await asyncio.wait((done, self._writer), timeout=CLOSE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        done.cancel()

    async def close(self) -> None:
        self._writer.cancel()
        await self._socket.close()

    async def _write(self) -> None:
        try:
            while True:
                message = await self._unsent.get()
                await self._socket.send(message)
                self._unsent.task_done()
        except ConnectionClosed:
            # The reader reports the reason.
            return


@asynccontextmanager
async def dial(
    server: Server, headers: Mapping[str, str] = _NO_HEADERS, *, answers_within_s: float = PING_EVERY_S
) -> AsyncIterator[Connection]:
    """A connection to the server, closed at the end; `headers` are sent beside the key. A server that reads nothing for `answers_within_s`
    counts as lost. Raises `ServerUnavailable`."""
    key = {"Authorization": f"Bearer {server.key}"} if server.key else {}
    try:
        opened = await connect(
            server.url,
            additional_headers={**headers, **key},
            max_size=MAX_MESSAGE_BYTES,
            compression=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=min(PING_SOON_S, answers_within_s) if answers_within_s < PING_EVERY_S else PING_EVERY_S,
            ping_timeout=answers_within_s,
            proxy=None if server.here else True,
        )
    except InvalidStatus as error:
        raise _refusal(server, error) from error
    except InvalidURI as error:
        raise ServerUnavailable(
            f"{server.name} is not a WebSocket URL.", "Write --url like ws://127.0.0.1:8765."
        ) from error
    except InvalidHandshake as error:
        raise ServerUnavailable(
            f"{server.name} does not speak WebSocket: {error}.", "Is it a Realtime server?"
        ) from error
    except TimeoutError as error:
        raise ServerUnavailable(f"{server.name} did not answer within {OPEN_TIMEOUT_S} s.", again=True) from error
    except OSError as error:
        reason, remedy = _unreachable(error)
        raise ServerUnavailable(f"{server.name} cannot be reached: {reason}.", remedy, again=True) from error
    connection = Connection(opened, answers_within_s)
    try:
        yield connection
    finally:
        await connection.close()


def _unreachable(error: OSError) -> tuple[str, str]:
    """Why, in the system's words, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {error.verify_message}",
            "Make this machine trust it (SSL_CERT_FILE names a file).",
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error})", "Is its URL ws:// rather than wss://?"
    remedy = "Is it running? `parley serve` starts one; without --url, this command brings its own."
    # asyncio's own words would name functions and, where a name has several addresses, a list of errors.
    number = error.errno if isinstance(error.errno, int) else _number_in(str(error))
    if number and number > 0 and not isinstance(error, socket.gaierror):
        return os.strerror(number), remedy
    return error.strerror or str(error), remedy


def _number_in(text: str) -> int:
    found = re.search(r"\[Errno (\d+)\]", text)
    return int(found[1]) if found else 0


def _refusal(server: Server, error: InvalidStatus) -> ServerUnavailable:
    response = error.response
    said = _message(bytes(response.body or b""))
    status = response.status_code
    if status == WRONG_KEY:
        remedy = (
            "Correct the key in the environment variable that --api-key-env names."
            if server.key
            else "Name the environment variable that holds the key with --api-key-env."
        )
        return ServerUnavailable(f"{server.name} refuses the key: {said or 'HTTP 401'}", remedy)
    again = status not in GONE_FOR_GOOD or status == TOO_MANY
    return ServerUnavailable(
        f"{server.name} refuses the session: HTTP {status}{f': {said}' if said else ''}", again=again
    )


class _Error(msgspec.Struct):
    message: str = ""


class _Refused(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


def _message(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Refused).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:200].decode(errors="replace").strip()
