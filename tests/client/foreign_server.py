"""A small Realtime server that is not Parley's, to point the load driver at: hears voice wherever a chunk is not all zero, and
answers after a set silence and a set time with a scripted reply."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

TENTH_OF_A_SECOND = base64.b64encode(b"\x01\x02" * 2400).decode()


@dataclass(frozen=True, slots=True)
class Behaviour:
    silence_ms: int = 200
    reply_after_s: float = 0.05
    chunks: int = 3
    chunk_every_s: float = 0.02
    answers: bool = True
    impatient: bool = False
    """Answers as soon as it hears a voice."""
    filler_first: bool = False
    """Says "one moment" at once, as a Parley does."""
    closes_after_turns: int = 1_000_000
    key: str | None = None
    indent: int | None = None
    """Spaces in its JSON, as some servers write it."""


class Talk:
    def __init__(self, socket: ServerConnection, behaviour: Behaviour) -> None:
        self.socket, self.behaviour = socket, behaviour
        self.voiced, self.quiet_ms, self.turns = False, 0.0, 0
        self.reply: asyncio.Task[None] | None = None
        self.silence_ms = behaviour.silence_ms

    async def say(self, kind: str, **members: Any) -> None:
        event = {"event_id": "event_1", "type": kind, **members}
        await self.socket.send(json.dumps(event, indent=self.behaviour.indent))

    async def session(self, kind: str) -> None:
        detection = {"type": "server_vad", "silence_duration_ms": self.silence_ms}
        await self.say(kind, session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})

    async def run(self) -> None:
        await self.session("session.created")
        async for text in self.socket:
            event = json.loads(text)
            if event["type"] == "session.update":
                self.silence_ms = event["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"]
                await self.session("session.updated")
            else:
                await self.hear(base64.b64decode(event["audio"]))

    async def hear(self, pcm: bytes) -> None:
        if any(pcm):
            self.quiet_ms = 0.0
            if not self.voiced:
                self.voiced = True
                await self.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_1")
                if self.reply is not None and not self.reply.done():
                    self.reply.cancel()
                    await self.say("response.done", response={"id": "resp_1", "status": "cancelled"})
                if self.behaviour.impatient:
                    self.reply = asyncio.create_task(self.answer(0.0))
        elif self.voiced:
            self.quiet_ms += len(pcm) / 48
            if self.quiet_ms >= self.silence_ms:
                self.voiced = False
                self.turns += 1
                if self.turns > self.behaviour.closes_after_turns:
                    await self.socket.close(1011, "out of turns")
                elif self.behaviour.answers:
                    self.reply = asyncio.create_task(self.answer(self.behaviour.reply_after_s))

    async def fill(self) -> None:
        named = {"id": "resp_f", "conversation_id": None, "metadata": {"parley": "filler"}}
        await self.say("response.created", response={"status": "in_progress", **named})
        await self.say("response.output_audio.delta", response_id="resp_f", delta=TENTH_OF_A_SECOND)
        await self.say("response.done", response={"status": "completed", "output": [], **named})

    async def answer(self, after_s: float) -> None:
        if self.behaviour.filler_first:
            await self.fill()
        await asyncio.sleep(after_s)
        await self.say("response.created", response={"id": "resp_1", "status": "in_progress"})
        for _ in range(self.behaviour.chunks):
            await self.say("response.output_audio.delta", response_id="resp_1", delta=TENTH_OF_A_SECOND)
            await asyncio.sleep(self.behaviour.chunk_every_s)
        await self.say("response.done", response={"id": "resp_1", "status": "completed", "output": []})


@asynccontextmanager
async def foreign_server(behaviour: Behaviour) -> AsyncIterator[str]:
    """Yield its URL."""

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        if behaviour.key is not None and request.headers.get("Authorization") != f"Bearer {behaviour.key}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, '{"error":{"message":"Incorrect API key provided."}}')
        return None

    async def talk(socket: ServerConnection) -> None:
        held = Talk(socket, behaviour)
        try:
            await held.run()
        except ConnectionClosed:
            pass
        finally:
            if held.reply is not None:
                held.reply.cancel()
                await asyncio.gather(held.reply, return_exceptions=True)

    check: Callable[[ServerConnection, Request], Response | None] = admit
    async with serve(talk, "127.0.0.1", 0, process_request=check) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
