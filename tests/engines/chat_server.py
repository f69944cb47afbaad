"""A real HTTP server that speaks as much of the chat-completions API as a test scripts, and sees what the client does.

It is the other side of the wire, not a stand-in for our code: bytes go through sockets, and `client_left` is set when the client
closes its connection while an answer is being written.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.engines.scripted_servers import next_of


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Answer:
    """What a script writes with."""

    def __init__(self, server: ChatServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self.started = False

    @property
    def client_port(self) -> int:
        """What tells the client's connections apart."""
        return int(self._writer.get_extra_info("peername")[1])

    async def json(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/html" if isinstance(body, bytes) else "application/json"
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{extra}content-length: {len(data)}\r\n\r\n"
        await self._write(head.encode() + data)

    async def event(self, data: object, name: str = "") -> None:
        """One server-sent event; the first one begins the stream."""
        text = data if isinstance(data, str) else json.dumps(data)
        await self.raw((f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode())

    async def raw(self, data: bytes, **headers: str) -> None:
        """Bytes of the stream as they are; the first ones begin it, with these headers (`content_encoding="gzip"`)."""
        if not self.started:
            self.started = True
            named = {"content-type": "text/event-stream"} | {
                name.replace("_", "-"): text for name, text in headers.items()
            }
            lines = "".join(f"{name}: {text}\r\n" for name, text in named.items())
            await self._write(f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{lines}\r\n".encode())
        await self._chunk(data)

    async def end(self) -> None:
        """The orderly end of the body."""
        await self._write(b"0\r\n\r\n")

    async def delta(self, finish: str | None = None, **delta: object) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        await self.event(
            {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        )

    async def usage(self, prompt: int, completion: int, cached: int = 0) -> None:
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        chunk = {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [],
            "usage": usage,
        }
        await self.event(chunk)

    async def done(self) -> None:
        await self.event("[DONE]")
        await self.end()

    async def text(self, *pieces: str) -> None:
        """A whole ordinary reply."""
        for piece in pieces:
            await self.delta(content=piece)
        await self.delta(finish="stop")
        await self.done()

    async def until_client_leaves(self) -> None:
        await self._reader.read()
        self._server.client_left.set()

    def break_off(self) -> None:
        self._writer.transport.abort()

    async def _chunk(self, data: bytes) -> None:
        await self._write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


Script = Callable[[Request, Answer], Awaitable[None]]


@dataclass
class ChatServer:
    """`scripts` answer the chat requests in turn (the last one goes on); `models` is what /models lists, or its status."""

    scripts: list[Script]
    models: list[str] | int | bytes = field(default_factory=lambda: ["m"])
    root: str = "/v1"
    api: str = "/chat/completions"
    """Where the scripts answer."""

    health: dict[str, object] | None = None
    redirect: tuple[int, str] | None = None
    """The status and location that answer every request outside `moved`."""

    moved: str = "/moved"
    requests: list[Request] = field(default_factory=list)
    client_left: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.root}"

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the chat requests so far."""
        return [request.body for request in self.requests if request.path.endswith(self.api)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ChatServer]:
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (line := await reader.readline()).strip():
                method, path, _ = line.decode().split(" ", 2)
                headers: dict[str, str] = {}
                while header := (await reader.readline()).decode().strip():
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                data = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(method, path, headers, self._parsed(headers, data))
                self.requests.append(request)
                await self._answer(request, Answer(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _parsed(self, headers: dict[str, str], data: bytes) -> Any:
        return json.loads(data) if data else None

    async def _answer(self, request: Request, answer: Answer) -> None:
        if self.redirect is not None and not request.path.startswith(self.moved):
            status, location = self.redirect
            await answer.json(status, {}, {"location": location + request.path})
        elif request.path.removeprefix(self.moved) == f"{self.root}{self.api}":
            script = next_of(self.scripts)
            await script(request, answer)
        elif request.path == "/health" and self.health is not None:
            await answer.json(200, self.health)
        elif request.path.removeprefix(self.moved) == f"{self.root}/models" and isinstance(self.models, list):
            await answer.json(
                200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
            )
        elif request.path == f"{self.root}/models" and isinstance(self.models, bytes):
            await answer.json(200, self.models)
        elif request.path == f"{self.root}/models" and isinstance(self.models, int):
            await answer.json(self.models, {"error": {"message": "no"}})
        else:
            await answer.json(404, {"error": {"message": "Not Found"}})
