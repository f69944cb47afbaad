"""Silences what echo cancellation leaves of the loudspeaker's voice, and lets a voice over it pass.

Laws:
- What is left of an echo is far quieter than the echo that was removed; a person's voice is not. The echo is assumed to last as long as a
  hall reverberates after the loudspeaker has fallen silent.
- Where nothing has been played for a while, nothing is changed.
- It opens and closes over one frame, without a click, and adds no delay.

Why: a voice activity model hears a voice in a residue of -70 dB as well as in a shout, and the agent would interrupt itself.

Does not know: how the echo was cancelled.
"""

from __future__ import annotations

import numpy as np

from parley.audio.types import Int16

UNDER_ECHO_DB = 14.0
"""A sound this far below the echo that was taken away is taken for what is left of it."""

DECAY_DB_PER_FRAME = 0.6
"""How fast the echo is reckoned to fall in a frame of 10 ms: RT60 of one second."""

HELD_FRAMES = 12
"""How long the echo is reckoned to stay as loud as it was before it falls: a hall's tail sets in below the direct sound."""

FLOOR_DB = -58.0
"""Below this there's no voice, only noise: what is left after an echo that a microphone's own noise covers."""

PLAYED_DB = -60.0
"""The loudspeaker counts as playing above this."""

AFTER_FRAMES = 300
"""Frames of 10 ms after the last sound of the loudspeaker until the gate stands open again: a hall's tail, and device buffers."""

OPENING_FRAMES = 3
"""Loud frames in a row that make a voice; a click is shorter."""

OPEN_FRAMES = 25
"""How long it stays open after the last loud frame: the gaps between syllables."""

_FULL_SCALE = 32_768.0**2


def _power(decibels: float) -> float:
    return _FULL_SCALE * 10 ** (decibels / 10)


class EchoGate:
    """One microphone's gate. Call `played()` with each frame of the far end and `pass_through()` with each of the microphone."""

    __slots__ = (
        "_before",
        "_decay",
        "_echo",
        "_floor",
        "_gain",
        "_held",
        "_left_open",
        "_loud",
        "_played_at_least",
        "_share",
        "_since_played",
    )

    def __init__(self) -> None:
        self._share = 10 ** (-UNDER_ECHO_DB / 10)
        self._decay = 10 ** (-DECAY_DB_PER_FRAME / 10)
        self._floor = _power(FLOOR_DB)
        self._played_at_least = _power(PLAYED_DB)
        self._since_played = AFTER_FRAMES
        self._before = 0.0
        self._echo = 0.0
        self._held = 0
        self._loud = 0
        self._left_open = 0
        self._gain = 1.0

    def played(self, frame: Int16) -> None:
        """10 ms of the far end."""
        if _mean_square(frame) > self._played_at_least:
            self._since_played = 0

    def pass_through(self, heard: Int16, cleaned: Int16) -> Int16:
        """10 ms of the microphone before and after echo cancellation; returns what may be heard of the latter."""
        before, self._before = self._before, _mean_square(heard)
        left = _mean_square(cleaned)
        # What was cleaned is some milliseconds older than what was heard.
        taken = max(0.0, min(before, self._before) - left)
        self._held -= 1
        if taken >= self._echo:
            self._echo, self._held = taken, HELD_FRAMES
        elif self._held < 0:
            self._echo *= self._decay
        self._since_played += 1
        if left > self._floor and left > self._echo * self._share:
            self._loud += 1
            if self._loud >= OPENING_FRAMES:
                self._left_open = OPEN_FRAMES
        else:
            self._loud = 0
        self._left_open -= 1
        goal = 1.0 if self._left_open > 0 or self._since_played > AFTER_FRAMES else 0.0
        gain, self._gain = self._gain, goal
        if gain == goal:
            return cleaned if goal else np.zeros_like(cleaned)
        ramp = np.linspace(gain, goal, len(cleaned), dtype=np.float32)
        faded: Int16 = np.rint(cleaned * ramp).astype(np.int16)
        return faded


def _mean_square(frame: Int16) -> float:
    samples = frame.astype(np.float32)
    return float(np.dot(samples, samples)) / len(frame)
