"""Finds the answer in what a full-duplex model says: where it begins, what belongs to it, where it ends.

Laws:
- Pure. Time is the model's: samples of its output, of which it makes one for each sample that it is given.
- What the model says and ends while the user speaks is no answer (a backchannel, or a greeting) and is dropped. What it has begun and is
  still saying when the turn ends begins the answer, from its first sample.
- A pause inside the answer is given on when the model goes on; the silence after it is not.
- What is held is bounded: by `MAX_HELD_S` before the answer, by the pause that ends it after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from parley.audio.types import Samples
from parley.engines.ports import SpokenDelta
from parley.engines.speech.moshi_opus import RATE

BLOCK: Final = 480
"""Samples that are judged together: 20 ms."""

REMARK_PAUSE_S: Final = 0.24
"""Silence that ends a remark over the user's voice."""

MAX_HELD_S: Final = 10.0
"""Of speech that begins before the turn ends; of a longer one the beginning is dropped."""


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """In seconds of the model's time; `silence_rms` is the loudness below which it is silent."""

    within_s: float = 10.0
    pause_s: float = 0.8
    longest_s: float = 60.0
    silence_rms: float = 0.0056


State = Literal["before", "waiting", "speaking", "done", "cut", "nothing"]
"""`before` the turn's end; `done`: the model paused; `cut`: the answer reached its limit; `nothing`: none came."""


class AnswerFinder:
    """Give it what the model says, from `position` on and in order. `start` and `end` are where the turn lies, in samples of its output."""

    def __init__(self, position: int, start: int, end: int, limits: AnswerLimits) -> None:
        self.state: State = "before"
        self._limits = limits
        self._position = position
        self._start = start
        self._end = end
        self._held: list[Samples] = []
        self._text = ""
        self._wrote = False
        self._spoke = False
        self._quiet = 0
        self._given = 0
        self._shown = False

    @property
    def over(self) -> bool:
        return self.state in ("done", "cut", "nothing")

    @property
    def unspoken(self) -> int:
        """Characters of text that no audio came with yet."""
        return len(self._text)

    def text(self, text: str) -> None:
        """Text that goes with the audio that comes next: the model writes a word as it begins to say it."""
        if self._position < self._start:
            return  # (of the turn before)
        if not self._text and not self._shown:
            text = text.lstrip()
        self._text += text
        self._wrote = self._wrote or bool(text.strip())

    def audio(self, audio: Samples) -> SpokenDelta | None:
        """The next audio; what of it, and of what was held back, belongs to the answer."""
        pieces: list[Samples] = []
        text = ""
        for at in range(0, len(audio), BLOCK):
            if self.over:
                break
            block = audio[at : at + BLOCK]
            self._position += len(block)
            if self._position <= self._start:
                continue
            if self._next(block):
                pieces += self._held
                text += self._text
                self._held, self._text = [], ""
        if not pieces:
            return None
        given = np.concatenate(pieces)
        self._given += len(given)
        self._shown = self._shown or bool(text)
        if self._given >= self._limits.longest_s * RATE:
            self.state = "cut"
        return SpokenDelta(given, RATE, text)

    def _next(self, block: Samples) -> bool:
        """Hold `block`; whether what is held is to be given on."""
        active = self._wrote or bool(np.sqrt(np.mean(block * block)) >= self._limits.silence_rms)
        self._wrote = False
        self._quiet = 0 if active else self._quiet + len(block)
        if self.state == "before":
            self._overheard(block, active)
            if self._position < self._end:
                return False
            self._quiet = 0 if self._spoke else self._quiet
            self.state = "speaking" if self._spoke else "waiting"
            return self._spoke
        if self.state == "waiting":
            self._hold(block, 2)
            if active:
                self.state = "speaking"
            elif self._position - self._end >= self._limits.within_s * RATE:
                self.state = "nothing"
            return active
        self._held.append(block)
        if not active and self._quiet >= self._limits.pause_s * RATE:
            self.state = "done"
        return active

    def _overheard(self, block: Samples, active: bool) -> None:
        """What the model says while the user speaks."""
        if active:
            self._spoke = True
        elif self._quiet >= REMARK_PAUSE_S * RATE:
            self._spoke, self._text = False, ""
        self._hold(block, int(MAX_HELD_S * RATE) // BLOCK if self._spoke else 1)

    def _hold(self, block: Samples, most: int) -> None:
        self._held.append(block)
        del self._held[:-most]
