"""Finds out whether what a device plays comes back in what another captures: by measurement, whatever the devices are called.

Both sounds are brought to 8 kHz. The last `WINDOW_S` captured are correlated, by FFT, with what was played up to `LATEST_S` before. Each
sound is first made equally loud in time (20 to 30 ms), so that no loud vowel decides alone, and nearly equally strong in all frequencies
(the generalised cross-correlation with phase transform of Knapp and Carter, 1976, with the exponent 0.85), so that voices that only
resemble each other do not correlate. A loop is one sharp peak; its height is given in standard deviations of the other delays.

Laws:
- Pure: time is an argument; numpy only.
- One clear peak is a loop, as are two lower ones at the same delay in windows that share no sound. Measured with recorded speech, 76
  minutes of people who talk over each other: 16,800 looks, the highest peak 12.9, no loop found. Loops at -6 to -30 dB in a room, with
  noise as loud as what comes back: all found, half of them within 0.9 s and nearly all within 2 s.
- Nothing is found before each sound has run for a whole window: `WINDOW_S` captured, `LATEST_S` more played.
- The work of `look()` is bounded: at most once in `LOOK_S`, and nothing where there is no sound.
Does not know: devices, directions, what to do about a loop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parley.audio.resampling import Resampler
from parley.audio.types import Samples

RATE: Final = 8_000
WINDOW_S: Final = 1.5
LATEST_S: Final = 1.0
LOOK_S: Final = 0.25

SURE: Final = 14.0
LIKELY: Final = 8.5
STILL: Final = 7.0
"""Standard deviations: of a loop by one window, by two windows, and of one that is known already."""

SURE_APART: Final = 2.0
LIKELY_APART: Final = 1.7
"""How much higher the peak is than any other that is more than `APART_S` away: periodic sounds have many."""

MOST_SHARE: Final = 0.6
"""Two clicks match like two voices, but in one moment only: a loop is in several tenths of a second."""

APART_S: Final = 0.02
SAME_DELAY_S: Final = 0.012
REMEMBERED_S: Final = 6.0

SOUND_DBFS: Final = -60.0
"""What is softer is not taken for sound that was played."""

LEAST_SOUND_S: Final = 0.6
LEAST_CAPTURED: Final = 4e-5
"""RMS of the captured sound, about one step of 16 bits."""

_KEPT: Final = round(4.5 * RATE)
_JUMP_S: Final = 0.1
_SLIP_S: Final = 0.006
"""A timeline follows its clock when it is off by a jump at once, or by a slip on average."""

_FRAME: Final = RATE // 50
_EDGE_S: Final = 0.05
_PARTS: Final = 10
_LOW_HZ: Final = 120.0
_HIGH_HZ: Final = 3600.0
_WHITENING: Final = 0.85
_WEAK: Final = 0.3


@dataclass(frozen=True, slots=True)
class LoopVerdict:
    """What was played came back `delay_ms` later, `level_db` louder (negative: softer)."""

    delay_ms: float
    level_db: float


@dataclass(frozen=True, slots=True)
class _Peak:
    """The highest peak of one window: which window it is of, the delay, its height, by how much it is higher than the next, and how much
    of it is due to the part of the window (of `_PARTS`) that has the largest share."""

    end_s: float
    delay_s: float
    height: float
    apart: float
    share: float


class LoopDetector:
    """One pair of a played and a captured sound. Give it both as they come, and `look()` about 20 times a second.

    `earliest_s` is the least delay that counts; a little below 0 allows for devices that report their own delay wrongly.
    `phase` (0 to 1) moves the looks within `LOOK_S`, so that several detectors do not work at the same moment.
    """

    def __init__(self, earliest_s: float = 0.0, phase: float = 0.0) -> None:
        self._earliest_s = earliest_s
        self._phase = phase
        self._played = _Timeline()
        self._captured = _Timeline()
        self._next_look_s: float | None = None
        self._looked_end_s = 0.0
        self._peaks: deque[_Peak] = deque(maxlen=round(REMEMBERED_S / LOOK_S))
        self._known_s: float | None = None
        self.clear_s = 0.0
        """Seconds of sound that was played and did not come back, since it last did."""

    def played(self, audio: Samples, rate: int, at_s: float) -> None:
        """Sound that was played, float32 `[n]` at `rate` Hz, silence included; the first sample sounds at `at_s`."""
        self._played.push(audio, rate, at_s)

    def captured(self, audio: Samples, rate: int, at_s: float) -> None:
        """Sound that was captured, float32 `[n]` at `rate` Hz; the last sample was recorded at `at_s`."""
        self._captured.push(audio, rate, at_s - len(audio) / rate)

    def forget(self) -> None:
        """Take the loop that is known for gone: the next one must be as clear as the first."""
        self._known_s = None
        self._peaks.clear()
        self.clear_s = 0.0

    def look(self, now_s: float) -> LoopVerdict | None:
        """The loop, at every look for as long as it is there; None: there is none, it is too soon to look again, or nothing sounds."""
        if self._next_look_s is None:
            self._next_look_s = now_s + self._phase * LOOK_S
        if now_s < self._next_look_s:
            return None
        self._next_look_s = max(self._next_look_s + LOOK_S, now_s + LOOK_S / 2)
        end_s = self._captured.end_s
        if end_s - self._looked_end_s < LOOK_S / 2:
            return None
        self._looked_end_s = end_s
        if end_s - self._captured.begun_s < WINDOW_S or end_s - self._played.begun_s < WINDOW_S + LATEST_S:
            # Two sounds that begin together have that in common.
            return None
        captured = self._captured.window(end_s, WINDOW_S)
        played = self._played.window(end_s - self._earliest_s, WINDOW_S + LATEST_S - self._earliest_s)
        if not _has_sound(played) or float(np.sqrt(np.mean(captured**2))) < LEAST_CAPTURED:
            return None
        peak = self._peak(captured, played, end_s)
        if not self._is_loop(peak):
            self._peaks.append(peak)
            self.clear_s += LOOK_S
            return None
        self._known_s = peak.delay_s
        self._peaks.append(peak)
        self.clear_s = 0.0
        return LoopVerdict(1000 * peak.delay_s, self._level_db(captured, played, peak.delay_s))

    def _is_loop(self, peak: _Peak) -> bool:
        if peak.height >= STILL and peak.share > MOST_SHARE:
            return False
        if peak.height >= SURE and peak.apart >= SURE_APART:
            return True
        if self._known_s is not None and peak.height >= STILL and abs(peak.delay_s - self._known_s) < SAME_DELAY_S:
            return True
        if peak.height < LIKELY or peak.apart < LIKELY_APART:
            return False
        return any(
            WINDOW_S <= peak.end_s - other.end_s <= REMEMBERED_S
            and abs(other.delay_s - peak.delay_s) < SAME_DELAY_S
            and other.height >= LIKELY
            and other.apart >= LIKELY_APART
            and other.share <= MOST_SHARE
            for other in self._peaks
        )

    def _peak(self, captured: Samples, played: Samples, end_s: float) -> _Peak:
        back, out = _spectrum(_levelled(captured), len(played)), _spectrum(_levelled(played), len(played))
        correlation = np.abs(self._delays(back * np.conj(out), captured, played))
        at = int(np.argmax(correlation))
        height = float(correlation[at])
        spread = float(np.sqrt(np.mean(correlation**2)))
        around = round(APART_S * RATE)
        correlation[max(0, at - around) : at + around + 1] = 0
        other = float(correlation.max())
        if not spread or not other:
            return _Peak(end_s, 0.0, 0.0, 0.0, 1.0)
        share = 0.0
        if height >= STILL * spread:
            begin = len(played) - len(captured) - at
            whole = (
                np.fft.irfft(back, len(played))[: len(captured)]
                * np.fft.irfft(out, len(played))[begin:][: len(captured)]
            )
            parts = np.array([part.sum() for part in np.array_split(whole, _PARTS)])
            share = float(np.abs(parts).max() / max(abs(float(parts.sum())), 1e-12))
        return _Peak(end_s, self._earliest_s + at / RATE, height / spread, height / other, share)

    def _delays(self, spectrum: NDArray[np.complex128], captured: Samples, played: Samples) -> NDArray[np.float64]:
        """The correlation for each delay from the earliest to the latest."""
        correlation = np.fft.irfft(spectrum, len(played))
        most = len(played) - len(captured)
        # At index -n the captured window lies n samples after the beginning of the played one: that is the latest delay less n.
        return correlation[np.arange(-most, 1)]

    def _level_db(self, captured: Samples, played: Samples, delay_s: float) -> float:
        """How loud the loop is: the energy of its response around the delay, less what noise would put there; at least what comes back
        straight."""
        begin = len(played) - len(captured) - round((delay_s - self._earliest_s) * RATE)
        straight = played[max(0, begin) : max(0, begin) + len(captured)]
        gain = abs(float(np.dot(straight, captured[: len(straight)]))) / max(float(np.dot(straight, straight)), 1e-12)
        source = np.fft.rfft(played)
        power = np.abs(source) ** 2
        spectrum = np.fft.rfft(captured, len(played)) * np.conj(source) / (power + 0.05 * power.mean())
        # The division is held back where the source is weak: this is what 0 dB looks like through it.
        whole = np.mean((power / (power + 0.05 * power.mean())) ** 2)
        response = self._delays(spectrum, captured, played) ** 2
        at, around = round((delay_s - self._earliest_s) * RATE), round(APART_S * RATE)
        near = response[max(0, at - around) : at + around + 1]
        # The median of a squared normal variable is 0.455 of its mean.
        energy = float(near.sum() - len(near) * np.median(response) / 0.455) / max(float(whole), 1e-6)
        return float(10 * np.log10(max(energy, gain**2, 1e-9)))


class _Timeline:
    """The last seconds of a sound at 8 kHz, by the time at which each sample was."""

    def __init__(self) -> None:
        self._samples: Samples = np.zeros(2 * _KEPT, dtype=np.float32)
        self._end = 0
        """In `_samples`."""
        self._resampler: Resampler | None = None
        self._next_s = 0.0
        """When the next sample that is pushed is due."""
        self._off_s = 0.0
        self.end_s = 0.0
        """When the last sample ends."""
        self.begun_s = 0.0
        """Since when there is sound without a jump."""

    def push(self, audio: Samples, rate: int, at_s: float) -> None:
        """More sound, whose first sample is at `at_s`. Where it does not follow the sound before, it is moved to its time."""
        if not len(audio):
            return
        if self._resampler is None or self._resampler.in_rate != rate:
            self._resampler = Resampler(rate, RATE, "MQ")
            self._move(at_s - self.end_s)
            self._next_s, self._off_s = at_s, 0.0
            self.begun_s = at_s
        off_s = at_s - self._next_s
        length_s = len(audio) / rate
        self._off_s += (off_s - self._off_s) * min(1.0, length_s)
        if abs(off_s) > _JUMP_S or abs(self._off_s) > _SLIP_S:
            step_s = off_s if abs(off_s) > _JUMP_S else self._off_s
            self._move(step_s)
            if abs(off_s) > _JUMP_S:
                self.begun_s = at_s
            self._next_s += step_s
            self._off_s = 0.0
        self._next_s += length_s
        self._append(self._resampler.push(audio)[-_KEPT:])

    def _move(self, step_s: float) -> None:
        """Leave out so much time, or go back in it."""
        step = round(step_s * RATE)
        self.end_s += step_s
        if step >= 0:
            self._put(np.zeros(min(step, _KEPT), dtype=np.float32))
        else:
            back = min(-step, _KEPT)
            kept = self._samples[max(0, self._end - _KEPT) : self._end - back].copy() if self._end > back else None
            self._samples[:] = 0
            self._end = _KEPT
            if kept is not None:
                self._samples[self._end - len(kept) : self._end] = kept

    def _append(self, audio: Samples) -> None:
        self.end_s += len(audio) / RATE
        self._put(audio)

    def _put(self, audio: Samples) -> None:
        if self._end + len(audio) > len(self._samples):
            kept = self._samples[self._end - _KEPT : self._end].copy()
            self._samples[:_KEPT] = kept
            self._end = _KEPT
        self._samples[self._end : self._end + len(audio)] = audio
        self._end += len(audio)

    def window(self, end_s: float, length_s: float) -> Samples:
        """The sound of `length_s` that ends at `end_s`; zeros where there is none (any more, or yet)."""
        count = round(length_s * RATE)
        out: Samples = np.zeros(count, dtype=np.float32)
        end = self._end + round((end_s - self.end_s) * RATE)
        begin = end - count
        first, last = max(begin, 0, self._end - _KEPT), min(end, self._end)
        if first < last:
            out[first - begin : last - begin] = self._samples[first:last]
        return out


def _has_sound(played: Samples) -> bool:
    frames = played[: len(played) // _FRAME * _FRAME].reshape(-1, _FRAME)
    loud = np.count_nonzero(np.mean(frames**2, axis=1) > 10 ** (SOUND_DBFS / 10))
    return bool(loud * _FRAME >= LEAST_SOUND_S * RATE)


def _smoothed(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """The mean over `half` values on either side."""
    total = np.cumsum(np.pad(values, (half + 1, half), mode="edge"))
    return (total[2 * half + 1 :] - total[: -2 * half - 1]) / (2 * half + 1)


def _levelled(audio: Samples) -> NDArray[np.float64]:
    """The sound at the same loudness all the time; what is 26 dB below the mean stays soft."""
    power = np.square(audio, dtype=np.float64)
    loudness = np.sqrt(np.maximum(_smoothed(power, round(0.015 * RATE)), 0.0))
    levelled: NDArray[np.float64] = audio / (loudness + 0.05 * np.sqrt(power.mean()) + 1e-9)
    # A tone that is cut off at the window's edge clicks there, and the edges of two windows would match.
    ramp = np.sin(np.linspace(0, np.pi / 2, round(_EDGE_S * RATE))) ** 2
    levelled[: len(ramp)] *= ramp
    levelled[-len(ramp) :] *= ramp[::-1]
    return levelled


def _spectrum(audio: NDArray[np.float64], size: int) -> NDArray[np.complex128]:
    """The spectrum, nearly equally strong in the frequencies of speech and 0 outside of them."""
    spectrum = np.fft.rfft(audio, size)
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    strength = np.abs(spectrum)
    # What is much weaker than the rest is not raised to it: beside a tone there is only what the window's edges make.
    spectrum /= (strength + _WEAK * np.sqrt(np.mean(strength**2)) + 1e-12) ** _WHITENING
    spectrum[(frequencies < _LOW_HZ) | (frequencies > _HIGH_HZ)] = 0
    return spectrum
