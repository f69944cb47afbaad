"""Decodes the streams of one streaming recogniser together: what waits when the thread is free becomes one batch.

Laws:
- A batch takes at most `MAX_PIECE` of audio from each stream, sessions in turns, live ones first: a newcomer waits for one batch.
- A stream is in one batch at a time; nothing is decoded for a closed stream.

Threads, time limits and faults are those of `model_threads`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from parley.audio.types import Samples
from parley.engines.fair_queue import FairQueue
from parley.engines.model_threads import LIMIT_S, Job, ModelName, ModelThreads
from parley.engines.ports import EngineError
from parley.engines.stt.sherpa_library import Decoded, StreamingModel
from parley.engines.stt.sherpa_models import SAMPLE_RATE

MAX_PIECE: Final = SAMPLE_RATE
"""Audio of one stream in one batch: a long recording makes others wait no longer than a second of it takes."""


@dataclass(frozen=True, slots=True)
class StreamAudio:
    """A stream's next audio; `pad` asks for everything up to its end."""

    audio: Samples
    pad: bool = False


class BatchedStream(Protocol):
    """What the batches see of a stream. `state` is the library's, made on the thread by `new_state()`."""

    closed: bool
    share: object
    live: bool
    state: Any

    def new_state(self) -> Any: ...
    def take_piece(self) -> StreamAudio | None: ...
    def heard(self, piece: StreamAudio, heard: Decoded) -> None: ...
    def fail(self, error: EngineError) -> None: ...


class Batches:
    """Call `want()` whenever a stream has work, `stop()` last. At most `size` streams are decoded together."""

    def __init__(self, model: StreamingModel, name: str, size: int, limit_s: float = LIMIT_S) -> None:
        self._model = model
        self._size = size
        self._queue: FairQueue[BatchedStream] = FairQueue()
        names = ModelName(name, "Speech recognition", "recognizer")
        self._threads = ModelThreads(names, self._next, self._drop, limit_s=limit_s)

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment; None while something can."""
        return self._threads.fault

    def want(self, stream: BatchedStream) -> None:
        """The stream has audio, or a pause that waits for its text."""
        if (fault := self.fault) is not None:
            stream.fail(fault)
            return
        self._queue.put(stream, stream.share, live=stream.live)
        self._threads.wake()

    def forget(self, stream: BatchedStream) -> None:
        """The stream has ended."""
        self._queue.discard(stream, stream.share)

    async def stop(self) -> None:
        """End all work (see `ModelThreads.stop`). Idempotent."""
        await self._threads.stop()

    def _next(self) -> Job | None:
        members: list[tuple[BatchedStream, StreamAudio]] = []
        while len(members) < self._size and (stream := self._queue.take()) is not None:
            piece = stream.take_piece()
            if piece is not None:
                members.append((stream, piece))
        return _Batch(self._model, members) if members else None

    def _drop(self, error: EngineError) -> None:
        for stream in self._queue.drain():
            stream.fail(error)


class _Batch:
    def __init__(self, model: StreamingModel, members: list[tuple[BatchedStream, StreamAudio]]) -> None:
        self._model = model
        self._members = members
        self._heard: list[Decoded] = []

    def run(self, alive: Callable[[], None]) -> None:
        open_members = [(stream, piece) for stream, piece in self._members if not stream.closed]
        states = [(stream.state or stream.new_state(), piece.audio, piece.pad) for stream, piece in open_members]
        for (stream, _), (state, _, _) in zip(open_members, states, strict=True):
            stream.state = state
        self._members = open_members
        self._heard = self._model.advance(states)

    def returned(self) -> None:
        for (stream, piece), heard in zip(self._members, self._heard, strict=True):
            if stream.closed:
                stream.state = None  # it was set after the stream had ended
            else:
                stream.heard(piece, heard)

    def failed(self, error: EngineError) -> None:
        for stream, _ in self._members:
            stream.state = None
            stream.fail(error)
