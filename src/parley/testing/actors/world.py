"""What an actor may do in the world: look at the time, act later, draw a chance, and post an event to the session.

Laws: no actor reads a clock or a generator of its own, so that a seed names one course of events. Actors know each other only
through the sound at the microphone.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from parley.core.words.events import Event
from parley.core.words.settings import AudioFormat


class SimulatedWorld(Protocol):
    """The world as an actor sees it."""

    rng: random.Random
    now_ns: int
    counts: Counter[str]

    def at(self, delay_ms: float, act: Callable[[], None]) -> None:
        """Do this later (or now, after what is under way)."""
        ...

    def post(self, event: Event) -> None:
        """Hand the event to the session now."""
        ...


@cache
def noise(seed: int, size: int = 1 << 22) -> bytes:
    """Sound of which no two places are alike, so that a piece of it tells where it comes from."""
    return random.Random(seed).randbytes(size)


def piece(seed: int, start: int, size: int) -> bytes:
    """`size` bytes of the endless sound `seed`, from byte `start` on."""
    sound = noise(seed)
    start %= len(sound)
    found = sound[start : start + size]
    return found if len(found) == size else found + piece(seed, 0, size - len(found))


@dataclass(frozen=True, slots=True)
class MicrophoneWord:
    """A word at the microphone, by position of the microphone's 24 kHz samples."""

    text: str
    start: int
    end: int


@dataclass(slots=True)
class MicrophoneSound:
    """What truly sounds at the microphone: stretches of voice and the words in them, in order."""

    voiced: list[tuple[int, int]] = field(default_factory=list)
    words: list[MicrophoneWord] = field(default_factory=list)
    sent: dict[AudioFormat, tuple[int, bytearray]] = field(default_factory=dict)

    def voice_between(self, start: int, end: int) -> float:
        """Which share of these samples is voice."""
        place = max(0, bisect_right(self.voiced, (start, start)) - 1)
        total = 0
        for first, last in self.voiced[place:]:
            if first >= end:
                break
            total += max(0, min(last, end) - max(first, start))
        return total / (end - start)

    def words_between(self, start: int, end: int) -> list[str]:
        """The words whose middle lies between these samples."""
        return [word.text for word in self.words if start <= (word.start + word.end) // 2 < end]
