"""The two mel scales that speech models were trained on, and bands of equal width on them.

Laws: pure; arrays in, arrays out. Slaney's scale is linear below 1 kHz and logarithmic above; HTK's bends everywhere.

Sources: M. Slaney, "Auditory Toolbox" (1998); the HTK book (2006).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CORNER_HZ: Final = 1000.0
_CORNER_MEL: Final = 15.0
_LINEAR_HZ: Final = 200 / 3
"""Hz per mel below the corner."""

_STEP: Final = float(np.log(6.4) / 27)
"""Above the corner, 27 mels multiply the frequency by 6.4."""


def slaney_of(hz: Floats) -> Floats:
    """Mels of frequencies, on Slaney's scale."""
    above = _CORNER_MEL + np.log(np.maximum(hz, 1) / _CORNER_HZ) / _STEP
    mels: Floats = np.where(hz < _CORNER_HZ, hz / _LINEAR_HZ, above)
    return mels


def hz_of_slaney(mels: Floats) -> Floats:
    """Frequencies of mels, on Slaney's scale."""
    above = _CORNER_HZ * np.exp(_STEP * (mels - _CORNER_MEL))
    hz: Floats = np.where(mels < _CORNER_MEL, mels * _LINEAR_HZ, above)
    return hz


def htk_of(hz: Floats) -> Floats:
    """Mels of frequencies, on HTK's scale."""
    mels: Floats = 2595 * np.log10(1 + hz / 700)
    return mels


def hz_of_htk(mels: Floats) -> Floats:
    """Frequencies of mels, on HTK's scale."""
    hz: Floats = 700 * (10 ** (mels / 2595) - 1)
    return hz


def slaney_filters(rate: int, window: int, bands: int) -> Floats:
    """Weights `[window // 2 + 1, bands]` of a spectrum's lines: triangles from 0 Hz to half of `rate`, each of unit area in Hz."""
    top = slaney_of(np.array([rate / 2]))[0]
    edges = hz_of_slaney(np.linspace(0.0, top, bands + 2))
    lines = np.linspace(0.0, rate / 2, window // 2 + 1)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((lines - left) / (centre - left), (right - lines) / (right - centre))
    filters: Floats = np.maximum(triangles, 0.0) * (2 / (right - left))
    return filters
