"""Sounds for the tests of loops: recorded speech, rooms, and two devices that play and capture it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from parley.audio.pcm import to_float
from parley.audio.resampling import resample
from parley.audio.types import Samples
from parley.interpret.loops import LoopDetector, LoopVerdict
from tests.speech import ClipMissing, clip, load

RATE = 16_000


def voice(name: str) -> Samples:
    """A clip at 16 kHz, at -20 dBFS. Raises `ClipMissing`."""
    pcm, rate = load(clip(name))
    audio = resample(to_float(pcm), rate, RATE)
    return np.asarray(audio * (0.1 / np.sqrt(np.mean(audio**2))), dtype=np.float32)


def voices() -> list[Samples]:
    """All the speech that is at hand and longer than five seconds."""
    found = []
    for name in ("two_cities", "beckett", "endgame_nagg_nell"):
        try:
            found.append(voice(name))
        except ClipMissing:
            continue
    return [each for each in found if len(each) > 5 * RATE]


def excerpt(rng: np.random.Generator, source: Samples, length_s: float) -> Samples:
    """A part of a clip; a clip that is too short is repeated."""
    count = round(length_s * RATE)
    begin = int(rng.integers(0, len(source)))
    return np.resize(np.roll(source, -begin), count)


def room(rng: np.random.Generator, audio: Samples, direct_db: float = 0.0, decay_s: float = 0.4) -> Samples:
    """The sound in a room: the direct sound, and echoes of which the energy is `direct_db` below it."""
    n = round(decay_s * RATE)
    echoes = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    echoes *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(echoes**2))
    echoes[0] = 1.0
    size = 1 << (len(audio) + n).bit_length()
    heard = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(echoes, size), size)[: len(audio)]
    return np.asarray(heard, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Path:
    """How what is played comes back: delay, level against what was played, noise against that, the other device's clock."""

    delay_s: float
    level_db: float
    noise_db: float = -10.0
    ppm: float = 0.0


def returned(rng: np.random.Generator, audio: Samples, path: Path) -> Samples:
    """What comes back of `audio`, with noise."""
    times = np.arange(len(audio)) * (1 + path.ppm * 1e-6) - path.delay_s * RATE
    echo = np.interp(times, np.arange(len(audio)), audio, left=0.0) * 10 ** (path.level_db / 20)
    noise = rng.standard_normal(len(audio)) * np.sqrt(np.mean(audio**2)) * 10 ** ((path.level_db + path.noise_db) / 20)
    return np.asarray(echo + noise, dtype=np.float32)


def pieces(played: Samples, captured: Samples, rng: np.random.Generator) -> Iterator[tuple[float, Samples, Samples]]:
    """Both in pieces of 20 ms with the time at which they begin; times come with jitter."""
    size = RATE // 50
    for begin in range(0, min(len(played), len(captured)) - size, size):
        at_s = 500.0 + begin / RATE + float(rng.uniform(0, 0.004))
        yield at_s, played[begin : begin + size], captured[begin : begin + size]


def first_found(
    detector: LoopDetector, played: Samples, captured: Samples, rng: np.random.Generator
) -> tuple[float, LoopVerdict] | None:
    """When the loop was found, in seconds from the beginning, and the verdict. Before it begins both devices are silent for a while."""
    silence = np.zeros(RATE // 50, dtype=np.float32)
    for number in range(-150, 0):
        detector.played(silence, RATE, 500 + number / 50)
        detector.captured(silence, RATE, 500 + number / 50 + 0.02)
    for at_s, out, back in pieces(played, captured, rng):
        detector.played(out, RATE, at_s)
        detector.captured(back, RATE, at_s + 0.02)
        verdict = detector.look(at_s + 0.02)
        if verdict is not None:
            return at_s + 0.02 - 500.0, verdict
    return None
