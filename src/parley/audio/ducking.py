"""Speech laid over an original, which is softened while the speech lasts.

Laws: pure; shape `[n]`, float32 in [-1, 1]; as many samples come out as of the original went in; speech is laid over in order, each sample
once; the loudness of the original changes in ramps, never in steps.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from parley.audio.types import Samples

SOFTEN_MS = 20
"""How long the original takes to become soft: short, because the first word of the speech lies over it."""

HOLD_MS = 250
"""The original stays soft over gaps of this length: between two sentences it would surge up and down."""

RETURN_MS = 300
"""How long the original takes to become loud again."""


class DuckedMix:
    """One original and what is laid over it, at `sample_rate` Hz. `under` is the factor, 0..1, by which the original is softened."""

    def __init__(self, sample_rate: int, under: float) -> None:
        self._under = under
        self._soften = _per_sample(under, sample_rate, SOFTEN_MS)
        self._return = _per_sample(under, sample_rate, RETURN_MS)
        self._hold = sample_rate * HOLD_MS // 1_000
        self._gain = 1.0
        self._held = 0
        """Samples for which the original stays soft though no speech is left."""
        self._speech: deque[Samples] = deque()
        self.queued = 0
        """Samples of speech that have not been laid over the original yet."""

    def queue(self, speech: Samples) -> None:
        """Speech to be laid over what comes next of the original, behind what is queued already."""
        if len(speech):
            self._speech.append(speech)
            self.queued += len(speech)

    def clear(self) -> None:
        """Drop the speech that is queued."""
        self._speech.clear()
        self.queued = 0

    def over(self, original: Samples) -> tuple[Samples, int]:
        """The next of the original, with speech over it; and how many samples of speech were laid over."""
        speech = self._next(len(original))
        count = len(speech)
        mixed: Samples = original * self._gains(count, len(original))
        mixed[:count] += speech
        limited: Samples = np.clip(mixed, -1.0, 1.0)
        return limited, count

    def _next(self, most: int) -> Samples:
        taken: list[Samples] = [np.zeros(0, np.float32)]
        wanted = min(most, self.queued)
        self.queued -= wanted
        while wanted:
            first = self._speech.popleft()
            if len(first) > wanted:
                self._speech.appendleft(first[wanted:])
                first = first[:wanted]
            taken.append(first)
            wanted -= len(first)
        return np.concatenate(taken)

    def _gains(self, spoken: int, length: int) -> Samples:
        """The factor for each sample of the original: `spoken` of them have speech over them."""
        parts: list[Samples] = []
        if spoken:
            parts.append(self._ramp(-self._soften, spoken))
            self._held = self._hold
        held = min(self._held, length - spoken)
        if held:
            # A short word may end before the original has become soft; it goes on becoming so.
            parts.append(self._ramp(-self._soften, held))
            self._held -= held
        if rest := length - spoken - held:
            parts.append(self._ramp(self._return, rest))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _ramp(self, step: float, length: int) -> Samples:
        gains: Samples = np.clip(self._gain + step * np.arange(1, length + 1), self._under, 1.0).astype(np.float32)
        self._gain = float(gains[-1])
        return gains


def _per_sample(under: float, rate: int, ramp_ms: int) -> float:
    return (1.0 - under) / (rate * ramp_ms / 1_000)
