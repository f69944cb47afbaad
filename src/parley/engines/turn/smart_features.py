"""The log-mel spectrogram that Smart Turn reads: Whisper's features of the last eight seconds, in numpy.

Laws: pure; the same samples give the same features; no model library is imported.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2, and the preprocessor
configuration of Smart Turn v3 (`chunk_length` 8, `do_normalize` true). The mel scale is Slaney's (Auditory Toolbox, 1998).
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parley.audio.mel_scale import slaney_filters
from parley.engines.ports import Samples

SAMPLE_RATE: Final = 16_000
SECONDS: Final = 8
WINDOW_SAMPLES: Final = SECONDS * SAMPLE_RATE
"""The model reads this much audio, the end of the turn last."""

FFT: Final = 400
HOP: Final = 160
MELS: Final = 80
FRAMES: Final = WINDOW_SAMPLES // HOP

_POWER_FLOOR: Final = 1e-10
_RANGE: Final = 8.0  # log10 of power: what lies 80 dB under the loudest is raised to there
_VARIANCE_FLOOR: Final = 1e-7


def log_mel(audio: Samples) -> NDArray[np.float32]:
    """Features `[80, 800]`, float32, of mono audio at 16 kHz.

    Audio longer than eight seconds loses its beginning; shorter audio is preceded by zeros. The window is brought to zero mean and unit
    variance before the spectrum is taken.
    """
    window = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
    recent = audio[-WINDOW_SAMPLES:]
    if len(recent):
        window[-len(recent) :] = recent
    window -= window.mean()
    window /= np.sqrt(window.var() + _VARIANCE_FLOOR)
    mirrored = np.pad(window, FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, FFT)[: FRAMES * HOP : HOP]
    spectrum = np.fft.rfft(frames * _hann())
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    levels = np.log10(np.maximum(power @ mel_filters(), _POWER_FLOOR))
    np.maximum(levels, levels.max() - _RANGE, out=levels)
    return np.ascontiguousarray(((levels + 4) / 4).T, dtype=np.float32)


@cache
def mel_filters() -> NDArray[np.float64]:
    """Weights `[201, 80]`: triangles over the bins of the spectrum, each of unit area in Hz."""
    return slaney_filters(SAMPLE_RATE, FFT, MELS)


@cache
def _hann() -> NDArray[np.float64]:
    """The periodic form, as in every short-time transform that overlaps its windows."""
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    return window
