"""Members of server events that all dialects write alike."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable

from parley.core.words.notices import ErrorRaised, PartAt
from parley.wire.schema import UNKNOWN_PARAMETER

Json = dict[str, object]
Named = tuple[str, Json]
"""A server event's type and its members."""


def base64_text(audio: bytes) -> str:
    return b2a_base64(audio, newline=False).decode("ascii")


def part_members(at: PartAt) -> Json:
    """Where a content part is."""
    return {
        "response_id": at.response_id,
        "item_id": at.item_id,
        "output_index": at.output_index,
        "content_index": at.content_index,
    }


def client_path(error: ErrorRaised, path: Callable[[str], str]) -> str | None:
    """The path of what an error is about. `path` is the dialect's, from a core field.

    An unknown parameter is the client's own word: the dialect's reader named it, and it is no field of the core."""
    if error.param is None or error.code == UNKNOWN_PARAMETER:
        return error.param
    return path(error.param)
