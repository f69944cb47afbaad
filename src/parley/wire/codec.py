"""A dialect made of tables: one that writes JSON objects with a `type` and an `event_id`.

Laws: those of `dialect`. The two frames that travel fifty times a second, audio in and audio out, are read and written in one step
each; all others through the dialect's tables.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from parley.core.words import notices as n
from parley.core.words.events import ClientEvent
from parley.core.words.ids import SessionId
from parley.core.words.settings import SessionKind, Settings, SettingsPatch
from parley.wire import decoding
from parley.wire.encoding import Json, Named, part_members
from parley.wire.long_message import LongMessage
from parley.wire.schema import Fields, fields

ReadSession = Callable[[Fields, SessionKind | None], SettingsPatch]
WriteSession = Callable[[SessionId, Settings, int], Json]
WriteEvent = Callable[[n.Notice, Callable[[], float]], Named | None]
"""The type and the members of a notice's event; the second argument gives Unix seconds."""

AudioMembers = Callable[[n.PartAt], Json]
"""The members of an event of output audio that are the same for all audio of a part."""

_write = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Codec:
    """A `Dialect`. `audio_delta` is the type of the event that `OutputAudioDelta` becomes, `audio_members` gives its members beside the
    audio; `fast` reads the event of audio in."""

    name: str
    read_event: decoding.ReadEvent
    session_reader: ReadSession
    session_writer: WriteSession
    event_writer: WriteEvent
    client_writer: Callable[[ClientEvent], Named | None]
    audio_delta: str
    server_events: Mapping[str, type[n.Notice]]
    path: Callable[[str], str]
    changes_kind: bool = True
    kinds: tuple[SessionKind, ...] = ("realtime", "transcription")
    fast: decoding.FastReader = decoding.CONVERSATION
    audio_members: AudioMembers = part_members
    decode: decoding.Decode = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decode", decoding.decoder(self.read_event, self.fast))

    def write(self, event: ClientEvent) -> str | None:
        named = self.client_writer(event)
        if named is None:
            return None
        kind, members = named
        event_id = {} if event.event_id is None else {"event_id": event.event_id}
        return _write({"type": kind, **event_id, **members}).decode()

    def long_message(self, mark: str) -> LongMessage:
        return LongMessage(mark, self.read_event)

    def encoder(self, *, event_seed: bytes, wall_s: Callable[[], float]) -> FrameEncoder:
        return FrameEncoder(
            self.event_writer, self.audio_delta, self.audio_members, event_seed=event_seed, wall_s=wall_s
        )

    def read_session(self, value: object, path: str, kind: SessionKind | None = None) -> SettingsPatch:
        members = fields(value, path)
        patch = self.session_reader(members, kind)
        members.finish()
        return patch

    def session_object(self, session_id: SessionId, settings: Settings, expires_at: int) -> Json:
        return self.session_writer(session_id, settings, expires_at)


class FrameEncoder:
    """Writes notices as text frames of one connection."""

    __slots__ = ("_at", "_audio_delta", "_audio_members", "_count", "_prefix", "_seed", "_wall_s", "_writer")

    def __init__(
        self,
        writer: WriteEvent,
        audio_delta: str,
        audio_members: AudioMembers,
        *,
        event_seed: bytes,
        wall_s: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._audio_members = audio_members
        self._audio_delta = f'{{"type":"{audio_delta}","event_id":"'
        self._seed = "event_" + hashlib.blake2b(event_seed, digest_size=6).hexdigest()
        self._count = 0
        self._wall_s = wall_s
        self._at: n.PartAt | None = None
        self._prefix = ""

    def encode(self, notice: n.Notice) -> str | None:
        """One JSON text frame; None: the dialect has no event for the notice."""
        if type(notice) is n.OutputAudioDelta:
            return self._write_audio_delta(notice)
        named = self._writer(notice, self._wall_s)
        if named is None:
            return None
        kind, body = named
        return _write({"type": kind, "event_id": self._next_id(), **body}).decode()

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._seed}{self._count:09d}"

    def _write_audio_delta(self, notice: n.OutputAudioDelta) -> str:
        """Nothing in an audio delta but its members beside the audio needs escaping, and those are the same from one delta to the next."""
        if notice.at != self._at:
            self._at = notice.at
            self._prefix = _write(self._audio_members(notice.at)).decode()[1:-1]
        audio = b2a_base64(notice.audio, newline=False).decode("ascii")
        return f'{self._audio_delta}{self._next_id()}",{self._prefix},"delta":"{audio}"}}'
