"""The wire's audio encodings as float arrays and back.

Laws: `decode` leaves samples in the scale of 16-bit integers, where resampling costs nothing extra; a reader that wants [-1, 1]
multiplies by `PCM_SCALE`, which is exact. What goes out is complete at the end of each clause: nothing of it waits for the next.
"""

from __future__ import annotations

import numpy as np

from parley.audio import g711, pcm
from parley.audio.resampling import Resampler
from parley.core.words.limits import AUDIO_DELTA_BYTES
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


class OutputEncoder:
    """One attempt's synthesized audio as the bytes its listener gets: resampled, encoded, cut into deltas.

    Call `encode()` with each chunk, `finish()` at the end of each clause.
    """

    __slots__ = ("_delta_bytes", "_format", "_resampler")

    def __init__(self, format: AudioFormat) -> None:
        self._format = format
        self._delta_bytes = min(AUDIO_DELTA_BYTES, format.bytes_per_ms * 1_000)
        self._resampler = Resampler(format.rate, format.rate)

    def encode(self, audio: Samples, rate: int) -> list[bytes]:
        """Mono float32 in [-1, 1] at `rate` Hz, as pieces of at most a second; may hold back some 20 ms."""
        if rate == self._resampler.in_rate:
            return self._cut(self._resampler.push(np.ascontiguousarray(audio, np.float32)))
        held_back = self.finish()
        # HQ: this is what the listener hears, and its lag is audio time, not waiting.
        self._resampler = Resampler(rate, self._format.rate, "HQ")
        return held_back + self.encode(audio, rate)

    def finish(self) -> list[bytes]:
        """The end of the clause: what was held back. Clauses begin and end in silence, so the next one starts afresh."""
        return self._cut(self._resampler.finish())

    def _cut(self, audio: Samples) -> list[bytes]:
        ints = pcm.to_int16(audio)
        match self._format:
            case AudioFormat.PCM16:
                data = pcm.to_bytes(ints)
            case AudioFormat.PCMU:
                data = g711.encode_mulaw(ints).tobytes()
            case AudioFormat.PCMA:
                data = g711.encode_alaw(ints).tobytes()
        return [data[at : at + self._delta_bytes] for at in range(0, len(data), self._delta_bytes)]
