"""Synthesized audio as the bytes that the listener gets.

Laws: what goes out is complete at the end of each clause: nothing of it waits for the next.
"""

from __future__ import annotations

import numpy as np

from parley.audio import g711, pcm
from parley.audio.resampling import Resampler
from parley.core.words.limits import AUDIO_DELTA_BYTES
from parley.core.words.settings import AudioFormat
from parley.engines.ports import Samples


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
