"""What every recogniser's stream of one turn has in common: its audio, the pauses that wait for their text, how it tells and ends.

Laws:
- After `close()` nothing is told, and whoever waits gets an error; `close()` is idempotent.
- A partial is told once, by way of the event loop: a listener that raises must not stop the worker that serves everybody.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from parley.engines.ports import EngineError, EngineRefused, Partial, Transcript
from parley.engines.stt.turn_audio import TurnAudio


@dataclass(slots=True)
class Cut:
    """A pause at a position; `waiter` gets the transcript up to there."""

    position: int
    waiter: asyncio.Future[Transcript] | None = None


AnyCut = TypeVar("AnyCut", bound=Cut)


class TurnStream(ABC, Generic[AnyCut]):
    """The part of the `RecognizerStream` port that does not depend on the recogniser. Make it on the event loop."""

    def __init__(self, on_partial: Callable[[Partial], None]) -> None:
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._on_partial = on_partial
        self._audio = TurnAudio()
        self._cuts: deque[AnyCut] = deque()
        self._error: EngineError | None = None
        self._told = Partial("")

    @abstractmethod
    async def flush(self) -> Transcript: ...

    @abstractmethod
    def _leave(self) -> None:
        """The stream is closed: whoever works on it forgets it."""

    async def finish(self) -> Transcript:
        try:
            return await self.flush()
        finally:
            self.close()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._settle(_closed())
            self._audio.clear()
            self._leave()

    def fail(self, error: EngineError) -> None:
        """Nothing more can come: the next `flush()` or `finish()` raises this."""
        self._error = error
        self._audio.clear()
        self._settle(error)

    def _raise_if_over(self) -> None:
        """Raises what ended this stream, if it has ended."""
        if self._error is not None:
            raise self._error
        if self.closed:
            raise _closed()

    def _tell(self, partial: Partial) -> None:
        if partial != self._told:
            self._told = partial
            self._loop.call_soon(self._deliver, partial)

    def _deliver(self, partial: Partial) -> None:
        if not self.closed:
            self._on_partial(partial)

    def _settle(self, error: EngineError) -> None:
        """Nobody waits any longer."""
        while self._cuts:
            waiter = self._cuts.popleft().waiter
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)


def _closed() -> EngineRefused:
    return EngineRefused("This transcription was closed before its text was ready.", code="transcription_closed")
