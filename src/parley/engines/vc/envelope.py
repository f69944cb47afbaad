"""Spectral envelopes of voiced speech: what is left of a spectrum when the harmonics are taken off it.

Laws:
- Pure. Levels are in dB, frequencies in Hz. A spectrum is that of one frame of `WINDOW` samples at `SAMPLE_RATE`, `BINS` long.
- The envelope goes through the peaks of the harmonics, so it does not depend on the pitch that it was measured at.
- A mean envelope is `len(BANDS)` levels with the mean 0: it says how a voice sounds, not how loud it is.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from parley.audio.mel_scale import Floats, htk_of, hz_of_htk

SAMPLE_RATE: Final = 24_000
WINDOW: Final = 960
"""Samples of a frame, 40 ms: four periods of a voice of 100 Hz, so that its harmonics lie apart."""

FFT: Final = 4_096
"""A frame is padded to this, so that a harmonic can be moved by whole bins (5.9 Hz)."""

BINS: Final = FFT // 2 + 1
BIN_HZ: Final = SAMPLE_RATE / FFT
FREQUENCIES: Final[Floats] = np.arange(BINS, dtype=np.float64) * BIN_HZ

_LOWEST_HZ: Final = 150.0
_HIGHEST_HZ: Final = 7_000.0
"""Every recording of 16 kHz reaches up to here, whatever filters it went through."""

_BAND_COUNT: Final = 32
_FLOOR: Final = 1e-7
"""Of magnitudes: far below one step of 16-bit audio."""


_LOWEST_MEL, _HIGHEST_MEL = htk_of(np.array([_LOWEST_HZ, _HIGHEST_HZ]))
BANDS: Final[Floats] = hz_of_htk(np.linspace(_LOWEST_MEL, _HIGHEST_MEL, _BAND_COUNT))
"""The frequencies at which a mean envelope is known, evenly spaced in mel."""


def window() -> Floats:
    """The Hann window of a frame; its square adds up to a constant at every hop that divides `WINDOW` by 3 or more."""
    made: Floats = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    return made


def decibels(magnitudes: Floats) -> Floats:
    """The level of each magnitude."""
    levels: Floats = 20 * np.log10(np.maximum(magnitudes, _FLOOR))
    return levels


def harmonic_envelope(levels: Floats, pitch_hz: float) -> Floats:
    """The envelope of one frame, `[BINS]` dB, from its levels `[BINS]` and its pitch: straight lines between the harmonics' peaks."""
    step = pitch_hz / BIN_HZ
    count = int((BINS - 1) / step)
    centres = np.arange(1, count + 1) * step
    starts = np.rint(centres - step / 2).astype(np.intp)
    peaks = np.maximum.reduceat(levels, starts)
    envelope: Floats = np.interp(np.arange(BINS), centres, peaks)
    return envelope


def band_levels(envelope: Floats) -> Floats:
    """An envelope `[..., BINS]` at `BANDS`, each with the mean 0."""
    picked = envelope[..., np.rint(BANDS / BIN_HZ).astype(np.intp)]
    levels: Floats = picked - picked.mean(axis=-1, keepdims=True)
    return levels


def band_curve(levels: Floats) -> Floats:
    """Levels at `BANDS` as a smooth curve over all bins; it falls to 0 dB from the highest band to an octave above."""
    known = np.concatenate([[0.0, BANDS[0] * 0.6], BANDS, [1.5 * BANDS[-1], SAMPLE_RATE]])
    curve: Floats = np.interp(FREQUENCIES, known, np.concatenate([[0.0, levels[0] * 0.5], levels, [0.0, 0.0]]))
    return curve
