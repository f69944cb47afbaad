"""A real WebSocket server that speaks as much of a Realtime transcription session as a test scripts.

It is the other side of the wire: what comes is checked against the types of the package `openai`, and commits are answered by scripts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openai.types.realtime.realtime_transcription_session_create_request_param import (
    RealtimeTranscriptionSessionCreateRequestParam,
)
from pydantic import TypeAdapter
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from tests.engines.scripted_servers import RealtimeConnection, SocketServer, next_of

_SESSION: TypeAdapter[Any] = TypeAdapter(RealtimeTranscriptionSessionCreateRequestParam)
TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass
class Session(RealtimeConnection):
    """One connection: the settings that it was sent, and its audio so far."""

    settings: Any = None
    items: int = 0

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
class RealtimeServer(SocketServer):
    """`scripts` answer the commits in turn, the last one goes on."""

    scripts: list[Script] = field(default_factory=lambda: [counts])
    models: tuple[str, ...] = ("m",)
    sessions: list[Session] = field(default_factory=list)

    async def converse(self, socket: ServerConnection, request: Request) -> None:
        session = Session(socket, request.headers, request.path)
        self.sessions.append(session)
        await session.send("session.created", session={"type": "transcription"})
        async for message in socket:
            await self._handle(session, json.loads(message))

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
                await next_of(self.scripts)(session, item)
                session.audio.clear()
            case kind:
                await session.error("invalid_value", f"No event {kind!r}.")


def loud(audio: bytearray) -> bool:
    return bool(np.abs(np.frombuffer(bytes(audio), "<i2")).max(initial=0) > 100)
