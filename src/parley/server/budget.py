"""How fast one connection may send: a token bucket that reads the clock only when it is empty.

Laws: nothing is ever dropped; a connection beyond its rate is read more slowly, and TCP makes its sender wait. A message costs one
token and one more for each 64 KiB, so that a flood of large messages is a flood as well.
"""

from __future__ import annotations

from collections.abc import Callable

COST_SHIFT = 16
"""64 KiB to a token: a frame of speech costs one, the largest legal append 321."""

NANOSECONDS = 1_000_000_000


class MessageBudget:
    """`spend(size)` for each message; while `wait_s()` is positive, read nothing more for so long.

    The bucket holds one second's worth: a link that stalled may deliver what it owes at once.
    """

    __slots__ = ("_now_ns", "_refilled_ns", "_tokens", "per_second", "throttled")

    def __init__(self, per_second: int, now_ns: Callable[[], int]) -> None:
        self.per_second = per_second
        self.throttled = 0
        self._now_ns = now_ns
        self._tokens = per_second
        self._refilled_ns = now_ns()

    def spend(self, size: int) -> None:
        self._tokens -= 1 + (size >> COST_SHIFT)

    @property
    def spent(self) -> bool:
        """Whether `wait_s` is worth asking."""
        return self._tokens < 0

    def wait_s(self) -> float:
        """Seconds until the debt is paid; 0 where there is none."""
        if self._tokens >= 0:
            return 0.0
        now_ns = self._now_ns()
        earned = (now_ns - self._refilled_ns) * self.per_second // NANOSECONDS
        self._tokens = min(self.per_second, self._tokens + earned)
        self._refilled_ns = now_ns
        if self._tokens >= 0:
            return 0.0
        self.throttled += 1
        return -self._tokens / self.per_second
