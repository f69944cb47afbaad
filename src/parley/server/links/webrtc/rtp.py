"""RTP packets of a client, read as far as a call needs them (RFC 3550, 5.1). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

_HEADER: Final = struct.Struct("!BBHII")
_EXTENSION: Final = struct.Struct("!HH")
_PADDED: Final = 0x20
_EXTENDED: Final = 0x10
_CONTRIBUTORS: Final = 0x0F


@dataclass(frozen=True, slots=True)
class RtpAudio:
    """One packet. `source` is its SSRC; `timestamp` is in ticks of the codec's clock."""

    source: int
    sequence: int
    timestamp: int
    payload: bytes


def is_rtcp(data: bytes) -> bool:
    """Whether a packet of the media transport is RTCP (RFC 5761, 4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


def parsed(data: bytes, payload_type: int) -> RtpAudio | None:
    """The packet; None where it has another payload type, or is no RTP. Header extensions are skipped."""
    if len(data) < _HEADER.size:
        return None
    bits, kind, sequence, timestamp, source = _HEADER.unpack_from(data)
    if bits >> 6 != 2 or kind & 0x7F != payload_type:
        return None
    start, end = _HEADER.size + 4 * (bits & _CONTRIBUTORS), len(data)
    if bits & _EXTENDED:
        if end < start + _EXTENSION.size:
            return None
        start += _EXTENSION.size + 4 * _EXTENSION.unpack_from(data, start)[1]
    if bits & _PADDED:
        if not data[-1]:
            return None
        end -= data[-1]
    return RtpAudio(source, sequence, timestamp, data[start:end]) if start <= end else None
