"""Shares one model among many owners: whose work is next, and how much may wait.

An owner is an opaque key (`share` in the ports): a caller that opens streams or asks for speech gives one for all of its work. None is an
owner like any other.

Laws:
- Live work comes before work outside the conversation's pace (`live` False: audio that a client brings as an item).
- Within each of the two, owners take turns, one piece of work each: next is the one that was served longest ago, a newcomer first of
  all. An owner's own work keeps its order.
- Nothing here knows time, threads or audio: the caller cuts its work into pieces that are short enough to wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")

MAX_REMEMBERED = 1024
"""Owners whose last turn is remembered; one that is forgotten counts as a newcomer, which makes no difference among so many."""


class FairQueue(Generic[Job]):
    """Work of many owners for one model. `put()` what is wanted, `take()` what is next, `discard()` what is over.

    A job is queued once at most; one that is put again keeps its place.
    """

    def __init__(self) -> None:
        self._live: dict[object, dict[Job, None]] = {}
        self._other: dict[object, dict[Job, None]] = {}
        self._served: dict[object, int] = {}
        """When each owner was served last, counted in jobs taken; the latest at the end."""
        self._taken = 0

    def __len__(self) -> int:
        return sum(map(len, self._live.values())) + sum(map(len, self._other.values()))

    def put(self, job: Job, share: object = None, *, live: bool = True) -> None:
        """Queue `job` behind the other work of `share`."""
        (self._live if live else self._other).setdefault(share, {})[job] = None

    def put_first(self, job: Job, share: object = None, *, live: bool = True) -> None:
        """Queue `job` before the other work of `share`: it was begun and has to be done again. The owner has had its turn."""
        ring = self._live if live else self._other
        ring[share] = {job: None, **ring.get(share, {})}
        self._serve(share)

    def discard(self, job: Job, share: object = None) -> None:
        """Forget `job`, if it is queued."""
        for ring in (self._live, self._other):
            jobs = ring.get(share)
            if jobs is not None:
                jobs.pop(job, None)
                if not jobs:
                    del ring[share]

    def take(self, ready: Callable[[Job], bool] = lambda _: True, *, live: bool | None = None) -> Job | None:
        """Take the next job that is `ready`; None when there is none. `live` asks for one class only."""
        rings = (self._live, self._other) if live is None else (self._live if live else self._other,)
        for ring in rings:
            for share in sorted(ring, key=self._last_served):
                job = next(filter(ready, ring[share]), None)
                if job is not None:
                    self.discard(job, share)
                    self._serve(share)
                    return job
        return None

    def _last_served(self, share: object) -> int:
        return self._served.get(share, 0)

    def _serve(self, share: object) -> None:
        self._taken += 1
        self._served.pop(share, None)
        self._served[share] = self._taken
        if len(self._served) > MAX_REMEMBERED:
            del self._served[next(iter(self._served))]

    def waiting(self, share: object = None) -> int:
        """How much live work of `share` waits."""
        return len(self._live.get(share, ()))

    def any_live(self, ready: Callable[[Job], bool] = lambda _: True) -> bool:
        """Whether live work that is `ready` waits."""
        return any(ready(job) for jobs in self._live.values() for job in jobs)

    def drain(self) -> list[Job]:
        """Take everything."""
        jobs = [job for ring in (self._live, self._other) for mine in ring.values() for job in mine]
        self._live.clear()
        self._other.clear()
        return jobs


class Backlog:
    """How much of something waits for one model, by owner: `per_share` at most, and `total` of all owners together.

    When all is taken, those owners are refused that hold more than an equal part of it: the one that fills it never
    shuts the others out. So there may be up to twice `total`, when it was filled by one and many others came after.
    """

    def __init__(self, per_share: int, total: int) -> None:
        self.per_share = per_share
        self.total = total
        self.waiting = 0
        self._shares: dict[object, int] = {}

    def of(self, share: object) -> int:
        """What waits of this owner's."""
        return self._shares.get(share, 0)

    def takes(self, share: object, amount: int) -> bool:
        """Whether `amount` more of this owner's may wait."""
        mine = self.of(share) + amount
        if mine > self.per_share:
            return False
        owners = len(self._shares) + (share not in self._shares)
        return self.waiting + amount <= self.total or mine <= self.total // owners

    def add(self, share: object, amount: int) -> None:
        if amount:
            self.waiting += amount
            self._shares[share] = self.of(share) + amount

    def remove(self, share: object, amount: int) -> None:
        self.waiting -= amount
        left = self.of(share) - amount
        if left > 0:
            self._shares[share] = left
        else:
            self._shares.pop(share, None)
