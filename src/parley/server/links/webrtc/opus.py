"""Opus, by PyAV: PCM16 at 24 kHz in packets of 20 ms, and packets of a client back to PCM16 at 24 kHz.

Laws: one object for each direction of a call, each called in order, on the event loop (a packet takes 0.2 ms at the most). What is no
Opus is no sound, and never an exception.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from parley.audio.halving import Halving
from parley.core.words.limits import SAMPLE_RATE

CLOCK: Final = 48_000
"""Hz of Opus's timestamps, whatever it carries (RFC 7587)."""

PACKET_MS: Final = 20
PACKET_SAMPLES: Final = SAMPLE_RATE * PACKET_MS // 1000
PACKET_TICKS: Final = CLOCK * PACKET_MS // 1000
SILENCE: Final = bytes(2 * PACKET_SAMPLES)

APPLICATION: Final = "lowdelay"
"""Opus's MDCT layer (CELT) alone. Its "voip" mode adds linear prediction, which takes three to four times as long, and 4 ms of delay."""

BIT_RATE: Final = 64_000
"""Here CELT has the quality that "voip" has at 40 kbit/s: 4.10 and 4.13 of PESQ (wideband), the mean of four voices."""

COMPLEXITY: Final = 5
"""Of 0 to 10. At 10 a packet takes a third longer, for 0.1 of PESQ and less."""

QUIET_PACKETS: Final = 10
"""Packets of silence until the encoder's output has settled; from then on the last one is repeated."""

MAX_PACKET_BYTES: Final = 1_500
MAX_PACKET_TICKS: Final = CLOCK * 120 // 1000


class VoiceEncoder:
    """`encode` each 20 ms."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate = SAMPLE_RATE
        codec.format = "s16"
        codec.layout = "mono"
        codec.bit_rate = BIT_RATE
        codec.time_base = Fraction(1, SAMPLE_RATE)
        codec.options = {
            "application": APPLICATION,
            "frame_duration": str(PACKET_MS),
            "compression_level": str(COMPLEXITY),
        }
        self._codec = codec
        self._pts = 0
        self._quiet = 0
        self._silence = b""

    def encode(self, audio: bytes) -> bytes:
        """A packet of `PACKET_SAMPLES` of PCM16 at 24 kHz. b"" where there is none yet."""
        silent = audio == SILENCE
        self._quiet = 0 if not silent else min(self._quiet + 1, QUIET_PACKETS)
        if self._quiet == QUIET_PACKETS and self._silence:
            return self._silence
        frame = av.AudioFrame(format="s16", layout="mono", samples=PACKET_SAMPLES)
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = Fraction(1, SAMPLE_RATE)
        frame.pts = self._pts
        self._pts += PACKET_SAMPLES
        frame.planes[0].update(audio)
        packet = b"".join(map(bytes, self._codec.encode(frame)))
        self._silence = packet if silent else b""
        return packet


class VoiceDecoder:
    """`decode` each packet in its order, and tell it of what is missing: `lost`."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "r")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate = CLOCK
        codec.format = "s16"
        codec.layout = "mono"
        self._codec = codec
        self._narrowing = Halving()
        self._last = np.zeros(PACKET_TICKS, np.float32)
        self._repeated = 0

    def decode(self, packet: bytes) -> tuple[bytes, int]:
        """PCM16 at 24 kHz, and how long the packet is (ticks of `CLOCK`); nothing and 0 for what is no Opus."""
        if not packet or len(packet) > MAX_PACKET_BYTES:
            return b"", 0
        try:
            frames = self._codec.decode(av.Packet(packet))
        except av.FFmpegError:
            return b"", 0
        audio = [np.frombuffer(bytes(frame.planes[0]), np.int16, frame.samples) for frame in frames]
        ticks = sum(map(len, audio))
        if not ticks:
            return b"", 0
        heard = np.concatenate(audio, dtype=np.float32)
        self._last, self._repeated = heard[-PACKET_TICKS:], 0
        return self._narrowing.push(heard), ticks

    def lost(self, ticks: int) -> bytes:
        """PCM16 at 24 kHz for audio that did not come: what was heard last, twice as quiet with each 20 ms, then silence."""
        made = np.zeros(ticks, np.float32)
        for at in range(0, ticks, PACKET_TICKS):
            piece = made[at : at + PACKET_TICKS]
            self._repeated += 1
            if self._repeated <= 3:
                said = self._last[: len(piece)]
                piece[: len(said)] = said * 0.5**self._repeated
        return self._narrowing.push(made)
