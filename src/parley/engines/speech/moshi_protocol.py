"""The words of the Moshi protocol: kinds of message, the address of a conversation, text that comes in tokens.

Laws: pure; a message of an unknown kind is left out, as the protocol says.
Source: see `moshi`.
"""

from __future__ import annotations

import codecs
import re
from enum import IntEnum
from typing import Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

PATH: Final = "/api/chat"

MAX_MESSAGE_BYTES: Final = 1 << 18
"""Of one message of a server's: a minute of Opus."""

MAX_TARGET_BYTES: Final = 8_000
"""Of the path and the query: aiohttp, on which the servers of Kyutai and NVIDIA stand, takes a request line of 8,190 bytes."""

_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class MessageKind(IntEnum):
    """The first byte of a message."""

    HANDSHAKE = 0
    AUDIO = 1
    TEXT = 2
    CONTROL = 3
    METADATA = 4
    ERROR = 5
    PING = 6


Query = tuple[tuple[str, str], ...]
"""What a conversation is begun with, and keeps: the server reads it from the address."""


def address(base_url: str, query: Query) -> str:
    """The WebSocket's URL. Raises `ValueError` where the query is longer than servers take."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    path = path if path.endswith(PATH) else path + PATH
    asked = "&".join(filter(None, (parts.query, urlencode(query, quote_via=quote))))
    if len(path) + len(asked) + 1 > MAX_TARGET_BYTES:
        raise ValueError(f"the address is longer than {MAX_TARGET_BYTES} bytes")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, path, asked, ""))


class TokenText:
    """Joins tokens to text. The servers in Python send pieces of SentencePiece; a character that is none comes as its bytes, `<0xE2>`."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, payload: bytes) -> str:
        """The text that a message completes."""
        piece = payload.decode("utf-8", "replace")
        if (byte := _BYTE.fullmatch(piece)) is not None:
            return self._decoder.decode(bytes.fromhex(byte[1]))
        left = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return left + piece
