"""Simulated rooms for tests of echo control: the loudspeaker's echo at the microphone beside it.

Laws:
- The same room and seed give the same echo, sample for sample.
- An impulse response is a direct path, a few early reflections and a diffuse tail that falls by 60 dB in `rt60_ms` (Polack's model).
- The loudspeaker saturates and is slightly asymmetric, as small ones are: an echo canceller's linear filter cannot remove that part.

Does not know: the signals, or the method of echo control.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parley.audio.types import Int16, Samples

EARLY_MS = 40
"""The early reflections arrive within this time."""

EARLY_REFLECTIONS = 8

TAIL_DB = 8.0
"""The level of the diffuse tail below the direct sound, for a loudspeaker within arm's reach of its microphone."""

MICROPHONE_NOISE_DB = -66.0
"""The microphone's own noise relative to full scale; without it, the results of a canceller would be too good."""


@dataclass(frozen=True, slots=True)
class Room:
    """One room, loudspeaker and microphone.

    rt60_ms: time in which the echo's tail falls by 60 dB.
    delay_ms: from a sample being given to the loudspeaker until its direct sound is recorded: device buffers and the path through the air.
    level_db: the echo at the microphone against the signal given to the loudspeaker.
    distortion: 0 for a perfect loudspeaker; 0.3 is a small one played loudly.
    """

    name: str
    rt60_ms: int
    delay_ms: int
    level_db: float
    distortion: float = 0.0
    seed: int = 1

    def impulse_response(self, rate: int) -> Samples:
        """`[n]` float32 at `rate` Hz, of energy 1, without the delay."""
        chance = np.random.default_rng(self.seed)
        length = max(1, rate * self.rt60_ms // 1_000)
        times = np.arange(length) / rate
        tail = chance.normal(0.0, 1.0, length) * np.exp(-6.908 * times * 1_000 / self.rt60_ms)
        tail *= 10 ** (-TAIL_DB / 20) / np.sqrt(np.sum(tail**2))
        response = tail
        response[0] += 1.0
        for at in chance.integers(
            rate // 1_000, max(rate // 1_000 + 1, min(length, rate * EARLY_MS // 1_000)), EARLY_REFLECTIONS
        ):
            if at < length:
                response[at] += chance.uniform(-0.4, 0.4) * np.exp(-6.908 * at / rate * 1_000 / self.rt60_ms)
        result: Samples = (response / np.sqrt(np.sum(response**2))).astype(np.float32)
        return result

    def echo(self, far: Int16, rate: int) -> Samples:
        """The echo of `far` `[n]` at the microphone: float32 `[n]` in the scale of int16, without the microphone's noise."""
        sound = _played(far.astype(np.float64) / 32_768, self.distortion)
        response = self.impulse_response(rate)
        size = 1 << int(np.ceil(np.log2(len(sound) + len(response))))
        heard = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)
        delay = rate * self.delay_ms // 1_000
        delayed = np.concatenate([np.zeros(delay), heard])[: len(far)]
        return (delayed * 32_768 * 10 ** (self.level_db / 20)).astype(np.float32)

    def microphone(self, far: Int16, near: Int16, rate: int) -> Int16:
        """The echo of `far`, the voice `near` (both `[n]`) and the microphone's noise, clipped as a converter clips."""
        noise = np.random.default_rng(self.seed + 1).normal(0.0, 32_768 * 10 ** (MICROPHONE_NOISE_DB / 20), len(far))
        return np.clip(np.rint(self.echo(far, rate) + near + noise), -32_768, 32_767).astype(np.int16)


def _played(
    sound: np.ndarray[tuple[int], np.dtype[np.float64]], distortion: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The loudspeaker's output: it saturates (tanh), more on one side (a square term)."""
    if distortion == 0:
        return sound
    drive = 4 * distortion
    return np.tanh(drive * sound) / drive + distortion * 0.2 * sound**2


ROOMS = (
    Room("headphones that leak", 120, 40, -40.0),
    Room("laptop in a furnished room", 250, 60, -12.0, 0.1, 2),
    Room("laptop, loud", 250, 60, 0.0, 0.2, 3),
    Room("laptop, loud and distorted", 300, 120, 0.0, 0.4, 4),
    Room("laptop in a kitchen", 600, 80, -6.0, 0.1, 5),
    Room("speakerphone in a meeting room", 500, 150, 0.0, 0.1, 6),
    Room("wireless loudspeaker", 350, 280, -6.0, 0.1, 7),
    Room("bare hall", 1_000, 100, -6.0, 0.1, 8),
)
"""From easy to hard, with levels and delays of real devices."""
