"""Mel spectrograms of 16 kHz audio, as the pitch trackers of voice conversion were trained on them.

Laws: pure; float32; a window of 1,024 samples each 160, with a Hann window that is periodic; 128 bands of equal area; the natural
logarithm, not below ln(1e-5). Frames are rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parley.audio.mel_scale import htk_of, hz_of_htk, hz_of_slaney, slaney_of
from parley.engines.ports import Samples

SAMPLE_RATE: Final = 16_000
HOP: Final = 160
BANDS: Final = 128
_SIZE: Final = 1024
_FLOOR: Final = 1e-5

Frames = NDArray[np.float32]
"""Shape `[frames, bands]`."""


def rmvpe_mel(audio: Samples) -> Frames:
    """`len(audio)` // 160 + 1 frames, frame n about sample 160 n: the ends are mirrored. HTK's scale from 30 Hz. Needs 513 samples."""
    return _log_mel(np.abs(_spectra(_mirrored(audio, _SIZE // 2))), filters(htk=True, lowest_hz=30.0))


def fcpe_mel(audio: Samples) -> Frames:
    """`len(audio)` // 160 frames, frame n about sample 160 n + 80: the ends are mirrored. Slaney's scale from 0 Hz. Needs 433 samples."""
    spectra = _spectra(_mirrored(audio, (_SIZE - HOP) // 2))
    return _log_mel(np.sqrt(np.abs(spectra) ** 2 + np.float32(1e-9)), filters(htk=False, lowest_hz=0.0))


@dataclass(frozen=True, slots=True)
class Filters:
    """The triangles of one scale. Each line of the spectrum lies between two corners: there one band falls and the next one rises.

    `rising` and `falling` are the lines' weights `[513]`, `starts` the first line behind each corner `[130]`. Sums of stretches cost less
    than a product with a matrix of which nearly all is zero, and need none of the threads of a linear algebra library.
    """

    rising: NDArray[np.float64]
    falling: NDArray[np.float64]
    starts: NDArray[np.int64]

    def bands(self, magnitudes: Frames) -> NDArray[np.float64]:
        """The bands `[frames, 128]` of spectra `[frames, 513]`."""
        rise, fall = (self._stretches(magnitudes * weights) for weights in (self.rising, self.falling))
        return rise[:, :-1] + fall[:, 1:]

    def _stretches(self, weighted: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.zeros((len(weighted), weighted.shape[1] + 1))
        np.cumsum(weighted, axis=1, out=sums[:, 1:])
        at = sums[:, self.starts]
        return at[:, 1:] - at[:, :-1]


@cache
def filters(*, htk: bool, lowest_hz: float) -> Filters:
    """Triangles of equal area from `lowest_hz` to 8 kHz, evenly on HTK's scale or on Slaney's."""
    to_mel, to_hz = (htk_of, hz_of_htk) if htk else (slaney_of, hz_of_slaney)
    low, high = to_mel(np.array([lowest_hz, SAMPLE_RATE / 2]))
    corners = to_hz(np.linspace(low, high, BANDS + 2))
    lines = np.arange(_SIZE // 2 + 1) * SAMPLE_RATE / _SIZE
    starts = np.searchsorted(lines, corners)
    between = np.searchsorted(corners, lines, side="right") - 1
    left = np.clip(between, 0, BANDS)
    place = (lines - corners[left]) / (corners[left + 1] - corners[left])
    inside = (between >= 0) & (between <= BANDS)
    areas = np.pad(2 / (corners[2:] - corners[:-2]), 1)  # of no band before the first and behind the last
    return Filters(place * areas[left + 1] * inside, (1 - place) * areas[left] * inside, starts)


def _mirrored(audio: Samples, margin: int) -> Samples:
    return np.pad(audio, margin, mode="reflect")


def _spectra(audio: Samples) -> NDArray[np.complex64]:
    windows = np.lib.stride_tricks.sliding_window_view(audio, _SIZE)[::HOP]
    return np.fft.rfft(windows * _window(), axis=1).astype(np.complex64)


@cache
def _window() -> Samples:
    window: Samples = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_SIZE) / _SIZE)).astype(np.float32)
    return window


def _log_mel(magnitudes: Frames, bank: Filters) -> Frames:
    logarithms: Frames = np.log(np.maximum(bank.bands(magnitudes), _FLOOR)).astype(np.float32)
    return logarithms
