"""Where spoken translations lie on the time line of the original.

Laws: pure; all times are milliseconds from the start of the original.
- A translation never starts before its segment does, never before the one in front of it has ended, and never out of order.
- Between two translations lie at least `GAP_MS`: while behind, the gap is exactly that.
- Speech is sped up only as far as it must be to end before the next segment starts, and at most to `MAX_RATE`.
- What is behind catches up in the next pause that is long enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

GAP_MS = 80.0
"""Between two translations while behind: the shortest pause that a listener still hears as one."""

MAX_RATE = 1.25
"""Faster than this, synthesized speech is tiring and harder to understand."""


class HasStart(Protocol):
    """Anything with a place on the time line."""

    @property
    def start_ms(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one translation is spoken. `rate` is 1.0 to `MAX_RATE`; `late_ms` is how much later it starts than its segment."""

    start_ms: float
    end_ms: float
    rate: float
    late_ms: float


def placed(segments: Sequence[HasStart], durations_ms: Sequence[float]) -> tuple[Placement, ...]:
    """The place of each translation. `durations_ms` are those of the unhurried speech, 0 for a segment without any.

    Segments come in the order of their starts. Raises `ValueError` where they do not, and for a duration that is missing or negative.
    """
    if len(segments) != len(durations_ms):
        raise ValueError(f"{len(segments)} segments have {len(durations_ms)} durations.")
    starts = [segment.start_ms for segment in segments]
    if starts != sorted(starts) or any(duration < 0 for duration in durations_ms):
        raise ValueError("Segments come in the order of their starts, and no duration is negative.")
    spoken = [index for index, duration in enumerate(durations_ms) if duration > 0]
    following = dict(pairwise(spoken))
    places: list[Placement] = []
    free_ms = 0.0
    for index, (begins, duration) in enumerate(zip(starts, durations_ms, strict=True)):
        if duration == 0:
            places.append(Placement(begins, begins, 1.0, 0.0))
            continue
        start = max(begins, free_ms)
        rate = _rate(duration, starts[following[index]] - GAP_MS - start) if index in following else 1.0
        end = start + duration / rate
        places.append(Placement(start, end, rate, start - begins))
        free_ms = end + GAP_MS
    return tuple(places)


def _rate(duration_ms: float, room_ms: float) -> float:
    """The rate at which the speech fits into the room, within the bounds."""
    return MAX_RATE if room_ms <= 0 else min(MAX_RATE, max(1.0, duration_ms / room_ms))
