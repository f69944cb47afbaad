"""How a stretch of speech ends: whether its pitch falls, rises or stays, its loudness sinks, its last sound is drawn out.

Laws: pure numpy over the last `WINDOW_S` of speech before the pause, at most a few ms of work. Pitch is found by normalised
autocorrelation (Boersma 1993, without the refinements; the smallest good lag wins, as in de Cheveigné & Kawahara's YIN 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports import Samples

SAMPLE_RATE: Final = 16_000
WINDOW_S: Final = 1.5
"""Of speech before the pause: two or three words, in which the cues lie (Gravano & Hirschberg 2011 use the last 0.2 to 1 s)."""

_RATE: Final = SAMPLE_RATE // 2  # 8 kHz carries every voice's pitch
_FRAME: Final = 320  # 40 ms: two periods of the lowest voice
_HOP: Final = 80  # 10 ms
_FFT: Final = 512  # at least a frame and the longest lag: no wrap-around
_MIN_HZ: Final = 60
_MAX_HZ: Final = 400
_VOICED: Final = 0.5  # autocorrelation of a frame that has a pitch
_FINAL_FRAMES: Final = 25  # the stretch whose slope is the final movement: 250 ms, about a syllable
_SILENCE_DB: Final = -30.0  # below the loudest frame: not speech
_FLOOR: Final = 1e-3  # full scale is 1: nothing quieter is speech


@dataclass(frozen=True, slots=True)
class Ending:
    """`slope_st` is the pitch movement of the last 250 ms voiced, in semitones; `height_st` its end against the window's median;
    `drop_db` how much quieter the last 200 ms are than the rest; `drawn_ms` the length of the last unbroken steady voiced
    stretch. `voiced_ms` of the window had a pitch: with little of it, nothing can be said."""

    slope_st: float
    height_st: float
    drop_db: float
    drawn_ms: float
    voiced_ms: float


def ending(audio: Samples) -> Ending | None:
    """Measure the end of `audio` (mono, 16 kHz); None where there is no speech in it."""
    recent = audio[-int(SAMPLE_RATE * (WINDOW_S + 1.5)) :]  # the pause itself lies at its end
    recent = recent[len(recent) % 2 :]
    halved = recent.reshape(-1, 2).mean(axis=1)
    if len(halved) < 2 * _FRAME:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(halved, _FRAME)[::_HOP]
    loudness = np.sqrt(np.mean(np.square(frames), axis=1))
    loud = np.flatnonzero(loudness > max(_FLOOR, float(loudness.max()) * 10 ** (_SILENCE_DB / 20)))
    if len(loud) < 10:
        return None
    last = int(loud[-1]) + 1
    first = max(int(loud[0]), last - int(WINDOW_S * _RATE / _HOP))
    pitch = _pitch_st(frames[first:last])
    return _measure(pitch, loudness[first:last])


def _pitch_st(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pitch of each frame in semitones over 1 Hz; NaN where it has none."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, _FFT, axis=1)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, axis=1)[:, : _RATE // _MIN_HZ + 2]
    lags = np.arange(correlation.shape[1])
    # A lag's sum has fewer terms the longer it is: dividing by their share keeps low voices in.
    normalised = correlation / np.maximum(correlation[:, :1], 1e-9) / (1 - lags / _FRAME)
    shortest = _RATE // _MAX_HZ
    window = normalised[:, shortest - 1 :]
    peaks = (window[:, 1:-1] >= window[:, :-2]) & (window[:, 1:-1] > window[:, 2:])
    heights = np.where(peaks, window[:, 1:-1], 0.0)
    best = heights.max(axis=1, keepdims=True)
    chosen = np.argmax(heights >= 0.85 * np.maximum(best, 1e-9), axis=1)
    rows = np.arange(len(frames))
    before, here, after = (window[rows, chosen + offset] for offset in (0, 1, 2))
    shift = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -1e-9)
    period = chosen + shortest + np.clip(shift, -0.5, 0.5)
    pitch: NDArray[np.float64] = np.where(best[:, 0] >= _VOICED, 12 * np.log2(_RATE / period), np.nan)
    return pitch


def _measure(pitch: NDArray[np.float64], loudness: NDArray[np.float32]) -> Ending:
    voiced = np.flatnonzero(~np.isnan(pitch))
    tail = loudness[-20:]
    body = loudness[:-20] if len(loudness) > 40 else loudness
    drop_db = float(20 * np.log10((np.mean(body) + 1e-6) / (np.mean(tail) + 1e-6)))
    if len(voiced) < 8:
        return Ending(0.0, 0.0, drop_db, 0.0, len(voiced) * 10.0)
    final = voiced[-_FINAL_FRAMES:]
    final = final[final >= final[-1] - 2 * _FINAL_FRAMES]  # not across a long gap
    values = pitch[final]
    values = values[np.abs(values - np.median(values)) < 7]  # octave slips
    half = max(1, len(values) // 3)
    slope = float(np.median(values[-half:]) - np.median(values[:half]))
    height = float(np.median(values[-half:]) - np.median(pitch[voiced]))
    return Ending(slope, height, drop_db, _drawn_frames(pitch, int(voiced[-1])) * 10.0, len(voiced) * 10.0)


def _drawn_frames(pitch: NDArray[np.float64], last: int) -> int:
    """Frames of the unbroken voiced stretch that ends at `last` and stays within a semitone."""
    count = 0
    for i in range(last, -1, -1):
        if np.isnan(pitch[i]) or abs(pitch[i] - pitch[last]) > 1.0:
            break
        count += 1
    return count
