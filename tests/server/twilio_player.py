"""Twilio's side of a media stream, from its documented messages: it plays what it is sent in real time, and sends back marks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed

from parley.server.links.media_format import MediaFormat
from parley.server.links.twilio.signature import sign
from tests.server.harness import PATIENCE_S, Running
from tests.server.raw_client import silence, voice

PCMU = MediaFormat("pcmu", 8_000)
FRAME_BYTES = 160
STREAM = "MZ00000000000000000000000000000001"
CALL = "CA00000000000000000000000000000001"
TOKEN = "twilio-auth-token"


class TwilioPlayer:
    """`played` is what the caller has heard, `received` the server's messages, `marks` the names sent back. `loses_marks`: none are."""

    def __init__(self, connection: ws.ClientConnection) -> None:
        self.connection = connection
        self.received: list[dict[str, Any]] = []
        self.played = b""
        self.marks: list[str] = []
        self.clears = 0
        self.loses_marks = False
        self.close_code: int | None = None
        self._queue: list[bytes | str] = []
        self._sequence = 0
        self._changed = asyncio.Event()

    # --- what Twilio sends ---------------------------------------------------------------------------------------------

    async def send(self, event: str, **body: Any) -> None:
        self._sequence += 1
        message = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": STREAM, **body}
        await self.connection.send(json.dumps(message))

    async def start(self, **parameters: str) -> None:
        await self.connection.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        start = {
            "streamSid": STREAM,
            "accountSid": "AC00000000000000000000000000000001",
            "callSid": CALL,
            "tracks": ["inbound"],
            "customParameters": parameters,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        await self.send("start", start=start)

    async def say(self, audio: bytes) -> None:
        """The caller's voice, in messages of 20 ms, as fast as they go."""
        for at in range(0, len(audio), FRAME_BYTES):
            payload = base64.b64encode(audio[at : at + FRAME_BYTES]).decode()
            media = {
                "track": "inbound",
                "chunk": str(at // FRAME_BYTES + 1),
                "timestamp": str(at // 8),
                "payload": payload,
            }
            await self.send("media", media=media)

    async def ask(self) -> None:
        """A question, and the silence behind it."""
        await self.say(silence(PCMU, 0.5) + voice(PCMU, 0.6) + silence(PCMU, 0.8))

    async def press(self, keys: str) -> None:
        for key in keys:
            await self.send("dtmf", dtmf={"track": "inbound_track", "digit": key})

    async def stop(self) -> None:
        await self.send("stop", stop={"accountSid": "AC00000000000000000000000000000001", "callSid": CALL})

    # --- what Twilio does with what it is sent -------------------------------------------------------------------------

    async def receive(self) -> None:
        try:
            async for frame in self.connection:
                message = json.loads(frame)
                self.received.append(message)
                assert message["streamSid"] == STREAM
                match message["event"]:
                    case "media":
                        self._queue.append(base64.b64decode(message["media"]["payload"], validate=True))
                    case "mark":
                        self._queue.append(message["mark"]["name"])
                    case "clear":
                        self.clears += 1
                        dropped, self._queue = self._queue, []
                        for one in dropped:
                            if isinstance(one, str):
                                await self._return(one)
                self._changed.set()
        except ConnectionClosed:
            pass
        self.close_code = self.connection.close_code
        self._changed.set()

    async def play(self) -> None:
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while True:
            left = FRAME_BYTES
            while self._queue and left:
                one = self._queue.pop(0)
                if isinstance(one, str):
                    await self._return(one)
                    continue
                self.played += one[:left]
                if len(one) > left:
                    self._queue.insert(0, one[left:])
                left -= min(left, len(one))
            while self._queue and isinstance(self._queue[0], str):
                await self._return(str(self._queue.pop(0)))
            self._changed.set()
            next_s += 0.02
            await asyncio.sleep(max(0.0, next_s - loop.time()))

    async def _return(self, name: str) -> None:
        self.marks.append(name)
        if not self.loses_marks:
            await self.send("mark", mark={"name": name})

    # --- for tests -----------------------------------------------------------------------------------------------------

    @property
    def played_ms(self) -> float:
        return len(self.played) / 8

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["event"] == event]

    async def until(self, condition: Any) -> None:
        """Wait for it; it may change with each message and each 20 ms."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def calling(
    server: Running, path: str = "/v1/telephony/twilio", *, signed: str = "", headers: dict[str, str] | None = None
) -> AsyncIterator[TwilioPlayer]:
    """A stream that is connected and has sent nothing. `signed`: the URL that its signature is for."""
    given = dict(headers or {})
    if signed:
        given["X-Twilio-Signature"] = sign(TOKEN, signed)
    async with ws.connect(f"{server.ws}{path}", additional_headers=given, compression=None) as connection:
        player = TwilioPlayer(connection)
        tasks = [asyncio.create_task(player.receive()), asyncio.create_task(player.play())]
        try:
            yield player
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            faults = [task.exception() for task in tasks if not task.cancelled()]
            for fault in faults:
                if fault is not None and not isinstance(fault, ConnectionClosed):
                    raise fault
