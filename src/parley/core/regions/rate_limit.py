"""How many responses a session may make: a token bucket that refills with time.

Laws: holds its own numbers and nothing else; the time is an argument.
"""

from __future__ import annotations

from parley.core.words.errors import PeerError
from parley.core.words.notices import RateLimit, RateLimitsUpdated


class RateLimiter:
    """`per_minute` responses, all of which may be made at once; None: no limit."""

    __slots__ = ("_left", "_since_ns", "per_minute")

    def __init__(self, per_minute: int | None, now_ns: int) -> None:
        self.per_minute = per_minute
        self._left = float(per_minute or 0)
        self._since_ns = now_ns

    def _at(self, now_ns: int, limit: int) -> float:
        return min(float(limit), self._left + (now_ns - self._since_ns) / 60e9 * limit)

    def covers_one(self, now_ns: int) -> bool:
        return self.per_minute is None or self._at(now_ns, self.per_minute) >= 1.0

    def spend(self, now_ns: int) -> None:
        """Count one response. Raises `PeerError` (`rate_limit_exceeded`) when the rate is used up."""
        limit = self.per_minute
        if limit is None:
            return
        left = self._at(now_ns, limit)
        if left < 1.0:
            raise PeerError(
                f"This session may make {limit} responses a minute; try again in {(1.0 - left) * 60 / limit:.1f} s.",
                code="rate_limit_exceeded",
                kind="rate_limit_error",
            )
        self._left, self._since_ns = left - 1.0, now_ns

    def notice(self, now_ns: int) -> RateLimitsUpdated | None:
        """The notice of the state of the limits; None where there is no limit."""
        limit = self.per_minute
        if limit is None:
            return None
        left = self._at(now_ns, limit)
        return RateLimitsUpdated((RateLimit("requests", limit, int(left), round((limit - left) * 60 / limit, 3)),))
