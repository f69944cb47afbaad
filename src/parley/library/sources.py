"""The source of a live session's frames: an iterator of either kind, a queue, or audio that is there already.

Laws: audio that is there already is read at the pace of speech; a source that must be awaited sets its own pace. None ends a queue.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from typing import Any

import numpy as np

from parley.audio.files import Recording
from parley.library.errors import LibraryError
from parley.library.frame_reader import Frame
from parley.library.functions import END, in_thread

FRAME_MS = 20
"""What a whole recording is cut into."""

QUEUE_POLL_S = 0.2
"""How often a thread that waits in a plain queue checks whether it should end."""

Source = AsyncIterable[Frame] | Iterable[Frame] | Recording | asyncio.Queue[Frame | None] | queue.Queue[Frame | None]
"""Frames as they come. A list, an array or a recording is read in real time; a queue ends with None."""


def frames_of(source: Source, sample_rate: int) -> AsyncGenerator[Frame, None]:
    """The frames of a source. Raises `LibraryError` for an object that is not a source."""
    if isinstance(source, asyncio.Queue):
        return _from_queue(source)
    if isinstance(source, queue.Queue):
        return _from_plain_queue(source)
    if isinstance(source, AsyncIterable):
        return _from_async(source)
    if isinstance(source, Recording):
        return _paced(iter(_cut(source.audio, sample_rate)), sample_rate)
    if isinstance(source, np.ndarray | bytes | bytearray):
        return _paced(iter(_cut(source, sample_rate)), sample_rate)
    if isinstance(source, Iterable):
        return _paced(iter(source), sample_rate)
    raise LibraryError(
        f"A source is frames as they come, not {type(source).__name__}.",
        remedy="Give an asynchronous iterator, a list or another iterable of frames, or a queue.",
    )


async def _from_async(source: AsyncIterable[Frame]) -> AsyncGenerator[Frame, None]:
    frames = aiter(source)
    try:
        async for frame in frames:
            yield frame
    finally:
        if hasattr(frames, "aclose"):
            await frames.aclose()


async def _from_queue(source: asyncio.Queue[Frame | None]) -> AsyncGenerator[Frame, None]:
    while (frame := await source.get()) is not None:
        yield frame


async def _from_plain_queue(source: queue.Queue[Frame | None]) -> AsyncGenerator[Frame, None]:
    while True:
        try:
            frame = source.get_nowait()
        except queue.Empty:
            try:
                frame = await in_thread(source.get, True, QUEUE_POLL_S)
            except queue.Empty:
                continue
        if frame is None:
            return
        yield frame


async def _paced(frames: Iterator[Frame], sample_rate: int) -> AsyncGenerator[Frame, None]:
    """Each frame when its last sample would have been spoken. The iterator is stepped in a thread: it may wait for a device."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while (frame := await in_thread(next, frames, END)) is not END:
        due = max(due + _samples(frame) / sample_rate, loop.time())
        await asyncio.sleep(due - loop.time())
        yield frame


def _samples(frame: Any) -> int:
    if isinstance(frame, Recording):
        return len(frame.audio)
    if isinstance(frame, np.ndarray):
        return len(frame) if frame.ndim else 0
    return len(frame) // 2 if isinstance(frame, bytes | bytearray | memoryview) else 0


def _cut(audio: Any, sample_rate: int) -> Iterator[Any]:
    size = max(1, sample_rate * FRAME_MS // 1000) * (1 if isinstance(audio, np.ndarray) else 2)
    for start in range(0, len(audio), size):
        yield audio[start : start + size]
