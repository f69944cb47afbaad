"""The pitch of live speech, one frame behind: autocorrelation of each frame, and the best path through what it allows.

Laws:
- Pure, and a stream: what is decided depends on the frames only, never on how they were grouped.
- The decision on a frame is made with the next `LOOKAHEAD` frames, and is final.
- Half of the true pitch is a lesser mistake than twice the pitch: see `phase_vocoder`.

Sources: P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound" (1993):
the autocorrelation of a windowed frame divided by that of the window, candidates with a strength each, a path of least cost.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from parley.audio.mel_scale import Floats
from parley.engines.vc.envelope import FFT, FREQUENCIES, SAMPLE_RATE, window

LOOKAHEAD: Final = 1
LOWEST_HZ: Final = 65.0
HIGHEST_HZ: Final = 500.0

_CANDIDATES: Final = 5
_VOICED_FROM: Final = 0.42
"""Strength of the autocorrelation from which a frame is rather voiced."""

_OCTAVE_COST: Final = 0.012
_JUMP_COST: Final = 0.45
"""For a jump by an octave between two frames."""

_SWITCH_COST: Final = 0.10
"""For a change between voiced and unvoiced."""

_FAR_COST: Final = 0.06
"""For a pitch an octave away from the speaker's usual one, by the square of the distance."""

_USUAL_HZ: Final = 150.0
"""The usual pitch of a speaker who was not heard yet."""

_QUIET: Final = 0.01
"""Below -40 dB of the loudest frame of late a frame is rather unvoiced."""

_SILENT_POWER: Final = 1e-9
_LOUDEST_DECAY: Final = 0.998
"""Per frame: to a half in three and a half seconds."""

_FIRST_LAG: Final = int(SAMPLE_RATE / HIGHEST_HZ)
_LAST_LAG: Final = int(np.ceil(SAMPLE_RATE / LOWEST_HZ))
_LAGS: Final = slice(_FIRST_LAG - 1, _LAST_LAG + 2)


_EVERY: Final = 2
_POINTS: Final = FFT // _EVERY
"""Every second bin of a spectrum will do: lags go no further than a sixth of this."""


def _weights() -> Floats:
    """Of a power spectrum: the first harmonics, where a voice is most periodic; nothing below 50 Hz, where there is hum."""
    rising = np.clip((FREQUENCIES[::_EVERY] - 40) / 20, 0, 1)
    falling = 0.5 + 0.5 * np.cos(np.pi * np.clip((FREQUENCIES[::_EVERY] - 900) / 1_600, 0, 1))
    weights: Floats = rising * falling
    return weights


def _window_correlation() -> Floats:
    shape = np.abs(np.fft.rfft(window(), _POINTS)) ** 2
    correlation: Floats = np.fft.irfft(shape, _POINTS)
    correlation = correlation[_LAGS] / correlation[0]
    return correlation


class LivePitch:
    """The pitch of one stream's frames. Call `correlate()` with a group of them, `add()` with each row of it, `finish()` at the end."""

    __slots__ = ("_loudest", "_pitches", "_pointers", "_scores", "_usual", "_weights", "_window")

    def __init__(self) -> None:
        self._weights = _weights()
        self._window = _window_correlation()
        self._loudest = 0.0
        self._usual = float(np.log2(_USUAL_HZ))
        self._pitches: deque[Floats] = deque()
        """Of the frames that are not decided: log2 of the candidates, 0 for unvoiced, which comes first."""
        self._pointers: deque[np.ndarray[tuple[int], np.dtype[np.intp]]] = deque()
        self._scores: Floats = np.zeros(0)

    def expect(self, pitch_hz: float) -> None:
        """Let the speaker's usual pitch be this."""
        self._usual = float(np.log2(pitch_hz))

    def correlate(self, power: Floats) -> Floats:
        """The autocorrelations of n frames, of their power spectra `[n, BINS]`."""
        if not len(power):
            return np.zeros((0, _LAGS.stop))
        return np.fft.irfft(power[:, ::_EVERY] * self._weights, _POINTS)[:, : _LAGS.stop]

    def finish(self) -> list[float]:
        """The frames that are left."""
        return [self._decide() for _ in range(len(self._pitches))]

    def add(self, correlation: Floats) -> list[float]:
        """The next frame; returns the pitch in Hz of the frame that is decided now, 0 for an unvoiced one, if there is one."""
        power = float(correlation[0])
        self._loudest = max(power, self._loudest * _LOUDEST_DECAY)
        pitches, strengths = self._candidates(correlation, power)
        if len(self._scores):
            before = self._pitches[-1]
            jumps = np.abs(pitches[None, :] - before[:, None]) * _JUMP_COST
            voiced, was_voiced = pitches > 0, before > 0
            jumps[:, ~voiced] = np.where(was_voiced, _SWITCH_COST, 0.0)[:, None]
            jumps[~was_voiced, :] = np.where(voiced, _SWITCH_COST, 0.0)[None, :]
            paths = self._scores[:, None] - jumps
            pointers = paths.argmax(axis=0)
            self._scores = paths[pointers, np.arange(len(pitches))] + strengths
        else:
            pointers = np.zeros(len(pitches), np.intp)
            self._scores = strengths
        self._scores = self._scores - self._scores.max()
        self._pitches.append(pitches)
        self._pointers.append(pointers)
        return [self._decide()] if len(self._pitches) > LOOKAHEAD else []

    def _candidates(self, correlation: Floats, power: float) -> tuple[Floats, Floats]:
        """log2 of each candidate (0: unvoiced) and how strong it is."""
        if power < _SILENT_POWER:
            return np.zeros(1), np.ones(1)
        quiet = max(0.0, 2.0 - np.sqrt(power / self._loudest) / _QUIET * (1 + _VOICED_FROM)) if self._loudest else 0.0
        heights = correlation[_LAGS] / (power * self._window)
        inner = heights[1:-1]
        peaks = np.flatnonzero((inner > heights[:-2]) & (inner >= heights[2:]) & (inner > 0.5 * _VOICED_FROM)) + 1
        if len(peaks) > _CANDIDATES:
            peaks = peaks[np.argsort(-heights[peaks], kind="stable")[:_CANDIDATES]]
        left, top, right = heights[peaks - 1], heights[peaks], heights[peaks + 1]
        bend = np.minimum(left - 2 * top + right, -1e-9)
        offset = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
        height = top - 0.25 * (left - right) * offset
        # More than 1 is possible where the voice fills a part of the frame only: that says little of its period.
        height = np.minimum(height, 2 - height)
        pitches = np.log2(SAMPLE_RATE / (peaks + _LAGS.start + offset))
        strengths = height + _OCTAVE_COST * (pitches - np.log2(LOWEST_HZ))
        strengths = strengths - _FAR_COST * (pitches - self._usual) ** 2
        return np.concatenate([[0.0], pitches]), np.concatenate([[_VOICED_FROM + quiet], strengths])

    def _decide(self) -> float:
        """The oldest frame's place on the best path to the newest."""
        at = int(self._scores.argmax())
        for pointers in list(self._pointers)[:0:-1]:
            at = int(pointers[at])
        pitch = float(self._pitches.popleft()[at])
        self._pointers.popleft()
        return float(2.0**pitch) if pitch else 0.0
