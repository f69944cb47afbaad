"""Signals to drive with, where recorded speech would prove no more."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def silence(length_ms: int) -> NDArray[np.int16]:
    return np.zeros(24 * length_ms, dtype=np.int16)


def voice(length_ms: int) -> NDArray[np.int16]:
    """A buzz of 120 Hz with its harmonics."""
    at = np.arange(24 * length_ms) / 24_000
    return np.asarray(8000 * np.sign(np.sin(2 * np.pi * 120 * at) + 1e-9), dtype=np.int16)


def write_wav(path: Path, pcm: NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(24_000)
        wav.writeframes(pcm.tobytes())
    return path
