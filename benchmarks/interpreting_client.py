"""A client of a translation session that sends a talk in real time and notes when the translation comes and is heard."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.interpreting_talk import Talk
from parley.load.recording import SAMPLE_RATE

CHUNK_MS = 40
TAIL_MS = 2_500
"""Silence behind the talk, so that its last words are a clause before the session is closed."""
CLOSE_LIMIT_S = 60.0


@dataclass(slots=True)
class Clause:
    """A translated clause. Times are milliseconds since the talk began: when its text came, when its first audio came, and when its
    audio is heard by a client that plays each piece behind the one before. `decided_ms`: when it was decided on."""

    source: str
    text: str
    text_at_ms: float
    audio_at_ms: float
    heard_from_ms: float
    heard_to_ms: float
    waited_ms: float
    merged: int
    speed: float
    outcome: str
    differences: tuple[str, ...]

    @property
    def decided_ms(self) -> float:
        return self.audio_at_ms - self.waited_ms


@dataclass(slots=True)
class Interpreted:
    """What a session made of a talk. `late_ms`: how late the client's own chunks were at the most."""

    clauses: list[Clause] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    late_ms: float = 0.0
    closed: bool = False


@dataclass(slots=True)
class _Coming:
    """The clause of which the record has not come."""

    text_at_ms: float = 0.0
    audio_at_ms: float = 0.0
    heard_from_ms: float = 0.0


async def interpret(url: str, model: str, target: str, talk: Talk, *, limit_ms: float = 0.0) -> Interpreted:
    """Let a session interpret the talk, or the first `limit_ms` of it, in real time."""
    found = Interpreted()
    async with connect(f"{url}/v1/realtime/translations?model={model}", max_size=None) as socket:
        audio = {"output": {"language": target}, "input": {"transcription": {"model": "whisper-1"}}}
        await socket.send(
            json.dumps({"type": "session.update", "session": {"audio": audio, "include": ["parley.clauses"]}})
        )
        began = time.perf_counter()
        speaking = asyncio.create_task(speak(socket, _sound(talk, limit_ms), began))
        try:
            await _listen(socket, began, found)
            found.late_ms = await speaking
        finally:
            speaking.cancel()
    return found


async def speak(socket: ClientConnection, sound: bytes, began: float) -> float:
    """Send PCM16 at 24 kHz in real time from `began` on (`time.perf_counter`), then close; returns how late the latest chunk was, in
    milliseconds."""
    size = 2 * SAMPLE_RATE * CHUNK_MS // 1_000
    late_s = 0.0
    for sent, at in enumerate(range(0, len(sound), size), 1):
        wait_s = began + sent * CHUNK_MS / 1_000 - time.perf_counter()
        late_s = max(late_s, -wait_s)
        await asyncio.sleep(wait_s)
        audio = base64.b64encode(sound[at : at + size]).decode()
        await socket.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": audio}))
    await socket.send(json.dumps({"type": "session.close"}))
    return 1_000 * late_s


def _sound(talk: Talk, limit_ms: float) -> bytes:
    pcm = talk.pcm[: round(SAMPLE_RATE * limit_ms / 1_000)] if limit_ms else talk.pcm
    return pcm.astype("<i2").tobytes() + bytes(2 * SAMPLE_RATE * TAIL_MS // 1_000)


async def _listen(socket: ClientConnection, began: float, found: Interpreted) -> None:
    coming = _Coming()
    heard_to_ms = 0.0
    async for message in socket:
        event: dict[str, Any] = json.loads(message)
        now_ms = 1_000 * (time.perf_counter() - began)
        match event["type"]:
            case "session.output_transcript.delta":
                coming.text_at_ms = coming.text_at_ms or now_ms
            case "session.output_audio.delta":
                starts = max(now_ms, heard_to_ms)
                if not coming.audio_at_ms:
                    coming.audio_at_ms, coming.heard_from_ms = now_ms, starts
                heard_to_ms = starts + 1_000 * len(base64.b64decode(event["delta"])) / 2 / SAMPLE_RATE
            case "parley.translation.clause":
                found.clauses.append(_clause(event, coming, heard_to_ms))
                coming = _Coming()
            case "error":
                found.errors.append(event["error"]["message"])
            case "session.closed":
                found.closed = True
                return


def _clause(event: dict[str, Any], coming: _Coming, heard_to_ms: float) -> Clause:
    return Clause(
        source=event["source"],
        text=event["text"],
        text_at_ms=coming.text_at_ms,
        audio_at_ms=coming.audio_at_ms,
        heard_from_ms=coming.heard_from_ms,
        heard_to_ms=heard_to_ms,
        waited_ms=event["waited_ms"],
        merged=event["clauses"],
        speed=event["speed"],
        outcome=event["outcome"],
        differences=tuple(event["differences"]),
    )
