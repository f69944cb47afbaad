"""Shares one Whisper model among any number of streams.

Laws:
- A live pause that waits for its text comes first; then partials and items, in turns. Sessions take turns (`FairQueue`), one decoding
  each, so a newcomer waits for one decoding (a second or so) however much others have waiting.
- One stream is never worked on twice at the same time.
- Nothing is decoded for a closed stream; a decoding that has begun runs to its end, since the library cannot stop.
- A decoding that takes longer than `limit_s` fails its turn. A thread cannot be ended: when every worker is stuck so, all that waits and
  all that comes fails at once, by name, until one of them returns.
- This is the engine boundary: whatever the library raises becomes an `EngineError` of the stream it happened to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from parley.engines.fair_queue import FairQueue
from parley.engines.ports import EngineError
from parley.engines.stt.whisper_model import Decoding, Task

log = logging.getLogger(__name__)

DECODE_LIMIT_S = 30.0
"""No session waits longer for a transcript, so the result of a slower decoding would be unused."""

STOP_LIMIT_S = 5.0
"""How long `stop()` waits for decodings that have begun; their threads do not keep the process alive."""


class QueuedStream(Protocol):
    """What the queue sees of a stream."""

    closed: bool
    busy: bool
    share: object
    live: bool

    def pause_task(self) -> Task | None: ...
    def paused(self, decoding: Decoding) -> None: ...
    def partial_task(self) -> Task | None: ...
    def guessed(self, decoding: Decoding, took_s: float) -> None: ...
    def fail(self, error: EngineError) -> None: ...


class DecodingQueue:
    """Call `start()`, then `want_pause()` and `want_partial()`, then `stop()`."""

    def __init__(self, decode: Callable[[Task], Decoding], workers: int, limit_s: float = DECODE_LIMIT_S) -> None:
        self._decode = decode
        self._limit_s = limit_s
        self._workers = workers
        self._tasks: list[asyncio.Task[None]] = []
        self._pauses: FairQueue[QueuedStream] = FairQueue()
        self._partials: FairQueue[QueuedStream] = FairQueue()
        self._item_next = False
        """Whether it is an item's turn, where a partial and an item both wait."""
        self._running: set[asyncio.Future[Decoding]] = set()
        self._stuck: set[asyncio.Future[Decoding]] = set()
        self._wake = asyncio.Event()

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        if len(self._stuck) < self._workers:
            return None
        return EngineError(
            f"Speech recognition is down: Whisper has not returned from a decoding for more than {self._limit_s:g} s.",
            code="recognizer_stuck",
            remedy="Restart the server if it stays so; a smaller model or a lower `beam_size` decodes faster.",
        )

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run(), name="whisper") for _ in range(self._workers)]

    async def stop(self) -> None:
        """End all work; waits `STOP_LIMIT_S` for decodings that have begun, except those that are stuck. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if begun := self._running - self._stuck:
            await asyncio.wait(begun, timeout=STOP_LIMIT_S)

    def want_pause(self, stream: QueuedStream) -> None:
        """The stream has a new pause."""
        if (fault := self.fault) is not None:
            stream.fail(fault)
            return
        self._pauses.put(stream, stream.share, live=stream.live)
        self._wake.set()

    def want_partial(self, stream: QueuedStream) -> None:
        """The stream would like a partial; cheap enough to call for every chunk."""
        self._partials.put(stream, stream.share)
        self._wake.set()

    def forget(self, stream: QueuedStream) -> None:
        """The stream has ended."""
        self._pauses.discard(stream, stream.share)
        self._partials.discard(stream, stream.share)

    async def _run(self) -> None:
        while True:
            if (stream := self._pauses.take(_is_free, live=True)) is not None:
                work = self._pause(stream)
            elif (stream := self._item_or_partial()) is not None:
                work = self._pause(stream) if self._item_next else self._partial(stream)
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

    def _item_or_partial(self) -> QueuedStream | None:
        """The next of the two, in turns where both wait; `_item_next` says which it is."""
        item_first = not self._item_next
        for items in (item_first, not item_first):
            stream = self._pauses.take(_is_free, live=False) if items else self._partials.take(_is_free)
            if stream is not None:
                self._item_next = items
                return stream
        return None

    async def _pause(self, stream: QueuedStream) -> None:
        task = stream.pause_task()
        if task is not None and (decoding := await self._work(stream, task)) is not None:
            stream.paused(decoding)

    async def _partial(self, stream: QueuedStream) -> None:
        task = stream.partial_task()
        if task is None:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        if (decoding := await self._work(stream, task)) is not None:
            stream.guessed(decoding, loop.time() - began)

    async def _work(self, stream: QueuedStream, task: Task) -> Decoding | None:
        stream.busy = True
        try:
            decoding = self._begin(task)
            done, _ = await asyncio.wait([decoding], timeout=self._limit_s)
            if not done:
                await self._wait_for_the_stuck(stream, decoding)
                return None
            return decoding.result()
        except Exception as error:
            log.warning("Whisper failed", exc_info=True)
            stream.fail(EngineError(f"Whisper failed: {error}", code="recognizer_failed"))
            return None
        finally:
            stream.busy = False
            self._wake.set()

    def _begin(self, task: Task) -> asyncio.Future[Decoding]:
        """Decode on a thread of its own: starting one costs nothing beside a decoding, and one that hangs can be left behind."""
        loop = asyncio.get_running_loop()
        decoding: asyncio.Future[Decoding] = loop.create_future()
        self._running.add(decoding)
        decoding.add_done_callback(self._running.discard)
        threading.Thread(
            target=_decode_into, args=(self._decode, task, decoding, loop), name="whisper", daemon=True
        ).start()
        return decoding

    async def _wait_for_the_stuck(self, stream: QueuedStream, decoding: asyncio.Future[Decoding]) -> None:
        """Fail the turn and wait for the worker to come back, if it ever does."""
        stream.fail(
            EngineError(
                f"Whisper did not decode this turn within {self._limit_s:g} s; it was given up.",
                code="recognizer_stuck",
                remedy="Repeat what was said. If it happens again, choose a smaller model or restart the server.",
            )
        )
        self._stuck.add(decoding)
        decoding.add_done_callback(self._stuck.discard)
        log.error(
            "Whisper has not returned from a decoding for %g s (%d of %d workers)",
            self._limit_s,
            len(self._stuck),
            self._workers,
        )
        if (fault := self.fault) is not None:
            for waiting in self._pauses.drain():
                waiting.fail(fault)
        await asyncio.wait([decoding])
        log.warning("Whisper has returned")


def _is_free(stream: QueuedStream) -> bool:
    return not stream.busy


def _decode_into(
    decode: Callable[[Task], Decoding],
    task: Task,
    future: asyncio.Future[Decoding],
    loop: asyncio.AbstractEventLoop,
) -> None:
    """On a thread: the result, or what was raised, goes to the event loop."""
    try:
        result: Decoding | Exception = decode(task)
    except Exception as error:  # noqa: BLE001 - handed to the waiting caller
        result = error
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(_settle, future, result)


def _settle(future: asyncio.Future[Decoding], result: Decoding | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
        future.exception()  # a turn that was given up does not ask
    else:
        future.set_result(result)
