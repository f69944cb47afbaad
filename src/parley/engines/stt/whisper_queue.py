"""Shares one Whisper model among any number of streams.

Laws:
- A pause that waits for its text comes first, in the order of asking; partials take turns for what is left.
- One stream is never worked on twice at the same time.
- Nothing is decoded for a closed stream; a decoding that has begun runs to its end (a second or so), since the library cannot stop.
- This is the engine boundary: whatever the library raises becomes an `EngineError` of the stream it happened to.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from parley.engines.ports import EngineError
from parley.engines.stt.whisper_model import Decoding, Task

log = logging.getLogger(__name__)


class Listener(Protocol):
    """What the queue sees of a stream."""

    closed: bool
    busy: bool

    def pause_task(self) -> Task | None: ...
    def paused(self, decoding: Decoding) -> None: ...
    def partial_task(self) -> Task | None: ...
    def guessed(self, decoding: Decoding, took_s: float) -> None: ...
    def fail(self, error: EngineError) -> None: ...


class WorkQueue:
    """Call `start()`, then `want_pause()` and `want_partial()`, then `stop()`."""

    def __init__(self, decode: Callable[[Task], Decoding], workers: int) -> None:
        self._decode = decode
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="whisper")
        self._workers = workers
        self._tasks: list[asyncio.Task[None]] = []
        self._pauses: deque[Listener] = deque()
        self._partials: dict[Listener, None] = {}
        self._wake = asyncio.Event()

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run(), name="whisper") for _ in range(self._workers)]

    async def stop(self) -> None:
        """End all work; waits for decodings that have begun. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def want_pause(self, stream: Listener) -> None:
        """The stream has a new pause."""
        self._pauses.append(stream)
        self._wake.set()

    def want_partial(self, stream: Listener) -> None:
        """The stream would like a partial; cheap enough to call for every chunk."""
        if stream not in self._partials:
            self._partials[stream] = None
            self._wake.set()

    def forget(self, stream: Listener) -> None:
        """The stream is closed."""
        self._partials.pop(stream, None)

    async def _run(self) -> None:
        while True:
            if (stream := self._next_pause()) is not None:
                work = self._pause(stream)
            elif (stream := self._next_partial()) is not None:
                work = self._partial(stream)
            else:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await work
            except Exception as error:
                # One turn's fault must not leave all others without a worker.
                log.exception("Whisper's result could not be taken")
                stream.fail(EngineError(f"Whisper failed: {error}", code="recognizer_failed"))

    def _next_pause(self) -> Listener | None:
        for _ in range(len(self._pauses)):
            stream = self._pauses.popleft()
            if stream.closed:
                continue
            if not stream.busy:
                return stream
            self._pauses.append(stream)
        return None

    def _next_partial(self) -> Listener | None:
        for stream in self._partials:
            if not stream.busy:
                del self._partials[stream]
                return stream
        return None

    async def _pause(self, stream: Listener) -> None:
        task = stream.pause_task()
        if task is not None and (decoding := await self._work(stream, task)) is not None:
            stream.paused(decoding)

    async def _partial(self, stream: Listener) -> None:
        task = stream.partial_task()
        if task is None:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        if (decoding := await self._work(stream, task)) is not None:
            stream.guessed(decoding, loop.time() - began)

    async def _work(self, stream: Listener, task: Task) -> Decoding | None:
        stream.busy = True
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._decode, task)
        except Exception as error:
            log.warning("Whisper failed", exc_info=True)
            stream.fail(EngineError(f"Whisper failed: {error}", code="recognizer_failed"))
            return None
        finally:
            stream.busy = False
            self._wake.set()
