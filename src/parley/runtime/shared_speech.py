"""One synthesis for everyone who wants the same speech at the same time.

Laws:
- The stream is read only as fast as its fastest listener takes it, and is closed when the last one has left; a listener that leaves
  disturbs no other.
- Every listener gets every chunk from the first on, and the same error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from parley.engines.ports import SpeechChunk
from parley.runtime.faults import engine_code


class SharedSpeech:
    """A stream of one clause and its listeners. Iterate over `listen()`; `chunks` is what has come so far."""

    __slots__ = ("_ended", "_error", "_listeners", "_step", "_stream", "abandoned", "chunks")

    def __init__(self, stream: AsyncGenerator[SpeechChunk, None]) -> None:
        self._stream = stream
        self._step: asyncio.Task[None] | None = None
        self._listeners = 0
        self._error: Exception | None = None
        self.chunks: list[SpeechChunk] = []
        self.abandoned = False
        """Whether it was closed before its end, or failed: nobody can join it any more."""
        self._ended = False

    async def listen(self) -> AsyncIterator[SpeechChunk]:
        """All chunks, those that have come already first. Raises what the stream raises."""
        self._listeners += 1
        try:
            at = 0
            while await self._reaches(at):
                yield self.chunks[at]
                at += 1
        finally:
            self._listeners -= 1
            if not self._listeners:
                await self._close()

    async def _reaches(self, at: int) -> bool:
        """Whether there is a chunk of this number, waiting for it."""
        while at >= len(self.chunks) and not self._ended:
            if self._step is None:
                self._step = asyncio.create_task(self._advance())
            await asyncio.wait([self._step])  # a listener that is cancelled here does not cancel the step
        if at < len(self.chunks):
            return True
        if self._error is not None:
            raise self._error
        return False

    async def _advance(self) -> None:
        try:
            with engine_code():
                self.chunks.append(await anext(self._stream))
        except StopAsyncIteration:
            self._ended = True
        except Exception as error:  # noqa: BLE001 - an engine's, raised in every listener
            self._error, self._ended, self.abandoned = error, True, True
        finally:
            self._step = None

    async def _close(self) -> None:
        """The last listener has left."""
        self.abandoned = self.abandoned or not self._ended
        self._ended, self._error = True, None
        step = self._step
        if step is not None:
            step.cancel()
            await asyncio.wait([step])
        await self._stream.aclose()
