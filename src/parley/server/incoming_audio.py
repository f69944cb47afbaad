"""A recording that a request brought, decoded while it is used.

Laws:
- Decoding blocks, so it runs in threads, a piece at a time; no piece is decoded before the one before it was taken.
- Leaving the context ends the decoding, also in the middle of a piece, and when it is cancelled.
- A file that cannot be read, or is too long, is a `Refused` with the name of the form's field, whenever that is found out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import BinaryIO, TypeVar

from parley.audio.file_errors import AudioFileError
from parley.audio.types import Samples
from parley.engines.strangers_audio import StrangersAudio, open_strangers
from parley.server.refusals import Refusal, Refused

T = TypeVar("T")


class IncomingAudio:
    """The recording: `pieces()` once; `seconds` of it have been taken so far."""

    def __init__(self, audio: StrangersAudio) -> None:
        self._audio = audio
        self._samples = 0

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self._audio.sample_rate

    @property
    def seconds(self) -> float:
        return self._samples / self._audio.sample_rate

    async def pieces(self) -> AsyncGenerator[Samples, None]:
        """Mono float32 `[n]`, half a second each. Raises `Refused`."""
        while (piece := await _decoded(self._audio.read)) is not None:
            self._samples += len(piece)
            yield piece


@asynccontextmanager
async def incoming_audio(file: BinaryIO, *, max_seconds: float, max_rate: int) -> AsyncIterator[IncomingAudio]:
    """The recording in an open file, at `max_rate` Hz or less (a plain WAV: at its own rate). Raises `Refused`."""

    def open_file() -> StrangersAudio:
        return open_strangers(file, "The file", max_seconds=max_seconds, max_rate=max_rate)

    opening = asyncio.ensure_future(_decoded(open_file))
    try:
        audio = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise
    try:
        yield IncomingAudio(audio)
    finally:
        await asyncio.shield(asyncio.to_thread(audio.close))


def _close_late(opening: asyncio.Future[StrangersAudio]) -> None:
    """Nobody waits for what was being opened."""
    if not opening.cancelled() and opening.exception() is None:
        asyncio.get_running_loop().run_in_executor(None, opening.result().close)


async def _decoded(step: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(step)
    except AudioFileError as error:
        raise Refused(Refusal(400, "invalid_file", str(error), "file")) from error
