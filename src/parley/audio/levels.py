"""Levels of audio.

Levels are in dBFS with 0 dBFS the RMS of a full-scale square wave, so a full-scale sine is at -3.01 dBFS.
"""

from __future__ import annotations

import math

import numpy as np

from parley.audio.types import Samples

SILENCE_DBFS = -120.0
"""The floor: quieter than the quantisation noise of 16-bit audio, and finite, so that levels can be averaged and compared."""


def rms(audio: Samples) -> float:
    """Root mean square, 0..1; 0 for an empty array."""
    if audio.size == 0:
        return 0.0
    return math.sqrt(float(np.dot(audio, audio)) / audio.size)


def to_dbfs(amplitude: float) -> float:
    """Linear amplitude -> dBFS, not below `SILENCE_DBFS`."""
    if amplitude <= 0.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 20.0 * math.log10(amplitude))


def rms_dbfs(audio: Samples) -> float:
    """RMS level in dBFS, not below `SILENCE_DBFS`."""
    return to_dbfs(rms(audio))


def frame_rms(audio: Samples, frame_samples: int) -> Samples:
    """RMS of each whole frame: `[n]` -> `[n // frame_samples]`; a last unfinished frame is left out."""
    count = audio.shape[0] // frame_samples
    frames = audio[: count * frame_samples].reshape(count, frame_samples)
    power = np.einsum("ij,ij->i", frames, frames) / np.float32(frame_samples)
    values: Samples = np.sqrt(power).astype(np.float32)
    return values
