"""The rule table: how long a pause must last before the turn is over.

Laws: pure functions of the settings and of what is known about the pause; milliseconds of audio, never of the clock.
"""

from __future__ import annotations

from typing import Final

from parley.core.settings import SemanticVad, ServerVad, TurnDetection

# eagerness: pause in ms for a turn judged (surely, probably, hardly) finished, and the longest wait for any other.
# The longest waits are OpenAI's documented ones; the short ones lie around the 200 ms gap of human turn-taking
# (Stivers et al. 2009) plus what a mistaken interruption costs at that eagerness.
_WAITS: Final = {
    "low": (700, 1_500, 4_000, 8_000),
    "medium": (400, 900, 2_000, 4_000),
    "high": (250, 500, 1_000, 2_000),
    "auto": (400, 900, 2_000, 4_000),
}
_SURELY, _PROBABLY, _HARDLY = 0.8, 0.5, 0.25


def pause_needed_ms(detection: TurnDetection, finished: float | None) -> int:
    """Milliseconds of silence that end the turn; `finished` is the judge's probability, None while it has not answered."""
    match detection:
        case ServerVad(silence_duration_ms=silence_ms):
            return silence_ms
        case SemanticVad(eagerness=eagerness):
            surely, probably, hardly, longest = _WAITS[eagerness]
            if finished is None or finished < _HARDLY:
                return longest
            return surely if finished >= _SURELY else probably if finished >= _PROBABLY else hardly


def threshold_of(detection: TurnDetection) -> float:
    """The voice probability at which speech begins."""
    return detection.threshold if isinstance(detection, ServerVad) else 0.5


def prefix_ms(detection: TurnDetection) -> int:
    """Audio before the onset that belongs to the turn (pre-roll)."""
    return detection.prefix_padding_ms if isinstance(detection, ServerVad) else 300
