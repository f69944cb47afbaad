"""How much audio to compute at once: the shortest block that this machine computes well before the next one is full.

Laws: pure but for the function that measures; a block is chosen by the 95th percentile of its times, which must be below 0.6 of the block.
The time grows with the block, so a candidate that is shorter than what a shorter one took is not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

CANDIDATES_MS: Final = (100, 150, 200, 300, 500, 1_000)
MOST_LOAD: Final = 0.6


@dataclass(frozen=True, slots=True)
class BlockTiming:
    """How long one block takes to compute."""

    block_ms: int
    p95_ms: float

    @property
    def rtf(self) -> float:
        """The time it takes as a part of the time it lasts."""
        return self.p95_ms / self.block_ms

    @property
    def live(self) -> bool:
        """Whether it is ready well before the next one begins."""
        return self.rtf < MOST_LOAD


def choose_block(
    measure: Callable[[int], Sequence[float]], candidates_ms: Sequence[int] = CANDIDATES_MS
) -> BlockTiming:
    """The block to use: the first of `candidates_ms`, in rising order, that is computed in time, else the last. `measure(block_ms)` gives
    times in ms."""
    last = len(candidates_ms) - 1
    slowest = 0.0
    for number, block_ms in enumerate(candidates_ms):
        if number < last and slowest >= MOST_LOAD * block_ms:
            continue
        timing = BlockTiming(block_ms, p95(measure(block_ms)))
        if timing.live or number == last:
            return timing
        slowest = timing.p95_ms
    raise ValueError("there is no block to choose")


def p95(times: Sequence[float]) -> float:
    """The time below which 95 % of them lie; the longest of fewer than twenty."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
