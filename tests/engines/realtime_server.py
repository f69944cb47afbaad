"""A real WebSocket server that speaks as much of a Realtime transcription session as a test scripts.

It is the other side of the wire: what comes is checked against the types of the package `openai`, and commits are answered by scripts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openai.types.realtime.realtime_transcription_session_create_request_param import (
    RealtimeTranscriptionSessionCreateRequestParam,
)
from pydantic import TypeAdapter
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

_SESSION: TypeAdapter[Any] = TypeAdapter(RealtimeTranscriptionSessionCreateRequestParam)
TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass
class Session:
    """One connection: the settings that it was sent, and its audio so far."""

    socket: ServerConnection
    headers: Headers
    path: str
    settings: Any = None
    audio: bytearray = field(default_factory=bytearray)
    items: int = 0

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, "event_id": "event_1", **fields}))

    async def error(self, code: str, message: str, kind: str = "invalid_request_error") -> None:
        await self.send("error", error={"type": kind, "code": code, "message": message, "param": None})

    async def delta(self, text: str, item: str) -> None:
        await self.send(TRANSCRIPTION + "delta", item_id=item, content_index=0, delta=text)

    async def completed(self, text: str, item: str) -> None:
        usage = {"type": "duration", "seconds": 1}
        await self.send(TRANSCRIPTION + "completed", item_id=item, content_index=0, transcript=text, usage=usage)

    @property
    def seconds(self) -> float:
        return len(self.audio) / 48_000


Script = Callable[[Session, str], Awaitable[None]]
"""Answers a commit; the text is the item's id."""


async def counts(session: Session, item: str) -> None:
    """Says how many tenths of a second it was given, in two pieces."""
    heard = f"{round(10 * session.seconds)} tenths"
    await session.delta(heard[:4], item)
    await session.delta(heard[4:], item)
    await session.completed(heard, item)


@dataclass
class RealtimeServer:
    """`scripts` answer the commits in turn, the last one goes on; `refuses` is the status and body of a handshake."""

    scripts: list[Script] = field(default_factory=lambda: [counts])
    refuses: tuple[int, object] | None = None
    models: tuple[str, ...] = ("m",)
    sessions: list[Session] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RealtimeServer]:
        async with serve(self._talk, "127.0.0.1", self.port, process_request=self._greet) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuses is None:
            return None
        status, body = self.refuses
        location = {"Location": str(body)} if 300 <= status < 400 else {}
        return Response(status, "X", Headers(location), json.dumps(body).encode())

    async def _talk(self, socket: ServerConnection) -> None:
        request = socket.request
        assert request is not None
        session = Session(socket, request.headers, request.path)
        self.sessions.append(session)
        try:
            await session.send("session.created", session={"type": "transcription"})
            async for message in socket:
                await self._handle(session, json.loads(message))
        except ConnectionClosed:
            pass

    async def _handle(self, session: Session, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                session.settings = _SESSION.validate_python(event["session"])["audio"]["input"]
                model = session.settings["transcription"]["model"]
                if model not in self.models:
                    await session.error("model_not_found", f"The model {model!r} does not exist.")
                    return
                await session.send("session.updated", session=event["session"])
            case "input_audio_buffer.append":
                session.audio += base64.b64decode(event["audio"])
            case "input_audio_buffer.commit":
                session.items += 1
                item = f"item_{session.items}"
                await session.send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                await script(session, item)
                session.audio.clear()
            case kind:
                await session.error("invalid_value", f"No event {kind!r}.")


def loud(audio: bytearray) -> bool:
    return bool(np.abs(np.frombuffer(bytes(audio), "<i2")).max(initial=0) > 100)
