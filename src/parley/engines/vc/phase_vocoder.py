"""A streaming phase vocoder for speech: pitch, formants and mean envelope of a voice moved towards those of another.

Laws:
- Pure, and a stream: what comes out depends on the samples only, never on how they were cut into pieces.
- Output sample n says what input sample n said; N samples in are N samples out. `LATENCY` samples are held back.
- A frame in which nothing moves comes out as it went in.
- Unvoiced frames, and what lies above `_SHIFTED_TO_HZ`, keep their fine structure: there is no pitch in them.
- A frame comes out as loud as it went in, and no sample goes over 1.

Method. Each frame (a Hann window of 40 ms, every 10 ms) of pitch f is cut into the regions around its harmonics, k*f +- f/2. Region k moves
to k*g, where g is the new pitch, and is turned by k times one angle, which grows by 2*pi*(g - f) a second. So the harmonics keep their
phases relative to each other, which is what a plain phase vocoder loses: the waveform of a period is kept, only its periods come faster or
slower. A pitch that was estimated an octave too low moves the same harmonics by the same distances. Each region is given the level that
the new envelope has at its new place.

Sources: J. Laroche, M. Dolson, "New phase-vocoder techniques for real-time pitch shifting, chorusing, harmonizing, and other exotic audio
modifications" (1999), for moving regions of a spectrum; T. Quatieri, R. McAulay, "Shape invariant time-scale and pitch modification of
speech" (1992), for keeping the phases of harmonics together.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parley.audio.mel_scale import Floats
from parley.engines.ports import Samples
from parley.engines.vc.envelope import (
    BANDS,
    BIN_HZ,
    BINS,
    FFT,
    FREQUENCIES,
    SAMPLE_RATE,
    WINDOW,
    band_curve,
    band_levels,
    decibels,
    harmonic_envelope,
    window,
)
from parley.engines.vc.live_pitch import LOOKAHEAD, LivePitch
from parley.engines.vc.profiles import VoiceProfile
from parley.engines.vc.source_voice import SourceVoice, spread_of

HOP: Final = 240
LATENCY: Final = WINDOW + LOOKAHEAD * HOP
"""Samples that are held back, 50 ms."""

_OVERLAP: Final = 3 * WINDOW / (8 * HOP)
"""What the squares of the windows add up to."""

_SHIFTED_TO_HZ: Final = 4_500.0
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 550.0
"""The pitches that come out."""

_FURTHEST: Final = 10.0
"""Semitones from the median that a pitch is followed to."""

_MOST_FORMANT: Final = 1.4
_LEAST_SCALE, _MOST_SCALE = 0.6, 1.6
_MOST_EQUALIZED_DB: Final = 12.0
_MOST_RAISED_DB: Final = 24.0
"""Of a harmonic that moves to where the envelope is high."""

_MOST_LOUDNESS: Final = 6.0
_KNEE: Final = 0.95
"""Samples above it are bent so that they stay below 1."""

_CENTRE: Final = WINDOW // 2
_SHIFTED_BINS: Final = int(_SHIFTED_TO_HZ / BIN_HZ)
_SMOOTHING: Final = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9

Spectrum = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Move:
    """Where a voice moves: towards `target`, `pitch` semitones above it. `range` is how far the movement of the pitch is scaled to the
    target's, `envelope` how far the mean envelope is moved (0 not, 1 wholly). `formant` moves the formants by so many semitones, None by
    as much as the profiles say."""

    target: VoiceProfile
    pitch: float = 0.0
    range: float = 1.0
    envelope: float = 1.0
    formant: float | None = None


class PhaseVocoder:
    """One stream at `SAMPLE_RATE`. Call `push()` for each piece and `finish()` at the end.

    `source` is what is known of the speaker; the stream goes on learning of it.
    """

    __slots__ = (
        "_angle",
        "_bins",
        "_difference",
        "_equalizer",
        "_fed",
        "_given",
        "_held",
        "_move",
        "_pitch",
        "_spectra",
        "_sum",
        "_window",
        "source",
    )

    def __init__(self, move: Move, source: SourceVoice) -> None:
        self.source = source
        source.pause()
        self._move = move
        self._pitch = LivePitch()
        self._window = window()
        self._bins = np.arange(_SHIFTED_BINS, dtype=np.float64)
        self._held: Floats = np.zeros(WINDOW - HOP)
        """The first frames reach back to before the start, so that each sample lies in as many frames."""
        self._sum: Floats = np.zeros(WINDOW - HOP)
        """Of the frames so far, what later ones add to."""
        self._spectra: deque[Spectrum] = deque()
        """Of the frames whose pitch is not decided."""
        self._angle = 0.0
        self._difference = 0.0
        self._equalizer: Floats = np.ones(BINS)
        self._fed = 0
        self._given = -(WINDOW - HOP)
        """Samples that were given; negative while what comes is from before the start."""

    def learn(self, audio: Samples) -> None:
        """Hear what the speaker said before, without converting it. Call it before the first `push()`."""
        frames = self._cut(np.concatenate([self._held, audio]))
        spectra = self._transform(frames)
        tracker = LivePitch()
        pitches: list[float] = []
        for correlation in tracker.correlate(_power(spectra)):
            pitches.extend(tracker.add(correlation))
        for spectrum, pitch in zip(spectra, pitches + tracker.finish(), strict=True):
            self._hear(spectrum, pitch)
        self.source.pause()

    def push(self, audio: Samples) -> Samples:
        """Add samples `[n]`; returns what is ready."""
        self._fed += len(audio)
        return self._advance(np.concatenate([self._held, audio if np.isfinite(audio).all() else np.nan_to_num(audio)]))

    def finish(self) -> Samples:
        """What is held back."""
        padding = WINDOW + LOOKAHEAD * HOP + HOP
        rest = self._advance(np.concatenate([self._held, np.zeros(padding)]))
        return rest

    def _advance(self, known: Floats) -> Samples:
        frames = self._cut(known)
        self._held = known[len(frames) * HOP :]
        spectra = self._transform(frames)
        made: list[Spectrum] = []
        for spectrum, correlation in zip(spectra, self._pitch.correlate(_power(spectra)), strict=True):
            self._spectra.append(spectrum)
            if self.source.known:
                self._pitch.expect(self.source.median_hz)
            made.extend(self._convert(self._spectra.popleft(), pitch) for pitch in self._pitch.add(correlation))
        return self._add_up(made)

    def _cut(self, known: Floats) -> Floats:
        if len(known) < WINDOW:
            return np.zeros((0, WINDOW))
        return np.lib.stride_tricks.sliding_window_view(known, WINDOW)[::HOP]

    def _transform(self, frames: Floats) -> Spectrum:
        """Spectra whose phases are those at the centre of the frame."""
        rolled = np.zeros((len(frames), FFT))
        shaped = frames * self._window
        rolled[:, : WINDOW - _CENTRE] = shaped[:, _CENTRE:]
        rolled[:, FFT - _CENTRE :] = shaped[:, :_CENTRE]
        spectra: Spectrum = np.fft.rfft(rolled)
        return spectra

    def _add_up(self, spectra: list[Spectrum]) -> Samples:
        """Overlap the frames; returns the samples that no later frame adds to."""
        if not spectra:
            return np.zeros(0, np.float32)
        frames = np.fft.irfft(np.stack(spectra), FFT)
        total = np.zeros(len(self._sum) + len(spectra) * HOP)
        total[: len(self._sum)] = self._sum
        for number, frame in enumerate(frames):
            at = number * HOP
            shaped = np.concatenate([frame[FFT - _CENTRE :], frame[: WINDOW - _CENTRE]]) * self._window
            total[at : at + WINDOW] += shaped / _OVERLAP
        ready = len(spectra) * HOP
        self._sum = total[ready:]
        made = total[:ready]
        before = max(0, -self._given)
        self._given += ready
        made = made[before : max(before, ready - max(0, self._given - self._fed))]
        return _limited(made).astype(np.float32)

    def _hear(self, spectrum: Spectrum, pitch: float) -> Floats | None:
        """Learn of a frame; returns its envelope, None of an unvoiced one."""
        if not pitch:
            self.source.hear(0.0, None)
            return None
        envelope = harmonic_envelope(decibels(np.abs(spectrum)), pitch)
        self.source.hear(pitch, band_levels(envelope))
        return envelope

    def _convert(self, spectrum: Spectrum, pitch: float) -> Spectrum:
        envelope = self._hear(spectrum, pitch)
        if envelope is None:
            self._angle = self._difference = 0.0
            return self._loud_as(spectrum * self._equalizer, spectrum)
        target = self._target_pitch(pitch)
        ratio = self._formant_ratio()
        self._equalizer = self._equalizing(ratio)
        difference = target - pitch
        if self._difference:
            self._angle += np.pi * (self._difference + difference) * HOP / SAMPLE_RATE
        self._difference = difference
        moved = np.interp(FREQUENCIES / ratio, FREQUENCIES, envelope)
        made = spectrum * (10 ** (_fading(moved - envelope) / 20))
        made[:_SHIFTED_BINS] = self._shifted(spectrum, envelope, moved, pitch, target)
        return self._loud_as(made * self._equalizer, spectrum)

    def _shifted(self, spectrum: Spectrum, envelope: Floats, moved: Floats, pitch: float, target: float) -> Spectrum:
        """The lower bins: each region of a harmonic at its new place."""
        if target == pitch:
            return spectrum[:_SHIFTED_BINS] * 10 ** ((moved - envelope)[:_SHIFTED_BINS] / 20)
        old, new = pitch / BIN_HZ, target / BIN_HZ
        harmonics = np.rint(self._bins / new)
        offsets = self._bins - harmonics * new
        count = int(harmonics[-1]) + 1
        numbers = np.arange(count)
        steps = np.rint(numbers * (old - new)).astype(np.intp)
        rise = np.interp(numbers * new, np.arange(BINS), moved) - np.interp(numbers * old, np.arange(BINS), envelope)
        turns = 10 ** (np.minimum(rise, _MOST_RAISED_DB) / 20) * np.exp(1j * numbers * self._angle)
        which = harmonics.astype(np.intp)
        places = self._bins.astype(np.intp) + steps[which]
        usable = (np.abs(offsets) <= 0.5 * old) & (places < BINS) & (places >= 0)
        made: Spectrum = np.where(usable, spectrum[np.clip(places, 0, BINS - 1)] * turns[which], 0)
        return made

    def _target_pitch(self, pitch: float) -> float:
        move, source = self._move, self.source
        scale = float(np.clip(spread_of(move.target) / source.spread, _LEAST_SCALE, _MOST_SCALE))
        scale = max(0.0, 1 + move.range * (scale - 1))
        away = float(np.clip(12 * np.log2(pitch / source.median_hz), -_FURTHEST, _FURTHEST))
        ratio = move.target.median_hz / source.median_hz * 2 ** ((away * (scale - 1) + move.pitch) / 12)
        return float(np.clip(pitch * ratio, min(pitch, _LOWEST_HZ), max(pitch, _HIGHEST_HZ)))

    def _formant_ratio(self) -> float:
        if self._move.formant is not None:
            return float(2 ** (self._move.formant / 12))
        return float(np.clip(self._move.target.formant / self.source.formant, 1 / _MOST_FORMANT, _MOST_FORMANT))

    def _equalizing(self, ratio: float) -> Floats:
        """Factors that move the source's mean envelope, whose formants are moved already, towards the target's."""
        known, sure = self.source.envelope()
        if not self._move.target.envelope or not self._move.envelope or not sure:
            return self._equalizer
        moved = np.interp(BANDS / ratio, BANDS, known)
        levels = np.asarray(self._move.target.envelope) - moved
        levels = np.convolve(np.pad(levels - levels.mean(), 2, mode="edge"), _SMOOTHING, "valid")
        levels = np.clip(levels * sure * self._move.envelope, -_MOST_EQUALIZED_DB, _MOST_EQUALIZED_DB)
        return 10 ** (band_curve(levels) / 20)

    @staticmethod
    def _loud_as(made: Spectrum, spectrum: Spectrum) -> Spectrum:
        before, after = (float(np.vdot(each, each).real) for each in (spectrum, made))
        if after <= 0:
            return made
        made *= min(_MOST_LOUDNESS, float(np.sqrt(before / after)))
        return made


def _power(spectra: Spectrum) -> Floats:
    power: Floats = spectra.real**2 + spectra.imag**2
    return power / WINDOW**2


def _fading(levels: Floats) -> Floats:
    """Levels that fall to 0 dB from 6 to 9 kHz, where an envelope is one of noise."""
    faded: Floats = levels * np.clip((9_000 - FREQUENCIES) / 3_000, 0, 1)
    return faded


def _limited(samples: Floats) -> Floats:
    over = np.abs(samples) > _KNEE
    if not over.any():
        return samples
    room = 1 - _KNEE
    bent = _KNEE + room * np.tanh((np.abs(samples) - _KNEE) / room)
    return np.where(over, np.sign(samples) * bent, samples)
