"""The child processes of one engine, some for each direction, asked from the threads of its `ModelWorker`.

Laws:
- A direction's process is started when it is first asked, and again after it is lost. A text during which it is lost is asked once more,
  of a new process: the second loss is reported, and is the engine's `fault` until one answers.
- There are never more processes of a direction than threads that ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from parley.engines.mt.child_process import ChildLost
from parley.engines.ports import EngineError, EngineUnavailable

LIMIT_S: Final = 20.0
"""A unit takes some ms; so long takes only a process that hangs, or a machine on which no session would wait for it."""

K = TypeVar("K")


class Child(Protocol):
    """What a pool holds: see `ChildPipeline`."""

    def ask(self, text: str, limit_s: float) -> str: ...

    def close(self) -> None: ...


class ChildPool(Generic[K]):
    """Call `ask()` from threads, `close()` last. `start` makes the process of a direction, ready; it may block and raise `EngineError`."""

    def __init__(self, start: Callable[[K], Child], limit_s: float = LIMIT_S) -> None:
        self._start = start
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._idle: dict[K, list[Child]] = {}
        self._all: set[Child] = set()
        self._closed = False
        self.fault: EngineError | None = None
        """Why the last process was lost or could not be started; None once one answers."""

    def ask(self, key: K, text: str) -> str:
        """The answer of that direction's process. Blocks. Raises `EngineError`."""
        try:
            try:
                answer = self._ask(key, text)
            except ChildLost:
                if self._closed:
                    raise
                answer = self._ask(key, text)
        except (ChildLost, EngineUnavailable) as error:
            self.fault = error
            raise
        self.fault = None
        return answer

    def close(self) -> None:
        """End all processes; idempotent. Blocks for a moment."""
        with self._lock:
            self._closed = True
            children = list(self._all)
            self._all.clear()
            self._idle.clear()
        for child in children:
            child.close()

    def _ask(self, key: K, text: str) -> str:
        child = self._take(key)
        try:
            answer = child.ask(text, self._limit_s)
        except ChildLost:
            with self._lock:
                self._all.discard(child)
            child.close()
            raise
        except EngineError:  # about this text alone
            self._give_back(key, child)
            raise
        self._give_back(key, child)
        return answer

    def _give_back(self, key: K, child: Child) -> None:
        with self._lock:
            if not self._closed:
                self._idle.setdefault(key, []).append(child)

    def _take(self, key: K) -> Child:
        with self._lock:
            if self._idle.get(key):
                return self._idle[key].pop()
        child = self._start(key)
        with self._lock:
            closed = self._closed
            if not closed:
                self._all.add(child)
        if closed:
            child.close()
            raise EngineError("The translator is closed.", code="engine_closed")
        return child
