"""Long pieces of audio that wait behind a short buffer.

Laws: a piece (a minute of speech appended at once) is kept as it came, and copied `SLICE_BYTES` at a time into the buffer that is worked
on, so that no call touches megabytes.
"""

from __future__ import annotations

from collections import deque

SLICE_BYTES = 64 * 1024
"""A second and a third of PCM16 speech. A shorter piece goes into the buffer at once, where nothing waits before it."""


class LaterAudio:
    """What comes behind a buffer. Its owner appends here while `size` is not 0, and to the buffer otherwise."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self.size = 0
        """Bytes."""

    def append(self, audio: bytes) -> None:
        self._pieces.append(memoryview(audio))
        self.size += len(audio)

    def move(self, buffer: bytearray, size: int) -> None:
        """Move slices to the end of `buffer` until it holds `size` bytes, or all where there are fewer."""
        while self._pieces and len(buffer) < size:
            piece = self._pieces.popleft()
            buffer += piece[:SLICE_BYTES]
            if len(piece) > SLICE_BYTES:
                self._pieces.appendleft(piece[SLICE_BYTES:])
                self.size -= SLICE_BYTES
            else:
                self.size -= len(piece)

    def clear(self) -> None:
        self._pieces.clear()
        self.size = 0
