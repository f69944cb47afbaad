"""What a load driver reads of a server's events: their type, and the few members that its figures need.

Laws: pure; a message costs one search for its type and one in a table, and only rare events are parsed. The events of every dialect are
known, as other servers still speak the beta.
"""

from __future__ import annotations

import re

import msgspec

from parley.core.words.notices import Notice
from parley.wire.dialects import DIALECTS

_TYPE = re.compile(rb'"type"\s*:\s*"([a-z_]+(?:\.[a-z_]+)+|error)"')
"""The event's own type: the only `type` that holds a dot (or is `error`), wherever the server puts it."""

_DELTA = re.compile(rb'"delta"\s*:\s*"')

_RESPONSE = re.compile(rb'"response_id"\s*:\s*"([^"]*)"')

_NOTICES = {name.encode(): notice for dialect in DIALECTS.values() for name, notice in dialect.server_events.items()}
"""The meaning of an event, by its type."""


class _Detection(msgspec.Struct):
    silence_duration_ms: int | None = None


class _Input(msgspec.Struct):
    turn_detection: _Detection | None = None


class _Audio(msgspec.Struct):
    input: _Input | None = None


class _SessionObject(msgspec.Struct):
    audio: _Audio | None = None
    turn_detection: _Detection | None = None


class ErrorObject(msgspec.Struct):
    """Of an `error`."""

    message: str = ""
    code: str | None = None


class ResponseObject(msgspec.Struct):
    """Of `response.created` and `response.done`."""

    id: str | None = None
    status: str = ""
    metadata: dict[str, object] | None = None

    @property
    def filler(self) -> bool:
        """Whether it is a Parley's phrase while a reply is awaited. (Servers that name no conversation leave `conversation_id` out or null
        for every response, so that it tells nothing.)"""
        return self.metadata is not None and self.metadata.get("parley") == "filler"


class EventMembers(msgspec.Struct):
    """The members of an event, of whatever type."""

    session: _SessionObject | None = None
    error: ErrorObject | None = None
    response: ResponseObject | None = None


members_of = msgspec.json.Decoder(EventMembers).decode
"""Raises `msgspec.DecodeError`."""


def kind_of(message: bytes) -> type[Notice] | None:
    """The event's meaning; None for one that is not known."""
    found = _TYPE.search(message)
    return None if found is None else _NOTICES.get(found.group(1))


def response_of(message: bytes) -> str | None:
    """The id of the response that a delta belongs to."""
    found = _RESPONSE.search(message)
    return None if found is None else found.group(1).decode(errors="replace")


def audio_bytes(message: bytes) -> int:
    """How much audio a delta holds."""
    start = _DELTA.search(message)
    return 0 if start is None else (message.find(b'"', start.end()) - start.end()) * 3 // 4
