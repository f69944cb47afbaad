"""The connections of one engine: at most so many, each a session's own, kept between its turns.

Laws:
- A connection serves one session and is never given to another: the model remembers what it heard.
- Of a session that pauses, the connection is kept `keep_s`; it is closed earlier where another session needs its place.
- Who waits for a place waits in turn (`openai_api.slots`), and no longer than `wait_s`.
- `close()` ends every connection, those that are being made too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from parley.engines.openai_api.slots import RequestSlots
from parley.engines.speech.moshi_errors import MoshiFaults
from parley.engines.speech.moshi_link import MoshiLink
from parley.engines.speech.moshi_protocol import Query

Connect = Callable[[Query], Awaitable[MoshiLink]]


@dataclass(slots=True)
class Lease:
    """A connection in use. `kept`: whether it has served its session before. Set `keep` where it may serve it again."""

    link: MoshiLink
    kept: bool
    keep: bool = False


@dataclass(frozen=True, slots=True)
class _Idle:
    link: MoshiLink
    expiry: asyncio.TimerHandle


class MoshiLinks:
    """Take a connection inside of `lease()`."""

    def __init__(self, connect: Connect, faults: MoshiFaults, count: int, keep_s: float, wait_s: float) -> None:
        self._connect = connect
        self._faults = faults
        self._count = count
        self._keep_s = keep_s
        self._wait_s = wait_s
        self._slots = RequestSlots(count)
        self._closed = False
        self._idle: dict[object, _Idle] = {}
        self._busy: set[MoshiLink] = set()
        self._opening: set[asyncio.Task[MoshiLink]] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def closed(self) -> bool:
        return self._closed

    @asynccontextmanager
    async def lease(self, share: object, query: Query, begin: Query) -> AsyncGenerator[Lease, None]:
        """The connection that `share` has for `query`, or a new one, begun with `begin`, that is one for `query` from then on. Raises
        `EngineError` where there is none to be had."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._wait_s):
                    await stack.enter_async_context(self._slots.slot(share))
            except TimeoutError:
                raise self._faults.busy(
                    f"its {self._count} conversation{'s are' if self._count > 1 else ' is'} another session's"
                ) from None
            kept = self._take(share, query)
            link = kept or await self._open(query, begin)
            lease = Lease(link, kept is not None)
            self._busy.add(link)
            try:
                yield lease
            finally:
                self._busy.discard(link)
                if lease.keep and share is not None and link.usable and not self._closed:
                    self._put(share, link)
                else:
                    self._leave(link)

    def forget(self, share: object) -> None:
        """Close the connection that is kept for `share`."""
        if (idle := self._idle.pop(share, None)) is not None:
            idle.expiry.cancel()
            self._leave(idle.link)

    async def close(self) -> None:
        """End all; idempotent."""
        self._closed = True
        for share in tuple(self._idle):
            self.forget(share)
        for link in tuple(self._busy):
            self._leave(link)
        for task in tuple(self._opening):
            task.cancel()
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _take(self, share: object, query: Query) -> MoshiLink | None:
        idle = self._idle.get(share)
        if idle is None or share is None:
            return None
        if idle.link.query != query or not idle.link.usable:
            self.forget(share)
            return None
        del self._idle[share]
        idle.expiry.cancel()
        return idle.link

    async def _open(self, query: Query, begin: Query) -> MoshiLink:
        while self._idle and len(self._idle) + len(self._busy) + len(self._opening) >= self._count:
            self.forget(next(iter(self._idle)))
        self._check_open()
        task = asyncio.ensure_future(self._connect(begin))
        self._opening.add(task)
        try:
            link = await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or not current.cancelling():
                self._check_open()  # else it was the caller that was cancelled
            raise
        finally:
            self._opening.discard(task)
        if self.closed:
            self._leave(link)
        self._check_open()
        link.query = query
        return link

    def _check_open(self) -> None:
        if self._closed:
            raise self._faults.closed() from None

    def _put(self, share: object, link: MoshiLink) -> None:
        self.forget(share)
        loop = asyncio.get_running_loop()
        self._idle[share] = _Idle(link, loop.call_later(self._keep_s, self.forget, share))

    def _leave(self, link: MoshiLink) -> None:
        task = link.leave()
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
