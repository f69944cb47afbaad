"""A real WebSocket server that speaks as much of a Realtime session as a test scripts.

It is the other side of the wire: what comes is checked against the types of the package `openai`, and asking for an answer is answered by
scripts.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openai.types.realtime.realtime_client_event_param import RealtimeClientEventParam
from pydantic import TypeAdapter
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from tests.engines.scripted_servers import RealtimeConnection, SocketServer, next_of

_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEventParam)
NOW = ("input_audio_buffer.commit", "response.create")


def tone(ms: float) -> str:
    """PCM16 of 24 kHz in base64."""
    samples = (8_000 * np.sin(np.arange(round(24 * ms)) / 8)).astype("<i2")
    return base64.b64encode(samples.tobytes()).decode()


@dataclass
class SpeechConnection(RealtimeConnection):
    """One connection: its settings, what it was sent, and the items that it has."""

    settings: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    responses: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    # --- an answer ---

    @property
    def response(self) -> str:
        return f"resp_{self.responses}"

    async def message(self) -> str:
        """Begin a message; its id."""
        item = {"id": f"item_a{self.responses}", "type": "message", "role": "assistant", "content": []}
        self.items.append(item)
        await self.send("response.output_item.added", response_id=self.response, output_index=0, item=item)
        return str(item["id"])

    async def say(self, item: str, text: str, ms: float) -> None:
        place = {"response_id": self.response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send("response.output_audio_transcript.delta", delta=text, **place)
        await self.send("response.output_audio.delta", delta=tone(ms), **place)

    async def done(self, status: str = "completed", details: object = None, **fields: object) -> None:
        usage = {"input_tokens": 30, "output_tokens": 12, "input_token_details": {"cached_tokens": 20}}
        response = {"id": self.response, "status": status, "status_details": details, "output": [], "usage": usage}
        await self.send("response.done", response={**response, **fields})


Script = Callable[[SpeechConnection, dict[str, Any]], Coroutine[Any, Any, None]]
"""Answers a `response.create`; the object is its `response`."""


async def well(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    """Says two words of 200 ms."""
    item = await connection.message()
    await connection.say(item, "All", 200)
    await connection.say(item, " right.", 200)
    await connection.done()


@dataclass
class SpeechServer(SocketServer):
    """`scripts` answer in turn, the last one goes on. `detection` is what it says to a turn detection (an error's message, or the value
    that it keeps)."""

    scripts: list[Script] = field(default_factory=lambda: [well])
    detection: Callable[[object], object] = lambda wanted: wanted
    greets: bool = True
    connections: list[SpeechConnection] = field(default_factory=list)
    strict: bool = True
    """Whether every event is one of the package `openai`."""
    session: dict[str, Any] = field(default_factory=dict)

    async def converse(self, socket: ServerConnection, request: Request) -> None:
        connection = SpeechConnection(socket, request.headers, request.path)
        self.connections.append(connection)
        answers: set[asyncio.Task[None]] = set()
        try:
            if self.greets:
                await connection.send("session.created", session={"type": "realtime", "id": "sess_1", **self.session})
            async for message in socket:
                event = json.loads(message)
                connection.events.append(event)
                if self.strict:
                    _EVENT.validate_python(event)
                if event["type"] == "response.create":
                    connection.responses += 1
                    script = next_of(self.scripts)
                    await connection.send(
                        "response.created", response={"id": connection.response, "status": "in_progress"}
                    )
                    task = asyncio.create_task(script(connection, event.get("response", {})))
                    answers.add(task)
                else:
                    await self._handle(connection, event)
        finally:
            for task in answers:
                task.cancel()
            connection.closed.set()

    async def _handle(self, connection: SpeechConnection, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                session = event["session"]
                listening = session.get("audio", {}).get("input", {})
                place = listening if "turn_detection" in listening else session
                if "turn_detection" in place:
                    kept = self.detection(place["turn_detection"])
                    if isinstance(kept, str):
                        await connection.error("invalid_value", kept, event_id=event["event_id"])
                        return
                    place["turn_detection"] = kept
                _merge(connection.settings, session)
                await connection.send("session.updated", session=session)
            case "input_audio_buffer.append":
                connection.audio += base64.b64decode(event["audio"])
            case "input_audio_buffer.commit":
                item = f"item_u{len(connection.items)}"
                connection.items.append({"id": item, "type": "message", "role": "user"})
                await connection.send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
            case "conversation.item.create":
                connection.items.append(event["item"])
            case "conversation.item.delete":
                gone = [one for one in connection.items if one["id"] == event["item_id"]]
                if not gone:
                    await connection.error("item_not_found", "There is no such item.", event_id=event["event_id"])
                for one in gone:
                    connection.items.remove(one)
            case "conversation.item.truncate":
                for one in connection.items:
                    if one["id"] == event["item_id"]:
                        one["cut"] = event["audio_end_ms"]
            case "response.cancel":
                connection.cancelled.set()


def _merge(settings: dict[str, Any], changed: dict[str, Any]) -> None:
    for name, value in changed.items():
        if isinstance(value, dict) and isinstance(settings.get(name), dict) and value.keys() != {"type", "rate"}:
            _merge(settings[name], value)
        else:
            settings[name] = value
