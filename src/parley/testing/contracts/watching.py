"""What a contract counts: turns of the event loop, threads, tasks, file descriptors, processes, memory, and work done.

Laws:
- No verdict rests on how long something took. A call holds the event loop if another thread had `MISSED` turns while the loop had none,
  or if one turn of the loop took `MOST_TURN_S` of its own thread's processor time; a crowded machine slows both sides alike.
- What may end a little later (a thread, a process, a socket) is waited for until it has; only what never ends is a fault.

Descriptors, processes and memory are read from `/proc`; elsewhere they count as none.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT_S = 100.0
"""No step of a test takes longer, on any machine: one that does hangs."""

MISSED = 40
"""Turns of 10 ms that the watching thread has while the event loop has none: at least 0.4 s."""

MOST_TURN_S = 0.4
"""Processor time of one turn of the event loop."""

MOST_STARVED_S = 0.4
"""How long the loop waits for something else than a processor while other threads compute: one of them holds the interpreter."""

_SETTLING = 500
"""Looks, 20 ms apart, at what should have ended."""

_PROC = Path("/proc/self")


class ContractLoop:
    """An event loop for synchronous tests. Call `run()` any number of times, then `close()`."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        # Threads of `asyncio.to_thread` are the loop's, not an engine's: both are there before anything is counted.
        executor = ThreadPoolExecutor(2, thread_name_prefix="contract")
        meet = threading.Barrier(2)
        for waiting in [executor.submit(meet.wait) for _ in range(2)]:
            waiting.result()
        self._runner.get_loop().set_default_executor(executor)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of the coroutine. Raises `AssertionError` where it hangs."""

        async def limited() -> T:
            try:
                async with asyncio.timeout(LIMIT_S) as limit:
                    return await coroutine
            except TimeoutError:
                assert not limit.expired(), f"nothing came within {LIMIT_S:g} s"
                raise

        return self._runner.run(limited())

    def close(self) -> None:
        self._runner.close()


@asynccontextmanager
async def unblocked(what: str, *, loads: bool = False) -> AsyncIterator[None]:
    """Assert that the event loop goes round while the body runs; `what` names the body in the message.

    `loads`: it may load a library or a dictionary, of which few let other threads run meanwhile.
    """
    watch = _Watch()
    watch.start()
    try:
        yield
    finally:
        watch.stop()
    held_s = max(watch.most_missed / 100, watch.most_cpu_s, watch.most_starved_s)
    held = f"{what} held the event loop for at least {held_s:.1f} s; it was last seen at:\n{watch.where}"
    assert watch.most_missed < MISSED, held
    assert watch.most_cpu_s < MOST_TURN_S, held
    assert loads or watch.most_starved_s < MOST_STARVED_S, f"{held}\nAnother thread held the interpreter meanwhile."


class _Watch:
    def __init__(self) -> None:
        self.most_missed = 0
        self.most_cpu_s = 0.0
        self.most_starved_s = 0.0
        self.where = ""
        self._loop = asyncio.get_running_loop()
        self._ident, self._native = threading.get_ident(), threading.get_native_id()
        self._beats = 0
        self._beaten_s = time.thread_time()
        self._others_s = time.process_time() - self._beaten_s
        self._waits_s = time.monotonic() - _queued_s(self._native)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="contract watch", daemon=True)

    def start(self) -> None:
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        self._measure()
        self._timer.cancel()
        self._stopped.set()
        self._thread.join()

    def _measure(self) -> None:
        now_s = time.thread_time()
        others_s, waits_s = time.process_time() - now_s, time.monotonic() - _queued_s(self._native)
        self.most_cpu_s = max(self.most_cpu_s, now_s - self._beaten_s)
        self.most_starved_s = max(self.most_starved_s, min(others_s - self._others_s, waits_s - self._waits_s))
        self._beaten_s, self._others_s, self._waits_s = now_s, others_s, waits_s
        self._beats += 1

    def _beat(self) -> None:
        self._measure()
        self._timer = self._loop.call_later(0.002, self._beat)

    def _sample(self) -> None:
        seen, missed = -1, 0
        while not self._stopped.wait(0.01):
            missed = missed + 1 if self._beats == seen else 0
            seen = self._beats
            if missed > self.most_missed:
                self.most_missed = missed
                self.where = "".join(traceback.format_stack(sys._current_frames()[self._ident])[-3:])


def _queued_s(native_id: int) -> float:
    """How long a thread has waited for a processor so far; for ever where the system does not say, so that nothing counts as starved."""
    try:
        return int((_PROC / "task" / str(native_id) / "schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Holdings:
    """What this process holds that an engine may forget to give back."""

    threads: int
    tasks: int
    files: int
    processes: int

    @classmethod
    def now(cls) -> Holdings:
        """Counted on the event loop."""
        tasks = len(asyncio.all_tasks())
        if not _PROC.exists():
            return cls(threading.active_count(), tasks, 0, 0)
        return cls(len(os.listdir(_PROC / "task")), tasks, len(os.listdir(_PROC / "fd")), len(children()))

    def within(self, other: Holdings) -> bool:
        return all(mine <= theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True))

    def beyond(self, other: Holdings) -> str:
        names = [field.name for field in fields(self)]
        pairs = zip(names, astuple(self), astuple(other), strict=True)
        return ", ".join(f"{mine - theirs} {name}" for name, mine, theirs in pairs if mine > theirs)


async def settled_holdings() -> Holdings:
    """What is held once nothing ends any more."""
    gc.collect()
    before, same = Holdings.now(), 0
    for _ in range(2 * _SETTLING):
        await asyncio.sleep(0.01)
        now = Holdings.now()
        same = same + 1 if now == before else 0
        before = now
        if same == 5:
            break
    return before


async def assert_given_back(bound: Holdings, after: str) -> None:
    """Assert that no more is held than `bound`, now or soon; `after` says what happened in between."""
    gc.collect()
    now = Holdings.now()
    for look in range(_SETTLING):
        if now.within(bound):
            return
        await asyncio.sleep(0.02)
        if look % 25 == 0:
            gc.collect()
        now = Holdings.now()
    raise AssertionError(f"after {after} the engine holds {now.beyond(bound)} more than before")


def children() -> set[int]:
    """Process ids of this process's children."""
    found: set[int] = set()
    if _PROC.exists():
        for task in (_PROC / "task").iterdir():
            try:
                found.update(map(int, (task / "children").read_text().split()))
            except OSError:  # the thread has ended
                continue
    return found


def memory_bytes() -> int:
    """Resident memory, without what the allocator keeps for later (glibc: an arena for each thread); 0 where it cannot be read."""
    gc.collect()
    if not _PROC.exists():
        return 0
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int((_PROC / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def work_s() -> float:
    """Seconds of processor time that this process and its children have used, those that have ended included."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system + sum(_child_work_s())


def _child_work_s() -> Iterator[float]:
    for pid in children():
        try:
            counted = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        yield (int(counted[11]) + int(counted[12])) / os.sysconf("SC_CLK_TCK")


def _others_run() -> bool:
    """Whether another thread of this process, or a child, runs or waits for a processor, of which a crowded machine gives it little."""
    me = threading.get_native_id()
    stats = (
        [_PROC / "task" / thread / "stat" for thread in os.listdir(_PROC / "task") if int(thread) != me]
        if _PROC.exists()
        else []
    )
    for stat in [*stats, *(Path(f"/proc/{pid}/stat") for pid in children())]:
        with contextlib.suppress(OSError):  # it has ended
            if stat.read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


async def work_until_idle(since_s: float) -> float:
    """Processor time used since `work_s()` gave `since_s`, once this process and its children do nothing any more."""
    last_s, quiet = work_s(), 0
    for _ in range(_SETTLING * 5):
        await asyncio.sleep(0.02)
        now_s = work_s()
        quiet = quiet + 1 if now_s - last_s < 0.008 and not _others_run() else 0
        last_s = now_s
        if quiet == 5:
            return now_s - since_s
    raise AssertionError("the engine never becomes idle")
