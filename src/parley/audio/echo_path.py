"""Detects whether the microphone hears the loudspeaker: with headphones it does not, and nothing needs to be cancelled.

Laws:
- An echo is a delayed copy of what was played; another voice is not. The correlation of the microphone with the
  last `LONGEST_DELAY_MS` of the far end, both whitened, at the best delay, distinguishes them.
- A path that was found counts as present until `GONE_MS` of loud far end show no echo; the finding is kept from one reply to the next.
- Until either is known each sound is judged by itself, within `VOICE_MS` of its beginning.
- Counts samples; no clock. A second of audio costs a few milliseconds, and only while the far end plays.

Does not know: how an echo is cancelled, devices, replies.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from parley.audio.types import Int16

Path = Literal["unknown", "found", "absent"]

FRAME_MS = 10
RATE = 8_000
"""The telephone's rate: enough to distinguish voices."""

PER_MS = RATE // 1_000
FRAME = FRAME_MS * PER_MS

LONGEST_DELAY_MS = 500
"""From a sample being given to the loudspeaker until it is heard: device buffers, a wireless link and the way through the air."""

WINDOW_MS = 384
"""How much of the microphone is compared: an echo then correlates by 0.3 to 0.9, another voice by 0.06 to 0.14, rarely by 0.25."""

ONSET_MS = 96
"""The shortest window that is judged: an echo then correlates by 0.3 to 0.9, another voice by 0.13 to 0.25."""

VOICE_MS = 256
"""A sound that does not correlate for so long is a voice."""

EVERY_FRAMES = 3
"""Frames from one comparison to the next while the microphone hears something."""

EVERY_FRAMES_IN_SILENCE = 8

SURE = 0.5
"""A correlation that no other voice reaches."""

LIKELY = 0.3
"""A correlation that another voice reaches seldom, and not twice at the same delay."""

SUSPECT = 0.35
"""At a sound's beginning this is reason enough to keep it back until more of it has been heard."""

UNLIKE = 0.2
"""An echo that is all that the microphone hears correlates better than this."""

SAME_DELAY = PER_MS
"""Two delays that differ by less are the same: devices' clocks drift by less than that within a second."""

INDEPENDENT_FRAMES = 20
"""Comparisons so far apart share less than half of their windows."""

ABSENT_MS = 360
"""Of far end without a path until the path counts as absent: within about a second of the first reply."""

GONE_MS = 2_000
"""The same where one had been found."""

GONE_DB = 15.0
"""An echo this far below the one that was found (at first: below the far end) is none."""

LEAST_CORRELATION = 0.1
"""What chance alone gives in a window of `WINDOW_MS`: an echo that explains less of the microphone cannot be distinguished from none."""

PLAYED_DB = -60.0
"""The loudspeaker counts as playing above this."""

SOUND_DB = -58.0
"""Below this the microphone hears noise only."""

VOICE_DB = -36.0
"""A sound is kept back until it is as loud as this: fainter ones may be leaks that drown in noise, or what a canceller in the
microphone itself, or in the operating system, has left of the far end. Voices at the mouth lie at -30 to -20."""

SOUND_ENDS_FRAMES = 25
"""Quiet frames that end a sound: the gaps between syllables are shorter."""

LOUD_SHARE = 0.3
"""Of the far end that the microphone should have heard, whatever the delay, so much must have sounded for its absence to count."""

LOW_HZ, HIGH_HZ, SMOOTH_HZ = 250, 3_600, 100
"""The band that is compared, and the width over which spectra are smoothed to whiten them."""

_FAR = (WINDOW_MS + LONGEST_DELAY_MS) * PER_MS
_SIZE = 1 << (_FAR - 1).bit_length()
_FULL_SCALE = 32_768.0**2

_Floats = NDArray[np.float64]
_Spectrum = NDArray[np.complex128]


def _power(decibels: float) -> float:
    return float(_FULL_SCALE * 10 ** (decibels / 10))


class EchoPath:
    """One loudspeaker and microphone at `sample_rate` Hz (a multiple of 8,000).

    Call `played()` with each 10 ms of the far end and `heard()` with each 10 ms of the microphone, int16 `[sample_rate // 100]`, in the
    order in which they happen; ask `state` and `voice` after each.
    """

    __slots__ = (
        "_absent_ms",
        "_far",
        "_gain",
        "_likely",
        "_loudest",
        "_near",
        "_number",
        "_playing",
        "_quiet",
        "_ratio",
        "_sound",
        "_until_next",
        "state",
        "voice",
    )

    def __init__(self, sample_rate: int) -> None:
        self._ratio = sample_rate // RATE
        self._far: _Floats = np.zeros(_FAR)
        self._near: _Floats = np.zeros(WINDOW_MS * PER_MS)
        self._playing: NDArray[np.bool_] = np.zeros(_FAR // FRAME, np.bool_)
        self._number = 0
        self._until_next = 0
        self._sound = 0
        self._quiet = SOUND_ENDS_FRAMES
        self._gain = 1.0
        self._absent_ms = 0
        self._likely = (0, -SAME_DELAY)
        self._loudest = 0.0
        self.state: Path = "unknown"
        self.voice = False
        """Whether the sound that the microphone hears now is a voice and no echo."""

    @property
    def passes(self) -> bool:
        """Whether what the microphone hears now may pass as it is: the far end is silent and has no path, or this is a voice."""
        loud = self._loudest > _power(VOICE_DB)
        if self.state == "absent":
            return loud or not self._playing.any()
        return self.state == "unknown" and self.voice and loud

    def played(self, frame: Int16) -> None:
        """10 ms of the far end."""
        samples = self._thinned(frame)
        _shift(self._far, samples)
        self._playing[:-1] = self._playing[1:]
        self._playing[-1] = np.dot(samples, samples) / len(samples) > _power(PLAYED_DB)

    def heard(self, frame: Int16) -> None:
        """10 ms of the microphone."""
        samples = self._thinned(frame)
        _shift(self._near, samples)
        self._number += 1
        power = float(np.dot(samples, samples)) / len(samples)
        if power > _power(SOUND_DB):
            self._sound, self._quiet = self._sound + 1 + (self._quiet if self._sound else 0), 0
            self._loudest = max(self._loudest, power)
        else:
            self._quiet += 1
            if self._quiet == SOUND_ENDS_FRAMES:
                self._sound, self._loudest, self.voice = 0, 0.0, False
        self._until_next -= 1
        if self._until_next > 0 or not self._playing.any():
            return
        self._until_next = EVERY_FRAMES if self._sound else EVERY_FRAMES_IN_SILENCE
        self._compare()

    def _thinned(self, frame: Int16) -> _Floats:
        thinned: _Floats = frame.reshape(-1, self._ratio).mean(axis=1)
        return thinned

    def _compare(self) -> None:
        sound_ms = (self._sound + self._quiet) * FRAME_MS if self._sound else WINDOW_MS
        window_ms = min(WINDOW_MS, sound_ms)
        if window_ms < ONSET_MS:
            return
        near = self._near[-window_ms * PER_MS :]
        far = self._far[-(window_ms + LONGEST_DELAY_MS) * PER_MS :]
        peak, delay = correlation(far, near)
        if self._is_echo(peak, delay):
            gain = self._explained(peak, far, near)
            self._gain = max(gain, self._gain) if self.state == "found" else gain
            self.state, self.voice, self._absent_ms = "found", False, 0
            return
        if peak >= SUSPECT and sound_ms <= VOICE_MS:
            self.voice = False
            if self.state == "absent":
                self.state, self._absent_ms = "unknown", 0
        elif peak < UNLIKE and sound_ms >= VOICE_MS and self._sound:
            self.voice = True
        self._look_for_absence(peak, far, near, window_ms)

    def _is_echo(self, peak: float, delay: int) -> bool:
        if peak < LIKELY:
            return False
        number, before = self._likely
        again = abs(delay - before) <= SAME_DELAY and self._number - number >= INDEPENDENT_FRAMES
        if not again and abs(delay - before) <= SAME_DELAY:
            return peak >= SURE
        self._likely = (self._number, delay)
        return again or peak >= SURE

    def _look_for_absence(self, peak: float, far: _Floats, near: _Floats, window_ms: int) -> None:
        oldest = self._playing[: WINDOW_MS // FRAME_MS]
        if self.state == "absent" or window_ms < WINDOW_MS or min(oldest.mean(), self._playing.mean()) < LOUD_SHARE:
            return
        if self._explained(max(peak, LEAST_CORRELATION), far, near) > self._gain * 10 ** (-GONE_DB / 10):
            return
        self._absent_ms += (EVERY_FRAMES if self._sound else EVERY_FRAMES_IN_SILENCE) * FRAME_MS
        if self._absent_ms >= (GONE_MS if self.state == "found" else ABSENT_MS):
            self.state, self._gain = "absent", 1.0

    def _explained(self, peak: float, far: _Floats, near: _Floats) -> float:
        """The power of the echo, of which the microphone holds the share `peak` squared, over that of the far end."""
        heard, played = np.dot(near, near) / len(near), np.dot(far, far) / len(far)
        return float(peak**2 * heard / max(float(played), 1.0))


def correlation(far: _Floats, near: _Floats) -> tuple[float, int]:
    """How alike the microphone `[n]` is to the far end `[n + m]` (which ends at the same time), 0..1, both whitened, at the best delay;
    and that delay in samples, 0..m."""
    longest = len(far) - len(near)
    far_white, near_white = _whitened(far), _whitened(near)
    matches = np.fft.irfft(np.fft.rfft(far_white, _SIZE) * np.conj(np.fft.rfft(near_white, _SIZE)), _SIZE)[
        : longest + 1
    ]
    energy = np.concatenate([[0.0], np.cumsum(far_white**2)])
    spans = energy[len(near) :] - energy[: longest + 1]
    # A span in which the far end is silent explains nothing, however well its noise may fit.
    norms = np.sqrt(np.maximum(spans, 0.01 * spans.max()) * np.sum(near_white**2))
    if not norms.min() > 0.0:
        return 0.0, 0
    shares = np.abs(matches) / norms
    at = int(np.argmax(shares))
    return float(shares[at]), longest - at


def _whitened(audio: _Floats) -> _Floats:
    """The same with every part of its spectrum about equally strong."""
    spectrum: _Spectrum = np.fft.rfft(audio, _SIZE)
    power = spectrum.real**2 + spectrum.imag**2
    width = SMOOTH_HZ * _SIZE // RATE
    sums = np.concatenate([[0.0], np.cumsum(power)])
    smooth = np.empty_like(power)
    half = width // 2
    smooth[half:-half] = (sums[2 * half :] - sums[: -2 * half])[: len(power) - 2 * half] / (2 * half)
    smooth[:half], smooth[-half:] = smooth[half], smooth[-half - 1]
    spectrum /= np.sqrt(smooth + 1e-3 * power.mean() + 1e-9)
    spectrum[: LOW_HZ * _SIZE // RATE] = 0
    spectrum[HIGH_HZ * _SIZE // RATE :] = 0
    white: _Floats = np.fft.irfft(spectrum, _SIZE)[: len(audio)]
    return white


def _shift(kept: _Floats, samples: _Floats) -> None:
    kept[: -len(samples)] = kept[len(samples) :]
    kept[-len(samples) :] = samples
