"""A recording that a request brought, decoded while it is used.

Laws:
- Decoding blocks, so it runs in threads, a piece at a time; no piece is decoded before the one before it was taken.
- Leaving the context ends the decoding, also in the middle of a piece, and when it is cancelled.
- A file that cannot be read, or is too long, is a `Refused` with the name of the form's field, whenever that is found out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Lock
from typing import BinaryIO, TypeVar

from parley.audio.file_errors import AudioFileError
from parley.audio.types import Samples
from parley.engines.strangers_audio import StrangersAudio, open_strangers
from parley.server.refusals import Refusal, Refused

T = TypeVar("T")

log = logging.getLogger("parley.server")

RETRY_S = 30
"""A full disk, or too many processes: somebody has to see to it, or it passes by itself."""


class UploadedAudio:
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
async def incoming_audio(file: BinaryIO, *, max_seconds: float, max_rate: int) -> AsyncIterator[UploadedAudio]:
    """The recording in an open file, at `max_rate` Hz or less (a plain WAV: at its own rate). Raises `Refused`."""
    opening = _Opening(lambda: open_strangers(file, "The file", max_seconds=max_seconds, max_rate=max_rate))
    try:
        yield UploadedAudio(await _decoded(opening.run))
    finally:
        opening.close()


class _Opening:
    """A file that is opened in a thread, and closed by its owner whether or not that thread is done."""

    def __init__(self, open_file: Callable[[], StrangersAudio]) -> None:
        self._open_file = open_file
        self._lock = Lock()
        self._audio: StrangersAudio | None = None
        self._closed = False

    def run(self) -> StrangersAudio:
        audio = self._open_file()
        with self._lock:
            self._audio = audio
            closed = self._closed
        if closed:
            audio.close()
        audio.begin()
        return audio

    def close(self) -> None:
        """Takes as long as killing a process: milliseconds."""
        with self._lock:
            self._closed = True
            audio = self._audio
        if audio is not None:
            audio.close()


async def _decoded(step: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(step)
    except AudioFileError as error:
        raise Refused(Refusal(400, "invalid_file", str(error), "file")) from error
    except OSError as error:
        log.error("a recording cannot be decoded: %s", error)
        message = "The server cannot decode recordings at this moment; its log tells more."
        raise Refused(Refusal(503, "decoding_failed", message, None, "server_error", RETRY_S)) from error
