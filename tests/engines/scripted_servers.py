"""What the scripted servers of these tests share: answers in turn, WebSockets, and a thread of their own."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

T = TypeVar("T")


def next_of(scripts: list[T]) -> T:
    """The next script; the last one goes on."""
    return scripts.pop(0) if len(scripts) > 1 else scripts[0]


@dataclass(kw_only=True)
class SocketServer:
    """A real WebSocket server. `refuses` is the status and body of a handshake. A subclass has `converse()`."""

    refuses: tuple[int, object] | None = None
    tls: ssl.SSLContext | None = None
    port: int = 0
    root: str = field(default="/v1", init=False)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{self.root}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        async with serve(self._talk, "127.0.0.1", self.port, process_request=self.greet, ssl=self.tls) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self

    def greet(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuses is None:
            return None
        status, body = self.refuses
        location = {"Location": str(body)} if 300 <= status < 400 else {}
        return Response(status, "X", Headers(location), json.dumps(body).encode())

    async def _talk(self, socket: ServerConnection) -> None:
        request = socket.request
        assert request is not None
        with suppress(ConnectionClosed):
            await self.converse(socket, request)

    async def converse(self, socket: ServerConnection, request: Request) -> None:
        """Until the connection ends."""
        raise NotImplementedError


@dataclass
class RealtimeConnection:
    """One connection of a client of the Realtime API."""

    socket: ServerConnection
    headers: Headers
    path: str
    audio: bytearray = field(default_factory=bytearray, init=False)

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, "event_id": "event_1", **fields}))

    async def error(self, code: str, message: str, kind: str = "invalid_request_error", **fields: object) -> None:
        await self.send("error", error={"type": kind, "code": code, "message": message, "param": None, **fields})


class ScriptedServer(Protocol):
    """A server of these tests, over WebSocket or HTTP."""

    @property
    def url(self) -> str: ...

    def running(self) -> AbstractAsyncContextManager[object]: ...


@contextmanager
def served(server: ScriptedServer) -> Iterator[str]:
    """The address of the server, which runs on a thread of its own."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        async with server.running():
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait()
    try:
        yield server.url
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
