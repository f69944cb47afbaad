"""The messages of Twilio's Media Streams, one JSON object in each text frame.

Laws: reads what it needs and ignores all else, because Twilio adds members; what is no such message is None, and why does not matter to a
telephone. Audio is mu-law at 8 kHz, one channel, in base64.
Source: Twilio, "Media Streams - WebSocket Messages".
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final

import msgspec

from parley.server.links.media_format import MediaFormat

PCMU: Final = MediaFormat("pcmu", 8_000)
ENCODING: Final = "audio/x-mulaw"


class StreamFormat(msgspec.Struct, frozen=True, rename="camel"):
    """How the audio of a stream is written."""

    encoding: str = ENCODING
    sample_rate: int = 8_000
    channels: int = 1


class StreamStart(msgspec.Struct, frozen=True, rename="camel"):
    """What a stream is of. `custom_parameters` are those that the TwiML gave it."""

    stream_sid: str
    call_sid: str = ""
    custom_parameters: dict[str, str] = {}
    media_format: StreamFormat = StreamFormat()


class StreamMedia(msgspec.Struct, frozen=True):
    """A piece of audio."""

    payload: bytes
    track: str = "inbound"


class StreamMark(msgspec.Struct, frozen=True):
    """All audio that was sent before the mark of this name was played, or dropped by a `clear`."""

    name: str


class StreamDtmf(msgspec.Struct, frozen=True):
    """A key that was pressed."""

    digit: str


class StreamMessage(msgspec.Struct, frozen=True):
    """A message; `event` says which of the members it has."""

    event: str
    start: StreamStart | None = None
    media: StreamMedia | None = None
    mark: StreamMark | None = None
    dtmf: StreamDtmf | None = None


_decode = msgspec.json.Decoder(StreamMessage).decode
_encode = msgspec.json.Encoder().encode


def read_message(data: bytes) -> StreamMessage | None:
    """The message in a text frame; None where it is none."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeError):
        return None


def media_message(stream_sid: str, audio: bytes) -> str:
    """Play this."""
    payload = b64encode(audio).decode("ascii")
    return _encode({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}}).decode()


def mark_message(stream_sid: str, name: str) -> str:
    """Say when everything before this has been played."""
    return _encode({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}}).decode()


def clear_message(stream_sid: str) -> str:
    """Drop what has not been played."""
    return _encode({"event": "clear", "streamSid": stream_sid}).decode()
