"""The protocol of a voice server, as bytes: frames of mono PCM16 with their length in front. Pure.

    frame = u32 little-endian, the length in bytes | so many bytes of PCM16, little-endian

Each frame is answered by one of as many samples. A frame of length 0 says that the speech is over: its answer holds what was held back,
and the next frame begins anew.

Laws:
- The decoder keeps less than one frame, and no more than `MAX_FRAME_S` of audio: a longer frame is refused by its head.
- However the bytes are split, the same frames come out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from parley.audio.pcm import to_bytes, to_float
from parley.engines.ports import Samples
from parley.errors import ParleyError

HEAD: Final = struct.Struct("<I")
MAX_FRAME_S: Final = 1.0


class FrameInvalid(ParleyError):
    """Bytes that are no frame of the protocol; nothing that follows them can be read."""


def encode_frame(audio: Samples) -> bytes:
    """One frame, float32 `[n]` in; n = 0 is the end of the speech."""
    body = to_bytes(audio)
    return HEAD.pack(len(body)) + body


class FrameDecoder:
    """Call `push()` with bytes as they come, and take every frame before the next call.

    `longest` is the most samples that a frame may hold: 1 s of a client's, and the delay too of a server's answer.
    """

    __slots__ = ("_bytes", "_longest")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._bytes = bytearray()

    @property
    def partial(self) -> bool:
        """Whether a frame has begun that is not whole."""
        return bool(self._bytes)

    def push(self, data: bytes) -> Iterator[Samples]:
        """The frames that are whole now, each float32 `[n]`. Raises `FrameInvalid` when it comes to a length that cannot be."""
        self._bytes += data
        at = 0
        try:
            while len(self._bytes) - at >= HEAD.size:
                (length,) = HEAD.unpack_from(self._bytes, at)
                self._check(length)
                end = at + HEAD.size + length
                if len(self._bytes) < end:
                    break
                frame = to_float(bytes(self._bytes[at + HEAD.size : end]))
                at = end
                yield frame
        finally:
            del self._bytes[:at]

    def _check(self, length: int) -> None:
        if length % 2:
            raise FrameInvalid(
                f"A frame of {length} bytes holds half a sample.", "Send PCM16: two bytes for each sample, mono."
            )
        if length > 2 * self._longest:
            raise FrameInvalid(
                f"A frame of {length} bytes is longer than the {2 * self._longest} bytes that one may have.",
                "Send frames of at most 1 s, each with its length in bytes as 32 bits, the least significant first.",
            )
