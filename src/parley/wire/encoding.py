"""Members of server events that all dialects write alike."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable

from parley.core.words.notices import ErrorRaised, PartAt

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


def error_param(error: ErrorRaised, path: Callable[[str], str]) -> str | None:
    """The client's path of what an error is about; `path` is the dialect's, from a core field."""
    return error.path if error.field is None else path(error.field)
