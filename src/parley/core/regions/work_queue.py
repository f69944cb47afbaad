"""The work that is queued until the session can start it.

Laws: limited; in order; at most one reply is queued, because a reply answers the whole conversation: a newer one replaces the older.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from parley.core.regions.attempt import Plan
from parley.core.words.limits import MAX_MERGED_TEXT, MAX_PENDING_WORK, MERGE_AFTER_NS
from parley.core.words.work import Translation
from parley.text.joining import separator


@dataclass(frozen=True, slots=True)
class PendingWork:
    """Work to start when the session is idle, not before `not_before_ns`.

    `follows`: it reports the outcome of tools that the reply before it called, and need not wait until that one has been heard.
    """

    plan: Plan = Plan()  # noqa: RUF009 - frozen
    not_before_ns: int = 0
    follows: bool = False
    queued_ns: int = 0
    """When it was decided."""

    def merged(self, other: PendingWork) -> PendingWork | None:
        """This translation and the next one as one request; None where they are not of one kind."""
        one, two = self.plan.given, other.plan.given
        if not isinstance(one, Translation) or not isinstance(two, Translation):
            return None
        if (one.from_language, one.to_language, one.terms) != (two.from_language, two.to_language, two.terms):
            return None
        text = one.text + separator(one.text, two.text) + two.text
        both = replace(two, text=text, context=one.context, clauses=one.clauses + two.clauses)
        return replace(self, plan=replace(self.plan, given=both))


class WorkQueue:
    """The region."""

    def __init__(self) -> None:
        self.waiting: list[PendingWork] = []
        """In order; only this region changes it."""

    def add(self, work: PendingWork) -> bool:
        """Queue the work; False if the queue is full and the work is dropped. A translation that finds it full joins the one before."""
        if work.plan.given is None:
            self.drop_reply()
        elif len(self.waiting) >= MAX_PENDING_WORK:
            both = self.waiting[-1].merged(work)
            if (
                both is None
                or not isinstance(both.plan.given, Translation)
                or len(both.plan.given.text) > MAX_MERGED_TEXT
            ):
                return False
            self.waiting[-1] = both
            return True
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

    def take_late(self, work: PendingWork, now: int) -> PendingWork:
        """Remove a translation that is being started, together with those right behind it where it is late: all of them as one request."""
        at = self.waiting.index(work)
        if now - work.queued_ns >= MERGE_AFTER_NS:
            while at + 1 < len(self.waiting) and (both := self.waiting[at].merged(self.waiting[at + 1])) is not None:
                if isinstance(both.plan.given, Translation) and len(both.plan.given.text) > MAX_MERGED_TEXT:
                    break
                self.waiting[at : at + 2] = [both]
        return self.waiting.pop(at)

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
