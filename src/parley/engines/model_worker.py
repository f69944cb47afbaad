"""The blocking calls of one loaded model, awaited by many sessions.

An engine that wraps a blocking library makes a `ModelWorker` in `open()`, awaits `call()` or iterates over `stream()`, and closes it in
`close()`. Threads, time limits and faults are those of `model_threads`.

Laws:
- Sessions take turns (`FairQueue`), one call each, live work first; what waits is bounded (`Backlog`).
- A call whose caller has left is not begun. One that has begun runs to its end; its `emit()` returns False.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

from parley.engines.fair_queue import Backlog, FairQueue
from parley.engines.model_threads import LIMIT_S, Job, ModelName, ModelThreads, closed
from parley.engines.ports import EngineError, EngineRefused

Result = TypeVar("Result")
Item = TypeVar("Item")

MAX_WAITING = 1024
"""Calls that wait for one model: beyond this the wait would be longer than any session waits, so they are refused."""


class _Call(Generic[Result]):
    """A function whose result one caller awaits."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._result: list[Result] = []
        self.future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def run(self, alive: Callable[[], None]) -> None:
        self._result.append(self._function())

    def returned(self) -> None:
        if not self.future.done():
            self.future.set_result(self._result[0])

    def failed(self, error: EngineError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Emission(Generic[Item]):
    """A function that emits items, which one caller iterates over."""

    def __init__(self, function: Callable[[Callable[[Item], bool]], object]) -> None:
        self._function = function
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._error: EngineError | None = None
        self._alive: Callable[[], None] = lambda: None
        self.left = False
        """Whether the caller has stopped iterating."""

    def run(self, alive: Callable[[], None]) -> None:
        self._alive = alive
        if not self.left:
            self._function(self._emit)

    def _emit(self, item: Item) -> bool:
        if self.left:
            return False
        self._alive()
        self._items.append(item)
        if len(self._items) == 1:  # else the caller has not seen the last one yet, and will see this one too
            self._loop.call_soon_threadsafe(self._news.set)
        return True

    def returned(self) -> None:
        self._ended = True
        self._news.set()

    def failed(self, error: EngineError) -> None:
        self._error = error
        self.returned()

    async def items(self) -> AsyncGenerator[Item, None]:
        while True:
            while self._items:
                yield self._items.popleft()
            if self._ended:
                if self._error is not None:
                    raise self._error
                return
            self._news.clear()
            if not self._items:
                await self._news.wait()


class ModelWorker:
    """The blocking calls of one model, shared by all sessions. Make it in `open()`, use it on that event loop, `close()` it last.

    `model` names it in messages. `title` and `code_prefix` say what is down while it hangs ("Speech synthesis", "synthesizer").
    `threads` is how many calls the model can serve at once, `limit_s` how long one may be silent.
    """

    def __init__(
        self,
        model: str,
        *,
        title: str = "This engine",
        code_prefix: str = "engine",
        threads: int = 1,
        limit_s: float = LIMIT_S,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._name = ModelName(model, title, code_prefix)
        self._queue: FairQueue[Job] = FairQueue()
        self._backlog = Backlog(max_waiting, max_waiting)
        self._shares: dict[Job, object] = {}
        """Of the calls that wait."""
        self._threads = ModelThreads(self._name, self._next, self._drop, count=threads, limit_s=limit_s)
        self._closed = False

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be computed at this moment (see `Supervised`); None while something can."""
        return self._threads.fault

    async def call(self, function: Callable[[], Result], share: object = None, *, live: bool = True) -> Result:
        """Call `function` on a thread when it is the turn of `share`, and return its result.

        Raises `EngineError`: what the function raised, `overloaded` where too many calls wait, `PREFIX_stuck`, `engine_closed`.
        """
        call = _Call(function)
        self._queue_up(call, share, live)
        try:
            return await call.future
        finally:
            self._forget(call)

    async def stream(
        self, function: Callable[[Callable[[Item], bool]], object], share: object = None, *, live: bool = True
    ) -> AsyncGenerator[Item, None]:
        """Call `function(emit)` on a thread when it is the turn of `share`, and yield each item that it emits.

        `emit(item)` returns at once, with False when the caller has stopped iterating: the function should return then. It never waits
        for a slow caller, so the function's work must be bounded by what it was asked for: one clause, not a book. Raises as `call()`.
        """
        emission = _Emission(function)
        self._queue_up(emission, share, live)
        try:
            async with contextlib.aclosing(emission.items()) as items:
                async for item in items:
                    yield item
        finally:
            emission.left = True
            self._forget(emission)

    async def close(self) -> None:
        """Fail all calls that wait and wait for those that have begun, at most `STOP_LIMIT_S`; idempotent."""
        self._closed = True
        self._drop(closed(self._name))
        await self._threads.stop()

    def _queue_up(self, job: Job, share: object, live: bool) -> None:
        if self._closed:
            raise closed(self._name)
        if (fault := self.fault) is not None:
            raise fault
        if not self._backlog.takes(share, 1):
            raise EngineRefused(
                f"{self._backlog.waiting} calls wait for {self._name.model} already.",
                "Try again later.",
                code="overloaded",
            )
        self._backlog.add(share, 1)
        self._shares[job] = share
        self._queue.put(job, share, live=live)
        self._threads.wake()

    def _next(self) -> Job | None:
        job = self._queue.take()
        if job is not None:
            self._backlog.remove(self._shares.pop(job), 1)
        return job

    def _forget(self, job: Job) -> None:
        """The caller has left: a call that waits is not begun."""
        if job in self._shares:
            share = self._shares.pop(job)
            self._backlog.remove(share, 1)
            self._queue.discard(job, share)

    def _drop(self, error: EngineError) -> None:
        for job in self._queue.drain():
            self._backlog.remove(self._shares.pop(job), 1)
            job.failed(error)
