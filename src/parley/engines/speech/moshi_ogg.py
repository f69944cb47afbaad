"""Ogg pages as they travel: packets into pages, and the bytes of a stream back into packets, without waiting for its end.

Laws:
- Pure; what is kept between two pieces is at most a page and a packet.
- A page is checked by its sum; bytes that are no page raise `InvalidOgg`.
- A page that is written holds whole packets.
Source: RFC 3533. A demuxer of FFmpeg reads from a file and blocks until it has what it looks for; a stream that comes in messages needs one
that takes what has come.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from parley.errors import ParleyError

MAX_PACKET_BYTES: Final = 64 * 1024
"""Of one packet: Opus packets have at most 61 KiB (120 ms, stereo, uncompressed padding); a comment header may be longer and is no use."""

CONTINUED: Final = 1
FIRST: Final = 2

_MAGIC: Final = b"OggS"
_HEADER: Final = struct.Struct("<4sBBqIIIB")
_MAX_LACED: Final = 255
_POLYNOMIAL: Final = 0x04C11DB7


class InvalidOgg(ParleyError):
    """Bytes are no Ogg stream."""


def _table() -> tuple[int, ...]:
    sums: list[int] = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (_POLYNOMIAL if value & 0x80000000 else 0)
        sums.append(value & 0xFFFFFFFF)
    return tuple(sums)


_SUMS: Final = _table()


def checksum(page: bytes | bytearray) -> int:
    """The sum of a page whose own field is 0."""
    value, sums = 0, _SUMS
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ sums[(value >> 24) ^ byte]
    return value


class PageWriter:
    """Writes one logical stream. `serial` tells it from others."""

    def __init__(self, serial: int) -> None:
        self._serial = serial
        self._number = 0

    def page(self, packets: Sequence[bytes], granule: int) -> bytes:
        """The next page, with whole `packets`; `granule` is where the last of them ends, in samples at 48 kHz for Opus.

        Raises `ValueError` where they do not fit into a page.
        """
        laced = bytearray()
        for packet in packets:
            laced += bytes([_MAX_LACED]) * (len(packet) // _MAX_LACED)
            laced.append(len(packet) % _MAX_LACED)
        if len(laced) > _MAX_LACED:
            raise ValueError("the packets are too long for one page")
        flags = 0 if self._number else FIRST
        head = _HEADER.pack(_MAGIC, 0, flags, granule, self._serial, self._number, 0, len(laced))
        self._number += 1
        page = bytearray(head + bytes(laced) + b"".join(packets))
        struct.pack_into("<I", page, 22, checksum(page))
        return bytes(page)


class PageReader:
    """Takes the bytes of a stream as they come, in pieces of any length."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._packet = bytearray()
        self._partial = False

    def push(self, data: bytes) -> list[bytes]:
        """The packets that `data` completes. Raises `InvalidOgg`."""
        self._bytes += data
        packets: list[bytes] = []
        while (page := self._page()) is not None:
            packets += self._packets(*page)
        return packets

    def _page(self) -> tuple[int, bytes, bytes] | None:
        """The flags, the lacing values and the body of the next page, None while it is not whole."""
        held = self._bytes
        if held[: len(_MAGIC)] != _MAGIC[: len(held)]:
            raise InvalidOgg("the bytes are no Ogg page")
        if len(held) < _HEADER.size:
            return None
        _, version, flags, _, _, _, claimed, count = _HEADER.unpack_from(held)
        if version != 0:
            raise InvalidOgg(f"an Ogg page has version {version}")
        laced = bytes(held[_HEADER.size : _HEADER.size + count])
        start = _HEADER.size + count
        end = start + sum(laced)
        if len(laced) < count or len(held) < end:
            return None
        page = held[:end]
        struct.pack_into("<I", page, 22, 0)
        if checksum(page) != claimed:
            raise InvalidOgg("an Ogg page is damaged (its sum is wrong)")
        body = bytes(held[start:end])
        del held[:end]
        return flags, laced, body

    def _packets(self, flags: int, laced: bytes, body: bytes) -> list[bytes]:
        skip = bool(flags & CONTINUED) and not self._partial  # the end of a packet whose beginning was not seen
        if not flags & CONTINUED:
            self._packet.clear()
        whole: list[bytes] = []
        at = 0
        for length in laced:
            self._packet += body[at : at + length]
            at += length
            if len(self._packet) > MAX_PACKET_BYTES:
                raise InvalidOgg(f"an Ogg packet is longer than {MAX_PACKET_BYTES >> 10} KiB")
            if length < _MAX_LACED:
                if not skip:
                    whole.append(bytes(self._packet))
                self._packet.clear()
                skip = False
        self._partial = bool(laced) and laced[-1] == _MAX_LACED
        return whole
