"""What one Whisper model decodes next.

Laws:
- A live pause that waits for its text comes first; then partials and items, in turns. Sessions take turns (`FairQueue`), one decoding
  each, so a newcomer waits for one decoding (a second or so) however much others have waiting.
- What is decoded is chosen when a thread is free, so a partial is always of the latest audio.
- One stream is never decoded twice at the same time; nothing is decoded for a closed stream.

Threads, time limits and faults are those of `model_threads`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from parley.engines.fair_queue import FairQueue
from parley.engines.model_threads import LIMIT_S, ModelName, ModelThreads
from parley.engines.ports import EngineError
from parley.engines.stt.whisper_model import Decoding, Task

NAME = ModelName("Whisper", "Speech recognition", "recognizer")


class QueuedStream(Protocol):
    """What the queue sees of a stream."""

    closed: bool
    busy: bool
    share: object
    live: bool

    def pause_task(self) -> Task | None: ...
    def paused(self, decoding: Decoding) -> None: ...
    def partial_task(self) -> Task | None: ...
    def partially_decoded(self, decoding: Decoding, took_s: float) -> None: ...
    def fail(self, error: EngineError) -> None: ...


class DecodingQueue:
    """Call `want_pause()` and `want_partial()`, then `stop()`."""

    def __init__(self, decode: Callable[[Task], Decoding], workers: int, limit_s: float = LIMIT_S) -> None:
        self._decode = decode
        self._pauses: FairQueue[QueuedStream] = FairQueue()
        self._partials: FairQueue[QueuedStream] = FairQueue()
        self._item_next = False
        """Whether it is an item's turn, where a partial and an item both wait."""
        self._threads = ModelThreads(NAME, self._next, self._drop_pauses, count=workers, limit_s=limit_s)

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        return self._threads.fault

    async def stop(self) -> None:
        """End all work (see `ModelThreads.stop`). Idempotent."""
        await self._threads.stop()

    def want_pause(self, stream: QueuedStream) -> None:
        """The stream has a new pause."""
        if (fault := self.fault) is not None:
            stream.fail(fault)
            return
        self._pauses.put(stream, stream.share, live=stream.live)
        self._threads.wake()

    def want_partial(self, stream: QueuedStream) -> None:
        """The stream would like a partial; cheap enough to call for every chunk."""
        self._partials.put(stream, stream.share)
        self._threads.wake()

    def forget(self, stream: QueuedStream) -> None:
        """The stream has ended."""
        self._pauses.discard(stream, stream.share)
        self._partials.discard(stream, stream.share)

    def _next(self) -> _Job | None:
        while True:
            if (stream := self._pauses.take(_is_free, live=True)) is not None:
                job = _job(self._decode, stream, stream.pause_task(), pause=True)
            elif (stream := self._item_or_partial()) is not None:
                task = stream.pause_task() if self._item_next else stream.partial_task()
                job = _job(self._decode, stream, task, pause=self._item_next)
            else:
                return None
            if job is not None:
                return job

    def _item_or_partial(self) -> QueuedStream | None:
        """The next of the two, in turns where both wait; `_item_next` says which it is."""
        item_first = not self._item_next
        for items in (item_first, not item_first):
            stream = self._pauses.take(_is_free, live=False) if items else self._partials.take(_is_free)
            if stream is not None:
                self._item_next = items
                return stream
        return None

    def _drop_pauses(self, error: EngineError) -> None:
        for stream in self._pauses.drain():
            stream.fail(error)


class _Job:
    """One decoding of a stream."""

    def __init__(self, decode: Callable[[Task], Decoding], stream: QueuedStream, task: Task, pause: bool) -> None:
        self._decode = decode
        self._stream = stream
        self._task = task
        self._pause = pause
        self._decoding: Decoding | None = None
        self._took_s = 0.0
        stream.busy = True

    def run(self, alive: Callable[[], None]) -> None:
        began = time.monotonic()
        self._decoding = self._decode(self._task)
        self._took_s = time.monotonic() - began

    def returned(self) -> None:
        assert self._decoding is not None
        self._stream.busy = False
        if self._pause:
            self._stream.paused(self._decoding)
        else:
            self._stream.partially_decoded(self._decoding, self._took_s)

    def failed(self, error: EngineError) -> None:
        self._stream.busy = False
        self._stream.fail(error)


def _job(decode: Callable[[Task], Decoding], stream: QueuedStream, task: Task | None, *, pause: bool) -> _Job | None:
    return None if task is None else _Job(decode, stream, task, pause)


def _is_free(stream: QueuedStream) -> bool:
    return not stream.busy
