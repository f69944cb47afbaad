"""What each key may use: sessions at once, and minutes per day of all its sessions together.

Laws: a day is one of UTC. Minutes are counted while sessions run, to the second, so that several sessions of one key use it up faster.
What was used is kept in memory: a restart begins the day's count anew. A key without limits is counted too: it may get some while its
sessions run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from parley.server.access.key_file import Key
from parley.server.refusals import Refusal

DAY_S = 24 * 60 * 60

SESSIONS_RETRY_S = 30
"""A conversation lasts minutes."""


@dataclass(slots=True)
class _Use:
    """`used_s` of the day `day`, by sessions that have ended; `since_s` when each running one began to count."""

    day: int
    used_s: float = 0.0
    since_s: dict[object, float] = field(default_factory=dict)

    def used(self, now_s: float) -> float:
        day = int(now_s // DAY_S)
        if day != self.day:
            self.day, self.used_s = day, 0.0
            self.since_s = {session: max(since, day * DAY_S) for session, since in self.since_s.items()}
        return self.used_s + sum(max(0.0, now_s - since) for since in self.since_s.values())


class Quotas:
    """`refusal` before a session begins, `began` and `ended` around it. `wall_s` gives Unix seconds."""

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._uses: dict[str, _Use] = {}

    def refusal(self, key: Key) -> Refusal | None:
        """Why no session of this key may begin now; None where one may."""
        use = self._uses.get(key.name)
        if use is None:
            return None
        if key.sessions is not None and len(use.since_s) >= key.sessions:
            message = (
                f"The key {key.name!r} has as many sessions as it may have at once (its limit is {key.sessions}). "
                "Try again when one has ended."
            )
            return Refusal(429, "rate_limit_exceeded", message, None, "rate_limit_error", SESSIONS_RETRY_S)
        left_s = self.left_s(key)
        return None if left_s is None or left_s > 0 else self.used_up(key)

    def used_up(self, key: Key) -> Refusal:
        """The refusal once the day's minutes are used."""
        wait_s = DAY_S - int(self._wall_s()) % DAY_S
        message = (
            f"The key {key.name!r} has used up its minutes of today (its limit is {key.minutes_per_day}). "
            f"The next day begins at midnight UTC, in {wait_s} s."
        )
        return Refusal(429, "rate_limit_exceeded", message, None, "rate_limit_error", wait_s)

    def left_s(self, key: Key) -> float | None:
        """Seconds of today that are left to the key; None: no limit."""
        if key.minutes_per_day is None:
            return None
        use = self._uses.get(key.name)
        return max(0.0, key.minutes_per_day * 60 - (use.used(self._wall_s()) if use is not None else 0.0))

    def began(self, key: Key, session: object) -> None:
        now_s = self._wall_s()
        use = self._uses.setdefault(key.name, _Use(int(now_s // DAY_S)))
        use.since_s[session] = now_s

    def ended(self, key: Key, session: object) -> None:
        use = self._uses.get(key.name)
        if use is None or session not in use.since_s:
            return
        now_s = self._wall_s()
        use.used(now_s)
        use.used_s += max(0.0, now_s - use.since_s.pop(session))
