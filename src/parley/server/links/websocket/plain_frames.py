"""The WebSocket frames that come fifty times a second, read in one step: a whole message, masked, in one piece, all of it here.

Laws: judges only bytes; whatever is not such a frame, or may not be one, is left to `websockets`, which takes 12 us where this takes 1.
Source: RFC 6455, section 5.2.
"""

from __future__ import annotations

from types import GeneratorType

from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

try:
    from websockets.speedups import apply_mask as apply_mask
except ImportError:  # as `websockets` does, where there is no C compiler
    from websockets.utils import apply_mask as apply_mask

WHOLE_TEXT = 0x81
WHOLE_BINARY = 0x82
"""First bytes: the last fragment of its message, no reserved bit, and the opcode."""

_MASKED = 0x80

_BETWEEN_FRAMES = StreamReader.at_eof.__code__
"""Where `websockets`' parser waits for the first byte of a frame."""


def plain_message(data: bytes, at: int, max_size: int) -> tuple[bytes, int] | None:
    """The message that begins at `at` and where its frame ends; None: leave it to `websockets`."""
    if len(data) < at + 6:
        return None
    first = data[at]
    if first != WHOLE_TEXT and first != WHOLE_BINARY:
        return None
    size = data[at + 1] - _MASKED
    body = at + 6
    if size >= 126:
        wide = 2 if size == 126 else 8
        size = int.from_bytes(data[at + 2 : at + 2 + wide])
        body += wide
    end = body + size
    if size < 0 or size > max_size or end > len(data):
        return None
    return apply_mask(data[body:end], data[body - 4 : body]), end


def awaits_message(wire: ServerProtocol) -> bool:
    """Whether the next byte begins a frame, and that frame a message. A `websockets` that waits otherwise is never sure of it."""
    if wire.state is not OPEN or wire.current_size is not None:
        return False
    waiting: object = wire.parser
    while isinstance(waiting, GeneratorType):
        if waiting.gi_code is _BETWEEN_FRAMES:
            return True
        waiting = waiting.gi_yieldfrom
    return False
