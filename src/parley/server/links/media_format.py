"""How a link that carries audio as media writes it: an encoding and a rate, and the way between that and float32.

Laws: one channel; a sample is never split here (`MediaInput` puts split ones together). What a client sends as float32 is made finite and
brought within full scale: a filter would never forget anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from parley.audio import g711, pcm
from parley.audio.types import Samples
from parley.core.words.settings import AudioFormat

Encoding = Literal["pcm16", "pcmu", "pcma", "float32"]

ENCODINGS: Final[tuple[Encoding, ...]] = ("pcm16", "pcmu", "pcma", "float32")
RATES: Final = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""What sound hardware has, as far as speech needs it."""

_NATIVE: Final = {"pcm16": AudioFormat.PCM16, "pcmu": AudioFormat.PCMU, "pcma": AudioFormat.PCMA}
_SAMPLE_BYTES: Final = {"pcm16": 2, "pcmu": 1, "pcma": 1, "float32": 4}


@dataclass(frozen=True, slots=True)
class MediaFormat:
    """Little-endian samples at `rate` Hz; float32 has full scale at 1."""

    encoding: Encoding
    rate: int

    @property
    def native(self) -> AudioFormat | None:
        """The session's format that has the very same bytes; None: there is none."""
        native = _NATIVE.get(self.encoding)
        return native if native is not None and native.rate == self.rate else None

    @property
    def sample_bytes(self) -> int:
        return _SAMPLE_BYTES[self.encoding]

    def decode(self, audio: bytes) -> Samples:
        """Whole samples as float32 in [-1, 1], at `rate`."""
        match self.encoding:
            case "pcm16":
                return pcm.to_float(audio)
            case "pcmu":
                return pcm.to_float(g711.decode_mulaw(np.frombuffer(audio, np.uint8)))
            case "pcma":
                return pcm.to_float(g711.decode_alaw(np.frombuffer(audio, np.uint8)))
            case "float32":
                finite = np.nan_to_num(np.frombuffer(audio, "<f4"), nan=0.0)
                samples: Samples = np.clip(finite, -1.0, 1.0).astype(np.float32, copy=False)
                return samples

    def encode(self, audio: Samples) -> bytes:
        """float32 at `rate` as bytes; clipped at full scale."""
        match self.encoding:
            case "pcm16":
                return pcm.to_bytes(audio)
            case "pcmu":
                return g711.encode_mulaw(pcm.to_int16(audio)).tobytes()
            case "pcma":
                return g711.encode_alaw(pcm.to_int16(audio)).tobytes()
            case "float32":
                return np.clip(audio, -1.0, 1.0).astype("<f4").tobytes()


NATIVE_FORMATS: Final = {
    AudioFormat.PCM16: MediaFormat("pcm16", AudioFormat.PCM16.rate),
    AudioFormat.PCMU: MediaFormat("pcmu", AudioFormat.PCMU.rate),
    AudioFormat.PCMA: MediaFormat("pcma", AudioFormat.PCMA.rate),
}
"""The session's formats as media."""
