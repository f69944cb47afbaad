"""Messages longer than one read of the socket, in one frame: unmasked piece by piece as they come, and never kept here.

Laws: those of `plain_frames`. A long message in fragments is left to `websockets`, which keeps each of them whole.
"""

from __future__ import annotations

from parley.server.links.websocket.plain_frames import WHOLE_BINARY, WHOLE_TEXT, apply_mask

_LONGEST_HEADER = 14
_WIDE_AND_MASKED = 0xFF
"""Second byte: masked, and the size in eight bytes."""


class LongFrame:
    """A frame of `size` bytes, of which `left` have not come. Call `take` until there are none."""

    __slots__ = ("_mask", "binary", "left", "size")

    def __init__(self, size: int, mask: bytes, *, binary: bool = False) -> None:
        self.size = self.left = size
        self.binary = binary
        self._mask = mask

    def take(self, data: bytes, at: int) -> tuple[bytes, int]:
        """What of the frame lies in `data` from `at` on, unmasked, and where it ends."""
        masked = data[at : at + self.left]
        self.left -= len(masked)
        piece = apply_mask(masked, self._mask)
        turned = len(masked) % 4
        self._mask = self._mask[turned:] + self._mask[:turned]
        return piece, at + len(masked)


def long_frame(data: bytes, at: int, longer_than: int, max_size: int) -> tuple[LongFrame, int] | None:
    """The frame of a whole message that begins at `at`, and where its payload begins.

    None: it is none, is no longer than `longer_than`, or its header is not whole.
    """
    if len(data) < at + _LONGEST_HEADER or data[at] not in (WHOLE_TEXT, WHOLE_BINARY):
        return None
    if data[at + 1] == _WIDE_AND_MASKED:
        body = at + _LONGEST_HEADER
        size = int.from_bytes(data[at + 2 : at + 10])
    elif data[at + 1] == _WIDE_AND_MASKED - 1:
        body = at + 8
        size = int.from_bytes(data[at + 2 : at + 4])
    else:
        return None
    if not longer_than < size <= max_size:
        return None
    return LongFrame(size, data[body - 4 : body], binary=data[at] == WHOLE_BINARY), body


def in_header(data: bytes, at: int) -> bool:
    """Whether `data` ends within what may be the header of a long frame."""
    if len(data) >= at + _LONGEST_HEADER or data[at] not in (WHOLE_TEXT, WHOLE_BINARY):
        return False
    return len(data) < at + 2 or data[at + 1] >= _WIDE_AND_MASKED - 1
