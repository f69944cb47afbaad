"""Conversion between 16-bit little-endian PCM and the float32 samples that engines use.

Laws:
- One scale everywhere: int16 `v` is float `v / 32768`, so int16 -> float32 -> int16 gives back every value.
- Going to int16 rounds to nearest and clips; it never wraps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parley.audio.types import Int16, Samples

FULL_SCALE = 32768.0


def as_int16(data: bytes | bytearray | memoryview) -> Int16:
    """View PCM16 little-endian bytes as int16, shape `[n]`. Raises `ValueError` on an odd number of bytes."""
    if len(data) % 2:
        raise ValueError(f"16-bit PCM needs an even number of bytes, got {len(data)}")
    return np.frombuffer(data, dtype="<i2")


def to_float(audio: NDArray[np.int16] | bytes | bytearray | memoryview) -> Samples:
    """PCM16 (array, or little-endian bytes) -> float32 in [-1, 1)."""
    ints = audio if isinstance(audio, np.ndarray) else as_int16(audio)
    return np.multiply(ints, np.float32(1.0 / FULL_SCALE), dtype=np.float32)


def to_int16(audio: Samples) -> Int16:
    """float32 -> int16, rounded to nearest and clipped at full scale."""
    scaled = np.rint(audio * np.float32(FULL_SCALE))
    ints: Int16 = np.clip(scaled, -32768.0, 32767.0).astype(np.int16)
    return ints


def to_bytes(audio: Samples | NDArray[np.int16]) -> bytes:
    """float32 or int16 samples -> PCM16 little-endian bytes."""
    ints = audio if audio.dtype == np.int16 else to_int16(audio.astype(np.float32, copy=False))
    return ints.astype("<i2", copy=False).tobytes()
