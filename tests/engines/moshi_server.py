"""A real WebSocket server that speaks the Moshi protocol, with real Opus both ways and a scripted model.

It behaves as the public servers do: one conversation at a time, a handshake when it is this one's turn, a frame of answer for each that it
is given, some frames late. The model is a parrot: after the user has paused it says how long it heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from parley.audio.types import Samples
from parley.engines.speech.moshi_opus import FRAME, RATE, OpusReader, OpusWriter
from parley.engines.speech.moshi_protocol import MessageKind
from tests.engines.scripted_servers import SocketServer

THINKS: Final = 3
"""Frames of silence after which the model answers."""

LATE: Final = 3
"""Frames by which its output lags."""

SAYS: Final = 2
"""Frames for each word."""


def tone(frames: int, loudness: float, hertz: float = 300.0) -> Samples:
    times = np.arange(frames * FRAME) / RATE
    made: Samples = (loudness * np.sqrt(2) * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    return made


Step = tuple[str, Samples]
"""The text and the audio of one frame."""


def spoken(words: list[str], loudness: float = 0.2) -> list[Step]:
    """Words as the model says them: the text first, then a tone of its own for each."""
    steps: list[Step] = []
    for number, word in enumerate(words):
        sound = tone(SAYS, loudness, 300 + 40 * number)
        steps += [(word if at == 0 else "", sound[at * FRAME : (at + 1) * FRAME]) for at in range(SAYS)]
    return steps


class Parrot:
    """Says how many frames of voice it heard, as loud as it heard them.

    `stubborn`: it does not stop when the user speaks; `hears`: the loudness of a voice. Opus and a resampler spread a sound by 15 ms: a
    frame counts where most of it sounds.
    """

    def __init__(
        self, greeting: list[str] | None = None, stubborn: bool = False, words: int = 1, hears: float = 0.12
    ) -> None:
        self.saying = spoken(greeting or [])
        self._stubborn = stubborn
        self._words = words
        self._hears = hears
        self._heard: list[float] = []
        self._quiet = 0

    def step(self, frame: Samples) -> Step:
        """The next frame of the model's, for one of the user's."""
        rms = float(np.sqrt(np.mean(frame**2)))
        if rms > self._hears:
            self._heard.append(rms)
            self._quiet = 0
            if not self._stubborn:
                self.saying = []
        else:
            self._quiet += 1
        if self._heard and self._quiet == THINKS:
            count, loudness = len(self._heard), min(0.5, max(0.05, max(self._heard)))
            words = [" I", " heard", f" {count}", " frames", *([" again"] * (self._words - 1)), "."]
            self.saying += spoken(words, loudness) + spoken([""] * (count // 2), loudness)
            self._heard = []
        return self.saying.pop(0) if self.saying else ("", np.zeros(FRAME, np.float32))


@dataclass
class Talk:
    """One connection."""

    socket: ServerConnection
    query: dict[str, str]
    headers: Headers
    frames: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, kind: int, payload: bytes = b"") -> None:
        await self.socket.send(bytes([kind]) + payload)


Script = Callable[[Talk], Awaitable[None]]
"""Instead of a conversation."""


@dataclass
class MoshiServer(SocketServer):
    """`script` takes the place of the conversation, `before` comes ahead of the handshake; `model` makes the model of each conversation."""

    model: Callable[[dict[str, str]], Parrot] = lambda query: Parrot(
        greeting=[" Hello", " there."] if "just written" in query.get("text_prompt", "") else None
    )
    personaplex: bool = False
    at_once: int = 1
    script: Script | None = None
    after_frames: dict[int, Script] = field(default_factory=dict)
    metadata: bool = False
    cuts: int = 0
    late: int = LATE
    talks: list[Talk] = field(default_factory=list)
    most: int = 0

    def __post_init__(self) -> None:
        self.root = ""
        self._places = asyncio.Semaphore(self.at_once)
        self._now = 0

    def greet(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuses is None and urlsplit(request.path).path != "/api/chat":
            return Response(404, "Not Found", Headers(), b"")
        return super().greet(connection, request)

    async def converse(self, socket: ServerConnection, request: Request) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query, True).items()}
        talk = Talk(socket, query, request.headers)
        self.talks.append(talk)
        try:
            if self.personaplex and not {"voice_prompt", "text_prompt"} <= query.keys():
                raise RuntimeError("the address lacks a prompt")
            async with self._places:
                self._now += 1
                self.most = max(self.most, self._now)
                try:
                    await (self.script or self._model_talks)(talk)
                finally:
                    self._now -= 1
        finally:
            talk.ended.set()

    async def _model_talks(self, talk: Talk) -> None:
        if self.metadata:
            await talk.send(MessageKind.METADATA, b'{"instance_name": "one"}')
            await talk.send(MessageKind.HANDSHAKE, bytes(8))
        else:
            await talk.send(MessageKind.HANDSHAKE)
        model, reader, writer = self.model(talk.query), OpusReader(), OpusWriter(42)
        await self._audio(talk, writer.head())
        heard = np.zeros(0, np.float32)
        async for message in talk.socket:
            assert isinstance(message, bytes)
            assert message[0] == MessageKind.AUDIO
            heard = np.concatenate([heard, reader.push(message[1:])])
            while len(heard) >= FRAME:
                frame, heard = heard[:FRAME], heard[FRAME:]
                talk.frames += 1
                if (script := self.after_frames.get(talk.frames)) is not None:
                    await script(talk)
                text, sound = model.step(frame)
                if talk.frames > self.late:
                    await self._audio(talk, writer.push(sound))
                if text:
                    await talk.send(MessageKind.TEXT, text.encode())

    async def _audio(self, talk: Talk, page: bytes) -> None:
        """In messages of `cuts` bytes, as servers cut anywhere."""
        size = self.cuts or len(page)
        for at in range(0, len(page), size):
            await talk.send(MessageKind.AUDIO, page[at : at + size])
