"""G.711 mu-law and A-law, as two lookup tables per law.

Laws:
- Decision and output values are those of ITU-T G.711 (tables 1a-2b); ties and signs fall as in the reference code of ITU-T G.191.
- Encoding works on the 14 (mu-law) or 13 (A-law) upper bits of a 16-bit sample, so decode then encode gives back every code
  (except mu-law's negative zero, 0x7F, which has the same output value as positive zero, 0xFF).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parley.audio.types import Codes, Int16

_MU_BIAS = 33
_MU_CLIP = 0x1FFF
_ALAW_EVEN_BITS = 0x55


def _decode_table_mulaw() -> Int16:
    code = ~np.arange(256, dtype=np.int32)
    exponent, mantissa = (code >> 4) & 7, code & 15
    magnitude = ((((mantissa << 1) + _MU_BIAS) << exponent) - _MU_BIAS) << 2
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _decode_table_alaw() -> Int16:
    code = np.arange(256, dtype=np.int32) ^ _ALAW_EVEN_BITS
    exponent, mantissa = (code >> 4) & 7, code & 15
    step = (mantissa << 1) + 1 + np.where(exponent > 0, 32, 0)
    magnitude = (step << np.maximum(exponent - 1, 0)) << 3
    table: Int16 = np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)
    return table


def _magnitudes(drop_bits: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """One's-complement magnitude and sign of every 16-bit value, in the order of its uint16 view."""
    value = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    negative = value < 0
    return np.where(negative, ~value, value) >> drop_bits, negative


def _highest_bit(value: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.floor(np.log2(np.maximum(value, 1))).astype(np.int32)


def _encode_table_mulaw() -> Codes:
    magnitude, negative = _magnitudes(drop_bits=2)
    biased = np.minimum(magnitude + _MU_BIAS, _MU_CLIP)
    exponent = _highest_bit(biased) - 5
    mantissa = (biased >> (exponent + 1)) & 15
    code = (exponent << 4) | mantissa | np.where(negative, 0x80, 0)
    return (~code).astype(np.uint8)


def _encode_table_alaw() -> Codes:
    magnitude, negative = _magnitudes(drop_bits=4)
    exponent = np.maximum(_highest_bit(magnitude) - 3, 0)
    mantissa = (magnitude >> np.maximum(exponent - 1, 0)) & 15
    code = (exponent << 4) | mantissa | np.where(negative, 0, 0x80)
    table: Codes = (code ^ _ALAW_EVEN_BITS).astype(np.uint8)
    return table


_MULAW_TO_LINEAR = _decode_table_mulaw()
_ALAW_TO_LINEAR = _decode_table_alaw()
_LINEAR_TO_MULAW = _encode_table_mulaw()
_LINEAR_TO_ALAW = _encode_table_alaw()


def encode_mulaw(audio: Int16) -> Codes:
    """int16 `[n]` -> mu-law codes uint8 `[n]`."""
    return _LINEAR_TO_MULAW[audio.view(np.uint16)]


def decode_mulaw(codes: Codes) -> Int16:
    """mu-law codes uint8 `[n]` -> int16 `[n]`, at most 32124 in magnitude."""
    return _MULAW_TO_LINEAR[codes]


def encode_alaw(audio: Int16) -> Codes:
    """int16 `[n]` -> A-law codes uint8 `[n]`."""
    return _LINEAR_TO_ALAW[audio.view(np.uint16)]


def decode_alaw(codes: Codes) -> Int16:
    """A-law codes uint8 `[n]` -> int16 `[n]`, at most 32256 in magnitude."""
    return _ALAW_TO_LINEAR[codes]
