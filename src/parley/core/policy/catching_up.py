"""How much faster an interpreter speaks while the listener is behind.

Laws: pure. The rate follows what is still to be heard when a clause begins: as usual up to `AT_EASE_MS`, at most `FASTEST`, steadily in
between, so that it returns to normal by itself once the listener has caught up. Listeners follow speech that is a quarter faster without
effort (Foulke 1968: comprehension falls from about 1.5 times on).
"""

from __future__ import annotations

from typing import Final

AT_EASE_MS: Final = 400
"""What may lie before a clause without anything being hurried: the tail of the clause before."""

FULL_RATE_MS: Final = 2_000
"""From here on the speech is as fast as it may be."""

FASTEST: Final = 1.25


def rate_when_behind(behind_ms: int) -> float:
    """The rate (1.0 is normal) of a clause in front of which the listener has `behind_ms` still to hear. In steps of 0.05: a voice that
    changes its tempo a little with every clause sounds restless, and equal rates are cached."""
    if behind_ms <= AT_EASE_MS:
        return 1.0
    share = min(1.0, (behind_ms - AT_EASE_MS) / (FULL_RATE_MS - AT_EASE_MS))
    return round(20 * (1.0 + share * (FASTEST - 1.0))) / 20
