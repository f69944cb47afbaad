"""The wire's audio encodings as float arrays.

Laws: `decode` leaves samples in the scale of 16-bit integers, where resampling costs nothing extra; a reader that wants [-1, 1]
multiplies by `PCM_SCALE`, which is exact.
"""

from __future__ import annotations

import numpy as np

from parley.audio import g711, pcm
from parley.core.words.settings import AudioFormat
from parley.engines.ports import Samples

PCM_SCALE = np.float32(1 / pcm.FULL_SCALE)

_EVERY_CODE = np.arange(256, dtype=np.uint8)
_PCMU = g711.decode_mulaw(_EVERY_CODE).astype(np.float32)
_PCMA = g711.decode_alaw(_EVERY_CODE).astype(np.float32)


def decode(audio: bytes, format: AudioFormat) -> Samples:
    """Whole samples of the wire as float32 in the scale of int16, at `format.rate`."""
    if format is AudioFormat.PCM16:
        return np.frombuffer(audio, "<i2").astype(np.float32)
    table = _PCMU if format is AudioFormat.PCMU else _PCMA
    result: Samples = table[np.frombuffer(audio, np.uint8)]
    return result
