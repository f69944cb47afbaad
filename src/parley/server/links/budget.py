"""How fast one connection may send: a token bucket that reads the clock only when it is empty.

Laws: nothing is ever dropped; a connection beyond its rate is read more slowly, and TCP makes its sender wait. A message costs what the
server works for it: one token, one more for each 64 KiB, and one more for each 64 JSON values that were built for it.
"""

from __future__ import annotations

from collections.abc import Callable

COST_SHIFT = 16
"""64 KiB to a token: a frame of speech costs one, the largest legal append 321."""

WHOLE_COST_SHIFT = 11
"""2 KiB to a token where a frame is read whole, by `websockets`: a long one is copied, unmasked and decoded in one step."""

VALUES_SHIFT = 6
"""64 JSON values to a token: about as long as the smallest message takes."""

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
        """A message, or a piece of one, of `size` bytes."""
        self._tokens -= 1 + (size >> COST_SHIFT)

    def spend_whole(self, size: int) -> None:
        """A frame that was read whole, however long."""
        self._tokens -= 1 + (size >> WHOLE_COST_SHIFT)

    def charge(self, values: int) -> None:
        """JSON values built for a message, beyond its size."""
        self._tokens -= values >> VALUES_SHIFT

    @property
    def spent(self) -> bool:
        """Whether `wait_s` is worth asking."""
        return self._tokens < 0

    def wait_s(self) -> float:
        """Seconds until the debt is paid; 0 where there is none."""
        if self._tokens >= 0:
            return 0.0
        now_ns = self._now_ns()
        earned, rest = divmod((now_ns - self._refilled_ns) * self.per_second, NANOSECONDS)
        self._tokens += earned
        # What has been earned of the next token stays earned: asked often, the bucket fills as fast as asked seldom.
        self._refilled_ns = now_ns - rest // self.per_second
        if self._tokens >= self.per_second:
            self._tokens, self._refilled_ns = self.per_second, now_ns
        if self._tokens >= 0:
            return 0.0
        self.throttled += 1
        return -self._tokens / self.per_second
