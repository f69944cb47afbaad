"""The threads of one loaded model: a job on each, watched, and stopped at the end.

An engine uses this layer itself where it chooses its next job when a thread is free, by priority or from what a stream holds at that
moment (Whisper); otherwise `ModelWorker`.

Laws:
- A job that has begun runs to its end, because a thread cannot be stopped.
- A job that neither returns nor shows a sign of life for `limit_s` fails. When every thread is stuck in such a job, `fault` says so, and
  all that waits and all that comes fails at once, until one of them returns.
- This is the engine boundary: whatever a job raises becomes an `EngineError` of that job; other jobs go on.
- Everything but the jobs themselves runs on the event loop. A thread that never returns does not keep the process alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

from parley.engines.ports import EngineError

log = logging.getLogger(__name__)

LIMIT_S = 30.0
"""No session waits longer for a transcript, nor for the next sound of a reply, so a slower call's result would be unused."""

STOP_LIMIT_S = 5.0
"""How long closing waits for calls that have begun."""


@dataclass(frozen=True, slots=True)
class ModelName:
    """How messages and error codes name the model: "`title` is down: `model` ...", with `code_prefix` before `_stuck` and `_failed`."""

    model: str
    title: str = "This engine"
    code_prefix: str = "engine"

    def failed(self, error: BaseException) -> EngineError:
        """The error of a call that raised `error`."""
        what = str(error) or type(error).__name__
        return EngineError(
            f"{self.model} failed ({what}).", "The log has the traceback.", code=f"{self.code_prefix}_failed"
        )


class Job(Protocol):
    """One blocking call. `run()` is called on a thread, then one of the others on the event loop."""

    def run(self, alive: Callable[[], None]) -> None:
        """Make the call and keep its result. `alive()` restarts the time limit."""
        ...

    def returned(self) -> None:
        """`run()` has returned in time."""
        ...

    def failed(self, error: EngineError) -> None:
        """`run()` raised, or did not return in time."""
        ...


@dataclass(slots=True, eq=False)
class _Running:
    """A job on a thread. The thread sets `error` and `alive_s`, the event loop the rest."""

    job: Job
    loop: asyncio.AbstractEventLoop
    alive_s: float = field(default_factory=time.monotonic)
    error: BaseException | None = None
    given_up: bool = False
    returned: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None

    def alive(self) -> None:
        self.alive_s = time.monotonic()


class ModelThreads:
    """`count` threads, each of which runs one job at a time. Call `wake()` on the event loop whenever there may be a job, `stop()` last.

    `next_job` gives the next job, None where there is none; `drop_waiting` fails all jobs that wait with the error it is given.
    """

    def __init__(
        self,
        name: ModelName,
        next_job: Callable[[], Job | None],
        drop_waiting: Callable[[EngineError], None],
        *,
        count: int = 1,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._name = name
        self._next_job = next_job
        self._drop_waiting = drop_waiting
        self._count = count
        self._limit_s = limit_s
        self._inbox: SimpleQueue[_Running | None] = SimpleQueue()
        self._started = 0
        self._running: set[_Running] = set()
        self._stopped = False

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be computed at this moment; None while something can."""
        if self._stuck < self._count:
            return None
        return EngineError(
            f"{self._name.title} is down: {self._name.model} has not returned from a call for more than {self._limit_s:g} s.",
            "Restart the server if it stays so; a smaller or faster model returns sooner.",
            code=f"{self._name.code_prefix}_stuck",
        )

    @property
    def _stuck(self) -> int:
        return sum(running.given_up for running in self._running)

    def wake(self) -> None:
        """Begin as many of the jobs that wait as there are threads for."""
        while not self._stopped and len(self._running) < self._count:
            job = self._next_job()
            if job is None:
                return
            self._begin(job)

    def _begin(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        running = _Running(job, loop)
        self._running.add(running)
        running.timer = loop.call_later(self._limit_s, self._check, running)
        if self._started < len(self._running):
            self._started += 1
            threading.Thread(target=_serve, args=(self._inbox, self._ended), name=self._name.model, daemon=True).start()
        self._inbox.put(running)

    def _check(self, running: _Running) -> None:
        """Give a job up that has shown no sign of life for `limit_s`."""
        left_s = running.alive_s + self._limit_s - time.monotonic()
        if left_s > 0:
            running.timer = asyncio.get_running_loop().call_later(left_s, self._check, running)
            return
        running.given_up = True
        log.error(
            "%s has not returned from a call for %g s (%d of %d threads)",
            self._name.model,
            self._limit_s,
            self._stuck,
            self._count,
        )
        running.job.failed(
            EngineError(
                f"{self._name.model} did not answer within {self._limit_s:g} s; this call was given up.",
                "Try again. If it happens again, choose a smaller or faster model, or restart the server.",
                code=f"{self._name.code_prefix}_stuck",
            )
        )
        if (fault := self.fault) is not None:
            self._drop_waiting(fault)

    def _ended(self, running: _Running) -> None:
        """The thread is free again."""
        self._running.discard(running)
        running.returned.set()
        if running.timer is not None:
            running.timer.cancel()
        if running.given_up:
            log.warning("%s has returned", self._name.model)
        else:
            self._settle(running)
        self.wake()

    def _settle(self, running: _Running) -> None:
        error, running.error = running.error, None
        if isinstance(error, EngineError):
            running.job.failed(error)
            return
        if error is None:
            try:
                running.job.returned()
                return
            except Exception as raised:  # noqa: BLE001 - one session's fault must not stop the worker of all
                error = raised
        log.warning("%s failed", self._name.model, exc_info=error)
        running.job.failed(self._name.failed(error))

    async def stop(self) -> None:
        """Begin nothing more; wait `STOP_LIMIT_S` for jobs that have begun, but not for stuck ones. Idempotent."""
        self._stopped = True
        for _ in range(self._started):
            self._inbox.put(None)
        self._started = 0
        begun = [running for running in self._running if not running.given_up]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_LIMIT_S):
                for running in begun:
                    await running.returned.wait()
        for running in begun:
            if not running.returned.is_set():
                running.given_up = True
                running.job.failed(closed(self._name))


def closed(name: ModelName) -> EngineError:
    """The error of a call to a model that is not open any more."""
    return EngineError(f"{name.model} is closed.", code="engine_closed")


def _serve(inbox: SimpleQueue[_Running | None], ended: Callable[[_Running], None]) -> None:
    """A thread: one job after the other, until there is None."""
    while (running := inbox.get()) is not None:
        try:
            running.job.run(running.alive)
        except BaseException as error:  # noqa: BLE001 - the engine boundary: a library may even call sys.exit()
            running.error = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            running.loop.call_soon_threadsafe(ended, running)
        del running  # a thread that waits keeps nothing of the last job alive
