"""A stock WebRTC client in the tests' process: aiortc's own peer connection, a data channel, a voice to send and an ear."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from numpy.typing import NDArray

from tests.server.harness import PATIENCE_S
from tests.wire.sdk import parse_server_event

RATE = 48_000
FRAME = RATE // 50
LOUD = 1_000
"""Of 32,767: more than the noise of a codec."""


async def comes_true(condition: Callable[[], bool]) -> None:
    """Wait, beside media in real time, which a loop that turns for nothing would delay."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


class Voice(MediaStreamTrack):
    """Says the samples (int16, 48 kHz) that are put into `saying`, in real time, and silence between them."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.saying: NDArray[np.int16] = np.zeros(0, np.int16)
        self._at = 0
        self._start_s = 0.0

    def say(self, samples: NDArray[np.int16]) -> None:
        self.saying = np.concatenate([self.saying, samples])

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if not self._at:
            self._start_s = loop.time()
        await asyncio.sleep(max(0.0, self._start_s + self._at / RATE - loop.time()))
        piece, self.saying = self.saying[:FRAME], self.saying[FRAME:]
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(piece.tobytes() + bytes(2 * (FRAME - len(piece))))
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._at, Fraction(1, RATE)
        self._at += FRAME
        return frame


@dataclass
class Caller:
    """A call as its client has it. `events` are all that came, judged; `heard` all audio (int16, 48 kHz, mono)."""

    connection: RTCPeerConnection
    voice: Voice
    location: str = ""
    translates: bool = False
    events: list[Any] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)
    pieces: list[NDArray[np.int16]] = field(default_factory=list)
    channel: Any = None
    speech_ms: int = 0
    """How long it heard more than silence."""
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _sounded: asyncio.Event = field(default_factory=asyncio.Event)
    _read: int = 0

    @property
    def heard(self) -> NDArray[np.int16]:
        return np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.int16)

    async def hears(self, ms: int) -> None:
        """Wait until so much speech has been heard."""
        async with asyncio.timeout(PATIENCE_S):
            while self.speech_ms < ms:
                self._sounded.clear()
                await self._sounded.wait()

    async def listens(self, ms: int) -> NDArray[np.int16]:
        """Whatever is heard in the next `ms`."""
        heard, wanted = len(self.pieces), ms // 20
        async with asyncio.timeout(PATIENCE_S):
            while len(self.pieces) < heard + wanted:
                self._sounded.clear()
                await self._sounded.wait()
        return np.concatenate(self.pieces[heard:])

    async def next(self) -> Any:
        while self._read == len(self.events):
            self._came.clear()
            await asyncio.wait_for(self._came.wait(), PATIENCE_S)
        self._read += 1
        return self.events[self._read - 1]

    async def until(self, kind: str) -> Any:
        while (event := await self.next()).type != kind:
            pass
        return event

    def send(self, **event: Any) -> None:
        self.channel.send(json.dumps(event))

    def kinds(self) -> list[str]:
        return [event.type for event in self.events]

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    async def translated(self) -> dict[str, Any]:
        """The next event of a translation session."""
        while self._read == len(self.raw):
            self._came.clear()
            await asyncio.wait_for(self._came.wait(), PATIENCE_S)
        self._read += 1
        return self.raw[self._read - 1]

    def _take(self, data: str | bytes) -> None:
        frame = data.encode() if isinstance(data, str) else data
        self.raw.append(json.loads(frame))
        if not self.translates:
            self.events.append(parse_server_event(frame))
        self._came.set()

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                audio = frame.to_ndarray().reshape(-1, 2)[:, 0].astype(np.int16)
                self.pieces.append(audio)
                loud = np.abs(audio.astype(np.int32)).reshape(-1, RATE // 100).max(axis=1) > LOUD
                self.speech_ms += 10 * int(loud.sum())
                self._sounded.set()
        except MediaStreamError:
            pass


class Served(Protocol):
    """A server. `http` is its address."""

    @property
    def http(self) -> str: ...


@asynccontextmanager
async def calling(
    server: Served,
    *,
    key: str = "none",
    query: str = "?model=gpt-realtime",
    path: str = "/v1/realtime/calls",
    session: dict[str, Any] | None = None,
    channel: bool = True,
    speaks: bool = True,
    video: bool = False,
    offered: Callable[[str], str] = str,
    answered: Callable[[str], Awaitable[str]] | None = None,
    verify: ssl.SSLContext | bool = True,
) -> AsyncIterator[Caller]:
    """A call that has been answered, and whose session has begun where it has a channel."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    caller = Caller(connection, Voice(), translates="translations" in path)
    if speaks:
        connection.addTrack(caller.voice)
    else:
        connection.addTransceiver("audio", direction="recvonly")
    if video:
        connection.addTransceiver("video")
    tasks: list[asyncio.Task[None]] = []
    opened = asyncio.Event()
    if channel:
        caller.channel = connection.createDataChannel("oai-events")
        caller.channel.on("message", caller._take)
        caller.channel.on("open", opened.set)
    connection.on("track", lambda track: tasks.append(asyncio.ensure_future(caller._listen(track))))
    try:
        await connection.setLocalDescription(await connection.createOffer())
        offer = offered(connection.localDescription.sdp)
        async with httpx.AsyncClient(timeout=PATIENCE_S, verify=verify) as http:
            url, headers = f"{server.http}{path}{query}", {"authorization": f"Bearer {key}"}
            if session is None:
                headers["content-type"] = "application/sdp"
                response = await http.post(url, content=offer, headers=headers)
            else:
                files = {
                    "sdp": (None, offer, "application/sdp"),
                    "session": (None, json.dumps(session), "application/json"),
                }
                response = await http.post(url, files=files, headers=headers)
        assert response.status_code == 201, response.text
        assert response.headers["content-type"] == "application/sdp"
        caller.location = response.headers["location"]
        answer = response.text if answered is None else await answered(response.text)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        if channel:
            await asyncio.wait_for(opened.wait(), PATIENCE_S)
        yield caller
    finally:
        await connection.close()
        await asyncio.gather(*tasks)
