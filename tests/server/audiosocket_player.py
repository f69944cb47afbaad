"""Asterisk's side of an AudioSocket: frames out, frames in, each with the time at which it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from parley.server.links.audiosocket.frames import AUDIO, AudioSocketReader, frame
from parley.server.links.media_format import MediaFormat
from tests.server.harness import PATIENCE_S, Running
from tests.server.raw_client import silence, voice

CALL = "40325ec2-5efd-4bd3-805f-53576e581d13"


class AudioSocketPlayer:
    """`audio` is what the caller hears, without frames of mere silence; `frames` all that came: time, kind and payload; `ended` whether the
    server has hung up."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: int) -> None:
        self.writer = writer
        self.kind = kind
        self.frames: list[tuple[float, int, bytes]] = []
        self.audio = b""
        self.ended = False
        self._reader = reader
        self._changed = asyncio.Event()

    @property
    def form(self) -> MediaFormat:
        return AUDIO[self.kind]

    def begin(self, uuid: str = CALL) -> None:
        self.writer.write(frame(0x01, UUID(uuid).bytes))

    def say(self, audio: bytes) -> None:
        """The caller's voice, in frames of 20 ms, as fast as they go."""
        size = self.form.rate // 50 * 2
        for at in range(0, len(audio), size):
            self.writer.write(frame(self.kind, audio[at : at + size]))

    def ask(self) -> None:
        self.say(silence(self.form, 0.5) + voice(self.form, 0.6) + silence(self.form, 0.8))

    def press(self, keys: str) -> None:
        for key in keys:
            self.writer.write(frame(0x03, key.encode()))

    def hang_up(self) -> None:
        self.writer.write(frame(0x00))

    @property
    def heard_ms(self) -> float:
        return len(self.audio) / 2 / self.form.rate * 1000

    async def receive(self) -> None:
        frames, loop = AudioSocketReader(), asyncio.get_running_loop()
        try:
            while data := await self._reader.read(65_536):
                frames.push(data)
                while whole := frames.next():
                    kind, payload = whole
                    self.frames.append((loop.time(), kind, payload))
                    if kind in AUDIO:
                        assert kind == self.kind
                        self.audio += payload if any(payload) else b""
                self._changed.set()
        except ConnectionResetError:
            pass
        self.ended = True
        self._changed.set()

    async def until(self, condition: object) -> None:
        assert callable(condition)
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def asterisk(server: Running, kind: int = 0x10) -> AsyncIterator[AudioSocketPlayer]:
    """A connection on which nothing has been sent."""
    assert server.calls is not None
    reader, writer = await asyncio.open_connection(*server.calls)
    player = AudioSocketPlayer(reader, writer, kind)
    receiving = asyncio.create_task(player.receive())
    try:
        yield player
    finally:
        receiving.cancel()
        await asyncio.wait([receiving])
        writer.close()
        if not receiving.cancelled() and (fault := receiving.exception()) is not None:
            raise fault
