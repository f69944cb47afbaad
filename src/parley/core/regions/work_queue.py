"""The work that is queued until the session can start it.

Laws: limited; in order; at most one reply is queued, because a reply answers the whole conversation: a newer one replaces the older.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.regions.attempt import Plan
from parley.core.words.limits import MAX_PENDING_WORK


@dataclass(frozen=True, slots=True)
class PendingWork:
    """Work to start when the session is idle, not before `not_before_ns`.

    `follows`: it reports the outcome of tools that the reply before it called, and need not wait until that one has been heard.
    """

    plan: Plan = Plan()  # noqa: RUF009 - frozen
    not_before_ns: int = 0
    follows: bool = False


class WorkQueue:
    """The region."""

    def __init__(self) -> None:
        self.waiting: list[PendingWork] = []
        """In order; only this region changes it."""

    def add(self, work: PendingWork) -> bool:
        """Queue the work; False if the queue is full and the work is dropped."""
        if work.plan.given is None:
            self.drop_reply()
        elif len(self.waiting) >= MAX_PENDING_WORK:
            return False
        self.waiting.append(work)
        return True

    def ready(self, now: int) -> PendingWork | None:
        """The first whose time has come."""
        for work in self.waiting:
            if work.not_before_ns <= now:
                return work
        return None

    def take(self, work: PendingWork) -> None:
        """Remove work that is being started."""
        self.waiting.remove(work)

    def drop_reply(self) -> None:
        """Drop a queued reply."""
        self.waiting = [work for work in self.waiting if work.plan.given is not None]

    def deadline_ns(self, now: int) -> int | None:
        """When the next delayed work may start; None if there is none."""
        if not self.waiting:
            return None
        return min((work.not_before_ns for work in self.waiting if work.not_before_ns > now), default=None)

    def clear(self) -> None:
        self.waiting.clear()
