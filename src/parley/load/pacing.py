"""One clock for all microphones: a wheel of slots, each holding the sessions whose chunks leave at that moment.

Laws: one timer whatever the number of sessions; the plan never drifts (chunk n leaves at start + n chunks, late ones
are caught up, not skipped, as a microphone's would be); how late the sends were is recorded, for a late client
measures itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Protocol

SLOT_MS = 2
"""Sessions within 2 ms share a wake-up: 500 wake-ups a second at most, and 200 sessions of 20 ms chunks spread over
ten slots."""

LATENESS_BINS = 1000
"""Lateness is counted in whole milliseconds up to a second; anything beyond is in the last bin (and in the maximum)."""


class PacedMicrophone(Protocol):
    """Sends one chunk on each call; `planned_s` is when it should have left."""

    def chunk_due(self, planned_s: float) -> None: ...


@dataclass(slots=True)
class Lateness:
    """How late chunks left, in milliseconds."""

    bins: list[int] = field(default_factory=lambda: [0] * LATENESS_BINS)
    sent: int = 0
    max_ms: float = 0.0

    def add(self, late_s: float, chunks: int) -> None:
        late_ms = late_s * 1000
        self.bins[min(int(late_ms), LATENESS_BINS - 1)] += chunks
        self.sent += chunks
        self.max_ms = max(self.max_ms, late_ms)

    def share_beyond(self, limit_ms: int) -> float:
        """The share of chunks that left at least `limit_ms` late, 0..1."""
        return sum(self.bins[limit_ms:]) / self.sent if self.sent else 0.0

    def percentile_ms(self, share: float) -> int:
        """The whole milliseconds within which `share` (0..1) of the chunks left."""
        seen = 0
        for late_ms, count in enumerate(self.bins):
            seen += count
            if seen >= share * self.sent:
                return late_ms + 1
        return LATENESS_BINS


class Wheel:
    """Call `start` once, `add` and `remove` microphones at any time, `stop` at the end."""

    def __init__(self, chunk_ms: int) -> None:
        count = max(1, chunk_ms // SLOT_MS)
        self._slots: list[dict[PacedMicrophone, None]] = [{} for _ in range(count)]
        self._slot_s = chunk_ms / 1000 / count
        self._start_s = 0.0
        self._turned = 0
        self._timer: asyncio.TimerHandle | None = None
        self.lateness = Lateness()

    def start(self) -> None:
        self._start_s = time.monotonic()
        self._turn()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(self, microphone: PacedMicrophone) -> None:
        min(self._slots, key=len)[microphone] = None

    def remove(self, microphone: PacedMicrophone) -> None:
        for slot in self._slots:
            slot.pop(microphone, None)

    def _turn(self) -> None:
        planned_s = self._start_s + self._turned * self._slot_s
        # One round at most, then the loop's other work: a client that cannot keep up must still hear the server and end in time.
        last = self._turned + len(self._slots)
        while self._turned < last and planned_s <= time.monotonic():
            slot = self._slots[self._turned % len(self._slots)]
            if slot:
                for microphone in list(slot):
                    microphone.chunk_due(planned_s)
                self.lateness.add(time.monotonic() - planned_s, len(slot))
            self._turned += 1
            planned_s = self._start_s + self._turned * self._slot_s
        self._timer = asyncio.get_running_loop().call_later(max(0.0, planned_s - time.monotonic()), self._turn)
