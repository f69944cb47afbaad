"""Audio that waits to be worked through: written at one end, read at the other.

Laws: short pieces are collected in one buffer; a long one (a minute of speech appended at once) is kept as it came and copied
`SLICE_BYTES` at a time, so that no call touches megabytes.
"""

from __future__ import annotations

from collections import deque

SLICE_BYTES = 64 * 1024
"""A second and a third of PCM16 speech."""


class AudioBacklog:
    """A queue of bytes."""

    __slots__ = ("_long", "_long_bytes", "_near")

    def __init__(self) -> None:
        self._near = bytearray()
        self._long: deque[memoryview] = deque()
        """What comes behind `_near`, in pieces of any size."""
        self._long_bytes = 0

    def __len__(self) -> int:
        return len(self._near) + self._long_bytes

    def append(self, audio: bytes) -> None:
        if self._long_bytes or len(audio) > SLICE_BYTES:
            self._long.append(memoryview(audio))
            self._long_bytes += len(audio)
        else:
            self._near += audio

    def peek(self, size: int) -> bytearray:
        """The first `size` bytes, or all where there are fewer; they stay."""
        if self._long_bytes and len(self._near) < size:
            self._fetch(size)
        return self._near[:size]

    def drop(self, size: int) -> None:
        """Forget the first `size` bytes, or all where there are fewer."""
        if self._long_bytes and len(self._near) < size:
            self._fetch(size)
        del self._near[:size]

    def clear(self) -> None:
        self._near.clear()
        self._long.clear()
        self._long_bytes = 0

    def _fetch(self, size: int) -> None:
        """Move slices into the buffer until it holds `size` bytes."""
        while self._long and len(self._near) < size:
            piece = self._long.popleft()
            self._near += piece[:SLICE_BYTES]
            self._long_bytes -= min(len(piece), SLICE_BYTES)
            if len(piece) > SLICE_BYTES:
                self._long.appendleft(piece[SLICE_BYTES:])
