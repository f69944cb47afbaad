"""What every recogniser's stream of one turn has in common: its audio, the pauses that wait for their text, its reports, its end.

Laws:
- After `close()` nothing is reported, and a waiting caller gets an error; `close()` is idempotent.
- A stream that has ended holds no references: no ring keeps its audio until a garbage collection.
- A partial is reported once, by way of the event loop: a listener that raises must not stop the worker that serves all streams.
- Audio that waits is counted in the recogniser's backlog, by owner, from `feed()` until its text is there.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from parley.audio.types import Samples
from parley.engines.fair_queue import Backlog
from parley.engines.ports import EngineError, EngineRefused, Partial, RecognitionSpec, Transcript
from parley.engines.stt.turn_audio import SAMPLE_RATE, TurnAudio

MAX_SHARE_BACKLOG = 15 * 60 * SAMPLE_RATE
"""Samples that may wait for one owner (29 MB): an input buffer of ten minutes sent in one go, and what the core lets wait besides."""

MAX_BACKLOG = 60 * 60 * SAMPLE_RATE
"""Samples that may wait for one recogniser (115 MB): a session gives a turn up after 30 s, and no recogniser on a CPU works through
an hour in that time, so more would be unused."""


def new_backlog() -> Backlog:
    """The account of one recogniser's waiting audio, in samples."""
    return Backlog(MAX_SHARE_BACKLOG, MAX_BACKLOG)


@dataclass(slots=True)
class Cut:
    """A pause at a position; `waiter`, and the `earlier` ones of pauses that it stands for too, get the transcript up to there."""

    position: int
    waiter: asyncio.Future[Transcript] | None = None
    earlier: tuple[asyncio.Future[Transcript], ...] = ()

    @property
    def waiters(self) -> tuple[asyncio.Future[Transcript], ...]:
        return self.earlier if self.waiter is None else (*self.earlier, self.waiter)

    def answer(self, text: Transcript) -> None:
        """Whoever waits gets this."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(text)

    def stand_for(self, other: Cut) -> None:
        """Whoever waits for the other pause waits for this one."""
        self.earlier = (*other.waiters, *self.earlier)


AnyCut = TypeVar("AnyCut", bound=Cut)


class TurnStream(ABC, Generic[AnyCut]):
    """The part of the `RecognizerStream` port that does not depend on the recogniser. Make it on the event loop.

    A backlog that is full, or a recogniser that gave this turn up, is raised by the next `feed()`, `flush()` or `finish()`.
    """

    def __init__(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None], backlog: Backlog) -> None:
        self.closed = False
        self.share = spec.share
        self.live = spec.live
        self._loop = asyncio.get_running_loop()
        self._on_partial = on_partial
        self._backlog = backlog
        self._audio = TurnAudio()
        self._cuts: deque[AnyCut] = deque()
        self._error: EngineError | None = None
        self._reported = Partial("")

    def feed(self, audio: Samples) -> None:
        if self.closed:
            return
        self._raise_if_over()
        if not self._backlog.takes(self.share, audio.size):
            self.fail(self._overflow())
            self._raise_if_over()
        self._backlog.add(self.share, audio.size)
        self._audio.append(audio)
        self._fed(audio)

    @abstractmethod
    def _fed(self, audio: Samples) -> None:
        """There is more audio, this one."""

    @abstractmethod
    async def flush(self) -> Transcript: ...

    @abstractmethod
    def _leave(self) -> None:
        """The stream has ended: the worker forgets it."""

    async def finish(self) -> Transcript:
        try:
            return await self.flush()
        finally:
            self.close()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._error = None  # its traceback refers to the frames that refer to this stream
            self._end(_closed())
            self._on_partial = _ignore

    def fail(self, error: EngineError) -> None:
        """Nothing more can come: a waiting caller gets this error, and so does the next call."""
        if not self.closed and self._error is None:
            self._error = error
            self._end(error)

    def _end(self, error: EngineError) -> None:
        while self._cuts:
            for waiter in self._cuts.popleft().waiters:
                if not waiter.done():
                    waiter.set_exception(error)
        self._drop(self._audio.end)
        self._leave()

    def _drop(self, position: int) -> None:
        """The audio before `position` is needed no more."""
        held = self._audio.held
        self._audio.drop(position)
        self._backlog.remove(self.share, held - self._audio.held)

    def _raise_if_over(self) -> None:
        """Raises what ended this stream, if it has ended."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self.closed:
            raise _closed()

    def _overflow(self) -> EngineError:
        own = self._backlog.of(self.share) > self._backlog.per_share // 2
        whose = "of this session" if own else "of all sessions"
        waiting = self._backlog.of(self.share) if own else self._backlog.waiting
        return EngineError(
            f"{waiting // SAMPLE_RATE} s of audio {whose} wait for speech recognition already; this turn was given up.",
            code="transcription_backlog",
            remedy="Send audio more slowly, or wait for transcripts; the server's owner can choose a faster recogniser.",
        )

    def _report(self, partial: Partial) -> None:
        known = self._reported
        if (partial.text, partial.stable, partial.end_of_turn) != (known.text, known.stable, known.end_of_turn):
            self._reported = partial
            self._loop.call_soon(self._deliver, partial)

    def _deliver(self, partial: Partial) -> None:
        if not self.closed:
            self._on_partial(partial)


def _ignore(partial: Partial) -> None:
    """The listener of a stream that has ended."""


def _closed() -> EngineRefused:
    return EngineRefused("This transcription was closed before its text was ready.", code="transcription_closed")
