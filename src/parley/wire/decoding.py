"""Text frames to client events: what all dialects share.

Laws: nothing here raises, unreadable input becomes `ClientErred`. The frame that comes fifty times a second, audio in, is read in one
step; all others through JSON values and the dialect's reader of events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from parley.core.words.errors import PeerError
from parley.core.words.events import AudioArrived, ClientErred, ClientEvent, CommitRequested, SessionCloseRequested
from parley.core.words.ids import ClientEventId
from parley.core.words.limits import MAX_APPEND_BYTES
from parley.wire import limits
from parley.wire.schema import Fields, kind

ReadEvent = Callable[[Fields], ClientEvent]
"""A dialect's reader of an event whose `type` is there; raises `PeerError`."""

Decode = Callable[[str | bytes], ClientEvent]
"""The event that a text frame holds; one that cannot be read is a `ClientErred`."""


class Append(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, frozen=True, gc=False):
    """Audio in, as a dialect names it."""

    audio: bytes
    event_id: ClientEventId | None = None


class Bare(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, frozen=True, gc=False):
    """An event without members."""

    event_id: ClientEventId | None = None


class _Append(Append, tag="input_audio_buffer.append", frozen=True):
    pass


class _Commit(Bare, tag="input_audio_buffer.commit", frozen=True):
    pass


class _SessionAppend(Append, tag="session.input_audio_buffer.append", frozen=True):
    pass


class _SessionClose(Bare, tag="session.close", frozen=True):
    pass


@dataclass(frozen=True, slots=True)
class FastReader:
    """Reads a dialect's audio in one step. `read` raises for all but that event and a bare one, which `bare` makes of its id."""

    read: Callable[[str | bytes], Append | Bare]
    bare: Callable[[ClientEventId | None], ClientEvent]


# Each reads two events, because a lone tagged struct may come without its tag; one of a union may not.
CONVERSATION = FastReader(msgspec.json.Decoder(_Append | _Commit).decode, CommitRequested)
TRANSLATION = FastReader(msgspec.json.Decoder(_SessionAppend | _SessionClose).decode, SessionCloseRequested)

_read_any = msgspec.json.Decoder().decode

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE_HALF = re.compile("[\ud800-\udfff]")


def decoder(read_event: ReadEvent, fast: FastReader) -> Decode:
    """The decoder of a dialect."""
    read_fast, bare = fast.read, fast.bare

    def decode(data: str | bytes) -> ClientEvent:
        try:
            event = read_fast(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return decode_text(data, read_event)
        if event.event_id is not None and len(event.event_id) > limits.MAX_EVENT_ID:
            return decode_text(data, read_event)
        if isinstance(event, Bare):
            return bare(event.event_id)
        if len(event.audio) > MAX_APPEND_BYTES:
            return decode_text(data, read_event)
        return AudioArrived(event.audio, event.event_id)

    return decode


def decode_text(data: str | bytes, read_event: ReadEvent) -> ClientEvent:
    """As a dialect's decoder, by way of JSON values."""
    value = read_json(data)
    return value if isinstance(value, ClientErred) else decode_object(value, read_event)


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


def decode_object(value: object, read_event: ReadEvent) -> ClientEvent:
    """The event in a message already decoded from JSON."""
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
