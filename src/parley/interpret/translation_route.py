"""The route of translation sessions: `/v1/realtime/translations` of a Parley or of OpenAI, one session for one speaker.

Laws: `TranslationLink` sends at once or not at all, and reports what the server says in order. With a server that has not read for
`STALE_S` it ends: what waits on the way there is not translated later.
Does not know: devices, the other direction, what is played.
"""

from __future__ import annotations

import contextlib
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from parley.audio import pcm
from parley.audio.types import Int16
from parley.client.connection import Connection, Server, ServerUnavailable, dial
from parley.client.event_fields import Json, number_of, object_of, text_of
from parley.interpret.ports import STALE_S, WIRE_RATE, RouteWishes
from parley.interpret.updates import (
    ClauseReport,
    RouteLinkEnded,
    RouteNote,
    RouteUpdate,
    SourceText,
    TargetAudio,
    TargetText,
)

PATH: Final = "/v1/realtime/translations"

TRANSCRIBER: Final = "gpt-4o-mini-transcribe"
"""Asks for the speaker's words; a Parley transcribes with its own recogniser, whatever the name."""

FINAL_ERRORS: Final = frozenset({"invalid_api_key", "insufficient_quota", "model_not_found", "session_expired"})


def translation_server(server: Server, model: str) -> Server:
    """The same server at the path of its translation sessions."""
    parts = urlsplit(server.url)
    return Server(
        urlunsplit((parts.scheme, parts.netloc, PATH, urlencode({"model": model}), "")), server.key, server.name
    )


@dataclass(slots=True)
class TranslationSessions:
    """The `TranslationRoute` of servers that have translation sessions. `own`: a Parley, which reports its clauses and lets the voice be
    chosen."""

    server: Server
    own: bool
    name: str = ""
    voices_change: bool = field(init=False)

    def __post_init__(self) -> None:
        self.voices_change = self.own

    @asynccontextmanager
    async def open(self, wishes: RouteWishes) -> AsyncIterator[TranslationLink]:
        """A session that translates into `wishes.target`. Raises `ServerUnavailable`."""
        async with dial(self.server, answers_within_s=STALE_S) as connection:
            link = TranslationLink(connection, own=self.own)
            await link.begin(wishes)
            yield link


class TranslationLink:
    """One translation session. `begin()` once; then the `RouteLink` port."""

    def __init__(self, connection: Connection, *, own: bool) -> None:
        self._connection = connection
        self._own = own
        self._messages = connection.__aiter__()
        self._count = 0
        self._closing = False
        self._usual_voice = ""
        self.expires_in_s: float | None = None

    async def begin(self, wishes: RouteWishes) -> None:
        """Wait for the session and ask for the translation. Raises `ServerUnavailable`."""
        created = await self._first_event()
        if text_of(created, "type") != "session.created":
            said = text_of(object_of(created, "error"), "message") or text_of(created, "type")
            raise ServerUnavailable(f"The server opens no translation session: {said}", again=False)
        session = object_of(created, "session")
        expires_at = session.get("expires_at")
        if isinstance(expires_at, int | float) and expires_at:
            self.expires_in_s = max(0.0, float(expires_at) - time.time())
        audio: Json = {"input": {"transcription": {"model": TRANSCRIBER}}, "output": {"language": wishes.target}}
        update: Json = {"audio": audio}
        if self._own:
            update["include"] = ["parley.clauses", "parley.unstable_words"]
            self._usual_voice = text_of(object_of(object_of(session, "audio"), "output"), "voice")
        self._send("session.update", {"session": update})
        # One at a time: what the server lacks is refused with all that stands beside it.
        if self._own and wishes.source:
            heard: Json = {"model": TRANSCRIBER, "language": wishes.source}
            self._send("session.update", {"session": {"audio": {"input": {"transcription": heard}}}})
        if wishes.voice:
            self.set_voice(wishes.voice)

    async def _first_event(self) -> Json:
        with contextlib.suppress(StopAsyncIteration):
            event = msgspec.json.decode(await anext(self._messages))
            if isinstance(event, dict):
                return event
        raise ServerUnavailable(f"The server closed the session at once: {self._connection.why_ended}", again=True)

    # --- what goes out -----------------------------------------------------------------------------------------------------

    def send(self, audio: Int16) -> None:
        """More of the speaker, int16 `[n]` at 24 kHz."""
        piece_ms = 1000 * len(audio) / WIRE_RATE
        if self._closing:
            return
        if self._connection.unsent * piece_ms > STALE_S * 1000:
            self._connection.abandon(f"the server has not read for {STALE_S:g} s")
            return
        self._send("session.input_audio_buffer.append", {"audio": b64encode(pcm.to_bytes(audio)).decode()})

    def speech_began(self) -> None:
        """The server finds pauses by itself."""

    def speech_ended(self) -> None:
        """The server finds pauses by itself."""

    def set_target(self, language: str) -> None:
        """The next clauses are translated into this language."""
        self._send("session.update", {"session": {"audio": {"output": {"language": language}}}})

    def set_voice(self, voice: str) -> None:
        """The next clauses are spoken in this voice, "" in the server's usual one; only a Parley's sessions have a choice."""
        if self._own:
            self._send("session.update", {"session": {"audio": {"output": {"voice": voice or self._usual_voice}}}})

    def finish(self) -> None:
        """No more audio comes."""
        if not self._closing:
            self._closing = True
            self._send("session.close", {})

    def _send(self, kind: str, members: Json) -> None:
        self._count += 1
        event = {"type": kind, "event_id": f"event_{self._count}", **members}
        self._connection.send([msgspec.json.encode(event).decode()])

    # --- what comes in -----------------------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[RouteUpdate]:
        fatal = False
        async for message in self._messages:
            try:
                event = msgspec.json.decode(message)
            except msgspec.DecodeError:
                yield RouteNote("warning", "The server sent a message that is not JSON.")
                continue
            if not isinstance(event, dict):
                continue
            kind = text_of(event, "type")
            if kind == "session.closed":
                yield RouteLinkEnded("closed", flushed=self._closing)
                return
            if kind == "error":
                fatal = fatal or text_of(object_of(event, "error"), "code") in FINAL_ERRORS
            if (update := self._read(kind, event)) is not None:
                yield update
        yield RouteLinkEnded(self._connection.why_ended, again=not fatal)

    def _read(self, kind: str, event: Json) -> RouteUpdate | None:
        match kind:
            case "session.input_transcript.delta":
                return SourceText(text_of(event, "delta"))
            case "session.output_transcript.delta":
                return TargetText(text_of(event, "delta"))
            case "session.output_audio.delta":
                return _audio(event)
            case "parley.input_transcript.unstable":
                return SourceText(unstable=text_of(event, "text"))
            case "parley.translation.clause":
                differences = event.get("differences")
                return ClauseReport(
                    text_of(event, "source"),
                    text_of(event, "text"),
                    number_of(event, "waited_ms"),
                    text_of(event, "outcome"),
                    tuple(str(each) for each in differences) if isinstance(differences, list) else (),
                )
            case "error":
                error = object_of(event, "error")
                return RouteNote("warning", text_of(error, "message") or "The server reported an error.")
            case _:
                return None


def _audio(event: Json) -> RouteUpdate:
    try:
        data = b64decode(text_of(event, "delta"), validate=True)
    except ValueError:
        return RouteNote("warning", "The server sent audio that is not base64.")
    elapsed = event.get("elapsed_ms")
    until_ms = float(elapsed) if isinstance(elapsed, int | float) else None
    return TargetAudio(pcm.as_int16(data[: len(data) // 2 * 2]), until_ms)
