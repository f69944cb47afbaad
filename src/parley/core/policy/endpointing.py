"""The rule table: how long a pause must last before the turn is over.

Laws: pure functions of the settings and of what is known about the pause; milliseconds of audio, never of the clock.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Final, assert_never

from parley.core.words.settings import SemanticVad, ServerVad, TurnDetection

_JUDGED: Final = (0.1, 0.25, 0.5, 0.7, 0.9)
# eagerness: the pause in ms for a turn judged finished with each probability of `_JUDGED`; between them the wait changes steadily,
# beyond them it stays. The longest waits are OpenAI's documented ones. The others are those of the fewest cut-offs at a mean wait of 0.4,
# 0.75 and 1.1 s (`benchmarks/turn_curve.py`, the half for tuning), rounded; most pauses inside a sentence are over after a second, so an
# even judgement waits that long. The shortest lie about the 200 ms gap of human turn-taking (Stivers et al. 2009).
_WAITS: Final = {
    "low": (8_000, 2_000, 1_300, 1_000, 600),
    "medium": (4_000, 1_200, 1_000, 600, 200),
    "high": (2_000, 1_000, 700, 300, 150),
    "auto": (4_000, 1_200, 1_000, 600, 200),
}


def pause_needed_ms(detection: TurnDetection, finished: float | None) -> int:
    """Milliseconds of silence that end the turn; `finished` is `PauseSeen.finished`."""
    match detection:
        case ServerVad(silence_duration_ms=silence_ms):
            return silence_ms
        case SemanticVad(eagerness=eagerness):
            return _wait_ms(_WAITS[eagerness], finished or 0.0)
        case _:
            assert_never(detection)


def _wait_ms(waits: tuple[int, ...], finished: float) -> int:
    """Between two judgements the logarithm of the wait is linear: no judgement lies at a cliff."""
    above = bisect_right(_JUDGED, finished)
    if above in (0, len(_JUDGED)):
        return waits[min(above, len(_JUDGED) - 1)]
    low, high = _JUDGED[above - 1], _JUDGED[above]
    share = (finished - low) / (high - low)
    return round(waits[above - 1] * math.pow(waits[above] / waits[above - 1], share))


def threshold_of(detection: TurnDetection) -> float:
    """The voice probability at which speech begins."""
    return detection.threshold if isinstance(detection, ServerVad) else 0.5


def prefix_ms(detection: TurnDetection) -> int:
    """Audio before the onset that belongs to the turn (pre-roll)."""
    return detection.prefix_padding_ms if isinstance(detection, ServerVad) else 300
