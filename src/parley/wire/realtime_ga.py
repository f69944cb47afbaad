"""OpenAI's GA Realtime dialect: text frames from the client to events, notices to text frames.

Laws: `decode` never raises, unreadable input becomes `ClientErred`; every error names the client's `event_id` where one can be
found. The two frames that come fifty times a second, audio in and audio out, are written and read in one step each; all others
through the readers and tables of this package. Nothing here knows what was sent before.
"""

from __future__ import annotations

import hashlib
import json
import re
from binascii import b2a_base64
from collections.abc import Callable
from typing import assert_never

import msgspec

from parley.core.words import notices as n
from parley.core.words.errors import PeerError
from parley.core.words.events import AudioArrived, ClientErred, ClientEvent, CommitRequested
from parley.core.words.ids import ClientEventId
from parley.core.words.limits import MAX_APPEND_BYTES
from parley.wire import limits
from parley.wire.client_events import read_event
from parley.wire.encode_items import Json
from parley.wire.encode_notices import (
    InputNotice,
    ItemNotice,
    McpNotice,
    Named,
    PartNotice,
    ResponseNotice,
    input_event,
    item_event,
    mcp_event,
    part_event,
    part_members,
    response_event,
)
from parley.wire.encode_session import session_object
from parley.wire.field_paths import ga_path
from parley.wire.schema import Fields, kind


class _Append(
    msgspec.Struct, tag_field="type", tag="input_audio_buffer.append", forbid_unknown_fields=True, frozen=True, gc=False
):
    audio: bytes
    event_id: ClientEventId | None = None


class _Commit(
    msgspec.Struct, tag_field="type", tag="input_audio_buffer.commit", forbid_unknown_fields=True, frozen=True, gc=False
):
    event_id: ClientEventId | None = None


# Two, because a lone tagged struct may come without its tag; one of a union may not.
_read_fast = msgspec.json.Decoder(_Append | _Commit).decode
_read_any = msgspec.json.Decoder().decode
_write = msgspec.json.Encoder().encode

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE_HALF = re.compile("[\ud800-\udfff]")


def decode(data: str | bytes) -> ClientEvent:
    """The event that a text frame holds; one that cannot be read is a `ClientErred`. Next: `Session.handle` it."""
    try:
        event = _read_fast(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return decode_text(data)
    if event.event_id is not None and len(event.event_id) > limits.MAX_EVENT_ID:
        return decode_text(data)
    if isinstance(event, _Commit):
        return CommitRequested(event.event_id)
    if len(event.audio) > MAX_APPEND_BYTES:
        return decode_text(data)
    return AudioArrived(event.audio, event.event_id)


def decode_text(data: str | bytes) -> ClientEvent:
    """As `decode`, by way of JSON values."""
    value = read_json(data)
    return value if isinstance(value, ClientErred) else decode_object(value)


def read_json(data: str | bytes) -> object:
    """The JSON value of a message, or the `ClientErred` that says why there is none. Half characters become U+FFFD."""
    try:
        return _read_any(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        if (whole := _with_whole_characters(data)) is not None:
            return read_json(whole)
        message = f"The message is not valid JSON: {error}. Send one JSON object per text frame."
        return ClientErred("invalid_json", message, event_id=_salvaged_id(data))
    except RecursionError:
        return ClientErred("invalid_json", "The message is nested too deeply to be read. Send one flat JSON object.")


def _with_whole_characters(data: str | bytes) -> bytes | None:
    r"""The message with U+FFFD for each half of a character, as JavaScript writes `\\ud83d` for a string cut inside an emoji.

    None where it holds no half, cannot be read for another reason, or is so long that reading it again would keep others waiting.
    """
    if (
        len(data) > limits.SALVAGED
        or _HALF.search(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")) is None
    ):
        return None
    try:
        text = json.dumps(json.loads(data), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    whole, halves = _LONE_HALF.subn("\ufffd", text)
    return whole.encode() if halves else None


def decode_object(value: object) -> ClientEvent:
    """The event in a message already decoded from JSON; never raises."""
    if not isinstance(value, dict):
        return ClientErred(
            "invalid_event", f"An event is a JSON object with a 'type', but the message is {kind(value)}."
        )
    event_id = _event_id(value)
    if value.get("type") is None:
        return ClientErred("invalid_event", "The 'type' field is missing.", event_id=event_id)
    try:
        return read_event(Fields(value, ""))
    except PeerError as error:
        return ClientErred(error.code, error.message, error.field, error.kind, event_id)
    except RecursionError:
        return ClientErred("invalid_value", "A member of the event is nested too deeply.", event_id=event_id)


def _event_id(value: dict[str, object]) -> ClientEventId | None:
    found = value.get("event_id")
    return ClientEventId(found) if isinstance(found, str) and len(found) <= limits.MAX_EVENT_ID else None


def _salvaged_id(data: str | bytes) -> ClientEventId | None:
    """The event's id, where laxer rules (NaN, numbers out of range, lone surrogates) let the frame be read after all."""
    if len(data) > limits.SALVAGED:
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return _event_id(value) if isinstance(value, dict) else None


class Encoder:
    """Writes notices as text frames of one connection. `event_seed` makes its event ids unlike those of other connections;
    `wall_s` gives Unix seconds, from which `expires_at` is reckoned."""

    __slots__ = ("_at", "_count", "_prefix", "_seed", "_wall_s")

    def __init__(self, *, event_seed: bytes, wall_s: Callable[[], float]) -> None:
        self._seed = "event_" + hashlib.blake2b(event_seed, digest_size=6).hexdigest()
        self._count = 0
        self._wall_s = wall_s
        self._at: n.PartAt | None = None
        self._prefix = ""

    def encode(self, notice: n.Notice) -> str | None:
        """One JSON text frame; None: this dialect does not say it."""
        if type(notice) is n.OutputAudioDelta:
            return self._audio_delta(notice)
        named = self._named(notice)
        if named is None:
            return None
        kind, body = named
        return _write({"type": kind, "event_id": self._next_id(), **body}).decode()

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._seed}{self._count:09d}"

    def _audio_delta(self, notice: n.OutputAudioDelta) -> str:
        """Nothing in an audio delta but its ids needs escaping, and those are the same from one delta to the next."""
        if notice.at != self._at:
            self._at = notice.at
            self._prefix = _write(part_members(notice.at)).decode()[1:-1]
        audio = b2a_base64(notice.audio, newline=False).decode("ascii")
        event_id = self._next_id()
        return f'{{"type":"response.output_audio.delta","event_id":"{event_id}",{self._prefix},"delta":"{audio}"}}'

    def _named(self, notice: n.Notice) -> Named | None:
        match notice:
            case n.SessionCreated():
                return "session.created", self._session(notice)
            case n.SessionUpdated():
                return "session.updated", self._session(notice)
            case n.ConversationCreated():
                return None
            case n.ErrorRaised():
                return "error", {"error": _error(notice)}
            case n.TurnMeasured():
                return "parley.turn.metrics", msgspec.to_builtins(notice)
            case n.RateLimitsUpdated():
                return "rate_limits.updated", {"rate_limits": [_rate_limit(limit) for limit in notice.limits]}
        if isinstance(notice, PartNotice):
            return part_event(notice)
        if isinstance(notice, InputNotice):
            return input_event(notice)
        if isinstance(notice, ItemNotice):
            return item_event(notice)
        if isinstance(notice, ResponseNotice):
            return response_event(notice)
        if isinstance(notice, McpNotice):
            return mcp_event(notice)
        assert_never(notice)

    def _session(self, notice: n.SessionCreated | n.SessionUpdated) -> Json:
        expires_at = round(self._wall_s() + notice.expires_in_ms / 1000)
        return {"session": session_object(notice.session_id, notice.settings, expires_at)}


def _error(notice: n.ErrorRaised) -> Json:
    return {
        "type": notice.kind,
        "code": notice.code,
        "message": notice.message,
        "param": notice.path if notice.field is None else ga_path(notice.field),
        "event_id": notice.client_event_id,
    }


def _rate_limit(limit: n.RateLimit) -> Json:
    return {
        "name": limit.name,
        "limit": limit.limit,
        "remaining": limit.remaining,
        "reset_seconds": limit.reset_seconds,
    }
