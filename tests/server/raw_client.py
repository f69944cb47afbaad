"""A client of the raw audio stream: audio in binary frames, events in text frames; keeps both in the order in which they came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import numpy as np
import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed

from parley.server.links.media_format import MediaFormat
from tests.server.harness import PATIENCE_S, Running


def voice(form: MediaFormat, seconds: float) -> bytes:
    """What the fake voice activity takes for speech."""
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(round(form.rate * seconds)) / form.rate)
    return form.encode(tone.astype(np.float32))


def silence(form: MediaFormat, seconds: float) -> bytes:
    return form.encode(np.zeros(round(form.rate * seconds), np.float32))


class RawClient:
    """`audio` is all the audio that came, `events` all events; `order` has the kind of each frame, "audio" or an event's type."""

    def __init__(self, connection: ws.ClientConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self.audio = b""
        self.order: list[str] = []

    async def next(self) -> str:
        frame = await asyncio.wait_for(self.connection.recv(), PATIENCE_S)
        if isinstance(frame, bytes):
            self.audio += frame
            self.order.append("audio")
        else:
            self.events.append(json.loads(frame))
            self.order.append(self.events[-1]["type"])
        return self.order[-1]

    async def until(self, kind: str) -> dict[str, Any]:
        """Read up to and with the next frame of that kind; the event, {} for audio."""
        while await self.next() != kind:
            pass
        return {} if kind == "audio" else self.events[-1]

    async def until_bytes(self, size: int) -> None:
        while len(self.audio) < size:
            await self.next()

    async def until_closed(self) -> int:
        """Read to the end; the close code that came."""
        try:
            while True:
                await self.next()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    async def push(self, audio: bytes, *sizes: int) -> None:
        """Send it in binary frames of these sizes, in turn."""
        at, turn = 0, 0
        while at < len(audio):
            size = sizes[turn % len(sizes)] if sizes else 1_024
            await self.connection.send(audio[at : at + size])
            at, turn = at + size, turn + 1

    async def send(self, **event: Any) -> None:
        await self.connection.send(json.dumps(event))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def streaming(
    server: Running, path: str = "/v1/audio/stream", headers: dict[str, str] | None = None, **query: object
) -> AsyncIterator[RawClient]:
    """A client that is connected; nothing has been read yet."""
    url = f"{server.ws}{path}?{urlencode(query)}"
    async with ws.connect(url, additional_headers=headers, compression=None, max_size=None) as connection:
        yield RawClient(connection)
