"""Shares a few PocketSphinx processes among any number of streams.

Laws:
- A pause that waits for its text comes first, in the order of asking; partials take what is left.
- A decoder follows one stream at a time for its partials. One that is needed for a pause drops the stream it followed, which then
  goes without partials until its next pause: on a full machine partials get rarer, finals only later.
- Every piece of work is short (`SLICE`), so a closed stream costs at most one slice more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from parley.engines.ports import EngineError
from parley.engines.stt.pocketsphinx_process import DecoderDied, DecoderProcess, Hypothesis

log = logging.getLogger(__name__)

SLICE = 2 * 3200
"""Bytes decoded at once: 200 ms of PCM16 at 16 kHz, about 25 ms of work."""

CATCH_UP = 10 * 32000
"""Bytes a stream may have waiting and still be followed: with ten seconds and more to catch up on, partials would come too late."""

IDLE_S = 2.0
"""A stream that sends nothing for so long gives up its decoder to one that does."""

RESTART_PAUSE_S = 5.0
"""Between attempts to start a process that will not start: a machine out of memory needs a moment."""

MIN_AUDIO = 3200
"""Bytes worth decoding: 100 ms; less holds no word, and no cepstral mean."""


class Segment(Protocol):
    """What the pool sees of a stream: the audio since its last pause, and where to put results."""

    closed: bool
    busy: bool
    """Being worked on right now."""
    queued: bool
    """Waiting for a decoder to follow it."""
    muted: bool
    """No more partials before the next pause."""
    decoded: int
    """Bytes of this segment already decoded for partials."""
    last_fed_s: float

    def available(self) -> int:
        """Bytes of this segment there are."""
        ...

    def audio(self, start: int, end: int) -> bytes: ...

    def next_cut(self) -> int | None:
        """Bytes up to the first pause that waits for its text."""
        ...

    def guess(self, text: str) -> None:
        """A streaming hypothesis of this segment."""
        ...

    def worth_decoding(self, size: int) -> bool:
        """Whether the first `size` bytes hold speech."""
        ...

    def commit(self, size: int, hypothesis: Hypothesis | None) -> None:
        """The text of the first `size` bytes (None: no speech there); the next segment begins behind them."""
        ...

    def fail(self, error: EngineError) -> None: ...


@dataclass(slots=True)
class _Worker:
    process: DecoderProcess
    follows: Segment | None = None
    idle: bool = False
    dead: bool = False


class DecoderPool:
    """Call `start()`, then `want()` whenever a stream has something new, then `stop()`."""

    def __init__(self, processes: Sequence[DecoderProcess]) -> None:
        self._workers = [_Worker(process) for process in processes]
        self._tasks: list[asyncio.Task[None]] = []
        self._pauses: deque[Segment] = deque()
        self._speaking: deque[Segment] = deque()
        self._wake = asyncio.Event()
        self._mean = ""

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(worker.process.pid for worker in self._workers)

    async def start(self) -> None:
        """Start every process and serve. Raises `EngineUnavailable`."""
        results = await asyncio.gather(*(w.process.start() for w in self._workers), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                await self.stop()
                raise result
        self._tasks = [asyncio.create_task(self._run(worker), name="pocketsphinx") for worker in self._workers]

    async def stop(self) -> None:
        """End all work and all processes; idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(w.process.stop() for w in self._workers))

    def want_pause(self, segment: Segment) -> None:
        """The segment has a new cut."""
        self._pauses.append(segment)
        self._wake.set()

    def want_partials(self, segment: Segment) -> None:
        """The segment has a slice of audio or more that is not decoded; cheap enough to call for every chunk."""
        if any(worker.follows is segment for worker in self._workers):
            self._wake.set()
        elif not segment.queued and not segment.muted:
            segment.queued = True
            self._speaking.append(segment)
            self._wake.set()

    async def _run(self, worker: _Worker) -> None:
        while True:
            if (segment := self._next_pause(worker)) is not None:
                work = self._second_pass(worker, segment)
            elif (segment := self._next_slice(worker)) is not None:
                work = self._follow(worker, segment)
            else:
                self._wake.clear()
                worker.idle = True
                await self._wake.wait()
                worker.idle = False
                continue
            segment.busy = True
            try:
                await work
            except DecoderDied as error:
                worker.follows = None
                segment.fail(error)
                await self._restart(worker)
            except EngineError as error:
                worker.follows = None
                segment.fail(error)
            except Exception as error:
                # One turn's fault must not leave all others without a worker; where its process stands, nobody knows.
                log.exception("PocketSphinx's result could not be taken")
                worker.follows = None
                segment.fail(EngineError(f"PocketSphinx failed: {error}", code="recognizer_failed"))
                await self._restart(worker)
            finally:
                segment.busy = False
                self._wake.set()

    async def _restart(self, worker: _Worker) -> None:
        log.warning("a PocketSphinx process died; starting another")
        worker.dead = True
        while worker.dead:
            try:
                await worker.process.start()
                worker.dead = False
            except EngineError as error:
                log.error("%s", error)
                if all(each.dead for each in self._workers):
                    while self._pauses:
                        self._pauses.popleft().fail(error)
                await asyncio.sleep(RESTART_PAUSE_S)

    def _next_pause(self, worker: _Worker) -> Segment | None:
        """The first pause in the queue that this decoder should see to."""
        for _ in range(len(self._pauses)):
            segment = self._pauses.popleft()
            if segment.closed:
                continue
            if not segment.busy and not self._suits_another(worker, segment):
                return segment
            self._pauses.append(segment)
        return None

    def _suits_another(self, worker: _Worker, segment: Segment) -> bool:
        """Whether this decoder would have to drop the stream it follows while another stands idle and would not."""
        if worker.follows is None or worker.follows is segment:
            return False
        return any(w.idle and (w.follows is None or w.follows is segment) for w in self._workers if w is not worker)

    def _next_slice(self, worker: _Worker) -> Segment | None:
        """The stream this decoder follows, if it has a slice; else another, if this one is over or silent."""
        current = worker.follows
        if current is not None and not current.closed:
            if not current.busy and current.available() - current.decoded >= SLICE:
                return current
            if asyncio.get_running_loop().time() - current.last_fed_s < IDLE_S:
                return None
        while self._speaking:
            segment = self._speaking.popleft()
            segment.queued = False
            if segment.closed or segment.muted or segment.available() < SLICE:
                continue
            if segment.available() > CATCH_UP:
                segment.muted = True
                continue
            return segment
        return None

    async def _follow(self, worker: _Worker, segment: Segment) -> None:
        """First pass, one slice: as it comes, with the cepstral mean of whoever spoke last."""
        if worker.follows is not segment:
            if worker.follows is not None:
                worker.follows.muted = True
            worker.follows = segment
            segment.decoded = 0
            await worker.process.begin(self._mean)
            if segment.available() < SLICE:
                return  # closed meanwhile
        start = segment.decoded
        segment.decoded = start + SLICE
        text = await worker.process.decode(segment.audio(start, start + SLICE))
        if not segment.closed:
            segment.guess(text)

    async def _second_pass(self, worker: _Worker, segment: Segment) -> None:
        """The whole of the audio up to the cut, with its own cepstral mean."""
        size = segment.next_cut()
        if size is None:
            return
        for other in self._workers:
            if other.follows is segment:
                other.follows = None
        if size < MIN_AUDIO or not segment.worth_decoding(size):
            segment.commit(size, None)
            return
        if worker.follows is not None:
            worker.follows.muted = True
            worker.follows = None
        mean = await worker.process.mean(segment.audio(0, size))
        await worker.process.begin(mean)
        for start in range(0, size, SLICE):
            if segment.next_cut() is None:
                return  # closed or failed meanwhile
            await worker.process.decode(segment.audio(start, min(start + SLICE, size)))
        hypothesis = await worker.process.end()
        self._mean = mean
        if not segment.closed:
            segment.commit(size, hypothesis)
