"""The voice that is converted, as far as it is known by now.

Laws:
- Pure. What is known depends on the frames that were heard only.
- What the conversion uses moves slowly while the speaker's voice sounds (`_MOST_PER_FRAME`), and freely between two voiced stretches, so a
  better estimate is no glide that a listener could hear.
- A speaker whose profile is given is taken as the profile says.
"""

from __future__ import annotations

from copy import copy
from typing import Final

import numpy as np

from parley.audio.mel_scale import Floats
from parley.engines.vc.envelope import BANDS
from parley.engines.vc.profiles import VoiceProfile, formant_of

_PERCENTILES: Final = 2.563
"""Standard deviations from the 10th percentile to the 90th."""

_USUAL_SPREAD: Final = 2.9
"""Standard deviation of a speaker's pitch in semitones, until it is known."""

_SPREAD_FRAMES: Final = 150
"""What the usual spread weighs."""

_START_ABOVE: Final = 1.0
_START_FRAMES: Final = 150
"""People begin to speak so many semitones above their median; after so many voiced frames that has evened out."""

_FADE: Final = 1 - 1 / 2_000
"""Of what older voiced frames weigh, per frame: a half is left after 14 s of voice."""

_ENVELOPE_FRAMES: Final = 60
"""What an unknown envelope weighs."""

_MOST_PER_FRAME: Final = 0.03
"""Semitones by which the median in use moves in a voiced frame, 3 a second."""

_FAR: Final = 4.0
"""Semitones off, the median in use was a mistake, and moves ten times as fast."""

_FREE_FRAMES: Final = 15
"""Voiced frames of a speaker after which the median in use moves slowly."""

_BREAK_FRAMES: Final = 4
"""Unvoiced frames in a row that part two voiced stretches."""

_LOWEST: Final = 12 * float(np.log2(60))
_PER_SEMITONE: Final = 4
_PITCHES: Final = 40 * _PER_SEMITONE
"""Places of the histogram of pitches, from 60 to 600 Hz."""


class SourceVoice:
    """Statistics of one speaker. Call `hear()` for each frame, then read what is in use."""

    __slots__ = ("_count", "_envelope", "_envelopes", "_known", "_pitches", "_silent", "_used")

    def __init__(self, known: VoiceProfile | None = None) -> None:
        self._known = known
        self._pitches: Floats = np.zeros(_PITCHES)
        """How often each pitch was heard: a median is not moved by the octaves that a pitch tracker is mistaken by."""
        self._count = 0
        self._used = 0.0
        self._silent = _BREAK_FRAMES
        self._envelope: Floats = np.zeros(len(BANDS))
        self._envelopes = 0.0
        if known is not None:
            self._used = 12 * float(np.log2(known.median_hz))

    def pause(self) -> None:
        """What comes next is another stretch of speech."""
        self._silent = _BREAK_FRAMES

    def copy(self) -> SourceVoice:
        """As it is now; neither follows the other."""
        made = copy(self)
        made._envelope = self._envelope.copy()
        made._pitches = self._pitches.copy()
        return made

    @property
    def known(self) -> bool:
        """Whether anything is known of its pitch."""
        return self._used > 0

    @property
    def median_hz(self) -> float:
        return float(2 ** (self._used / 12))

    @property
    def formant(self) -> float:
        """Its formant factor."""
        return formant_of(self.median_hz) if self._known is None else self._known.formant

    @property
    def spread(self) -> float:
        """Standard deviation of its pitch in semitones."""
        if self._known is not None:
            return max(0.3, spread_of(self._known))
        heard = float(self._pitches.sum())
        if not heard:
            return _USUAL_SPREAD
        found = (self._percentile(0.9) - self._percentile(0.1)) / _PERCENTILES
        return (heard * found + _SPREAD_FRAMES * _USUAL_SPREAD) / (heard + _SPREAD_FRAMES)

    def envelope(self) -> tuple[Floats, float]:
        """Its mean envelope at `BANDS`, and how sure that is, 0..1."""
        if self._known is not None and self._known.envelope:
            return np.asarray(self._known.envelope), 1.0
        if not self._envelopes:
            return self._envelope, 0.0
        return self._envelope / self._envelopes, self._envelopes / (self._envelopes + _ENVELOPE_FRAMES)

    def hear(self, pitch_hz: float, levels: Floats | None) -> None:
        """Take in a frame: its pitch, 0 for an unvoiced one, and its envelope at `BANDS`."""
        if not pitch_hz:
            self._silent += 1
            return
        pitch = 12 * float(np.log2(pitch_hz))
        if self._known is None:
            self._learn(pitch)
        if levels is not None:
            self._envelope = self._envelope * _FADE + levels
            self._envelopes = self._envelopes * _FADE + 1
        self._silent = 0

    def _learn(self, pitch: float) -> None:
        self._count += 1
        self._pitches *= _FADE
        self._pitches[_place(pitch)] += 1
        above = _START_ABOVE * max(0.0, 1 - self._count / _START_FRAMES)
        step = self._percentile(0.5) - above - self._used
        if self._silent < _BREAK_FRAMES and self._count > _FREE_FRAMES:
            most = _MOST_PER_FRAME * (10 if abs(step) > _FAR else 1)
            step = float(np.clip(step, -most, most))
        self._used += step

    def _percentile(self, part: float) -> float:
        """In semitones, between the places of the histogram."""
        sums = np.cumsum(self._pitches)
        wanted = part * sums[-1]
        at = int(np.searchsorted(sums, wanted))
        inside = (wanted - (sums[at] - self._pitches[at])) / self._pitches[at]
        return _LOWEST + (at + float(inside)) / _PER_SEMITONE


def _place(pitch: float) -> int:
    return min(_PITCHES - 1, max(0, int((pitch - _LOWEST) * _PER_SEMITONE)))


def spread_of(profile: VoiceProfile) -> float:
    """Standard deviation of a profile's pitch in semitones."""
    return float(12 * np.log2(profile.high_hz / profile.low_hz) / _PERCENTILES)
