"""Asterisk's AudioSocket: frames of a kind, a length and a payload, on TCP.

Laws: sans-IO and bounded: a frame has 65,535 bytes of payload at the most. What a kind means is judged elsewhere.
Source: Asterisk, "AudioSocket": one byte of kind, two of length (big-endian), the payload; audio is signed linear, 16 bits, one channel,
little-endian.
"""

from __future__ import annotations

from typing import Final

from parley.server.links.media_format import MediaFormat

HANG_UP: Final = 0x00
UUID: Final = 0x01
DTMF: Final = 0x03
ERROR: Final = 0xFF

AUDIO: Final = {
    0x10: MediaFormat("pcm16", 8_000),
    0x11: MediaFormat("pcm16", 12_000),
    0x12: MediaFormat("pcm16", 16_000),
    0x13: MediaFormat("pcm16", 24_000),
    0x14: MediaFormat("pcm16", 32_000),
    0x15: MediaFormat("pcm16", 44_100),
    0x16: MediaFormat("pcm16", 48_000),
    0x17: MediaFormat("pcm16", 96_000),
    0x18: MediaFormat("pcm16", 192_000),
}
"""By kind. Those above 0x10 came with Asterisk 20.17, 21.12, 22.7 and 23.1."""

_HEADER: Final = 3


def frame(kind: int, payload: bytes = b"") -> bytes:
    """One frame on the wire."""
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + payload


def silence(kind: int) -> bytes:
    """The payload of a frame of 20 ms without a sound, of this kind of audio."""
    return bytes(AUDIO[kind].rate // 50 * 2)


class AudioSocketReader:
    """Makes frames of bytes: `push` what came, then take each frame that is whole with `next`."""

    def __init__(self) -> None:
        self._data = bytearray()

    def push(self, data: bytes) -> None:
        self._data += data

    def next(self) -> tuple[int, bytes] | None:
        """The kind and the payload of the next frame; None: it is not whole."""
        if len(self._data) < _HEADER:
            return None
        end = _HEADER + int.from_bytes(self._data[1:_HEADER], "big")
        if len(self._data) < end:
            return None
        kind, payload = self._data[0], bytes(self._data[_HEADER:end])
        del self._data[:end]
        return kind, payload
