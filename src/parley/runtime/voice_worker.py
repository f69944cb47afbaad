"""Scores the voice of all sessions with one model: every session's frames of one tick go into one batch.

Laws:
- One owner: only this worker calls the model, on the event loop (64 frames cost 1.7 ms there, less than a thread hop each would).
- A tick runs every 10 ms while a whole frame is pending anywhere, and never otherwise. A session gives one frame to a batch, then
  goes behind the others, so that one session's burst delays nobody.
- Nothing is lost: a burst waits as the bytes that came and is resampled in slices as it is scored. What may wait is bounded by the
  core, which takes no more than `MAX_BUFFERED_MS` that have not been scored.
- The same audio gives the same scores however it was cut into chunks and whoever else is being scored.

Does not know: turns, thresholds, or what a score is for.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from time import perf_counter

import numpy as np

from parley.audio.resampling import Resampler
from parley.core.events import VoiceScored
from parley.core.limits import SAMPLE_RATE
from parley.core.settings import AudioFormat
from parley.engines.ports import EngineError, Samples, VoiceActivityModel
from parley.runtime.sound import PCM_SCALE, decode

logger = logging.getLogger(__name__)

TICK_S = 0.010
"""32 ms saves nothing and adds 20 ms of latency."""

MAX_BATCH = 64
"""Streams in one call: 1.7 ms, the longest that the event loop is kept from sockets at a time."""

TICK_BUDGET_S = 0.006
"""Scoring in one go before the sockets get their turn again."""

SLICE_MS = 200
"""Audio converted at once at the most, so that a file pushed in one message does not hold up the loop."""

PRIMING = {AudioFormat.PCM16: 3, AudioFormat.PCMU: 2, AudioFormat.PCMA: 2}
"""Samples of silence before a stream, a quarter of a millisecond at the most: what QQ holds back, so that a frame is whole as
soon as its last sample has come."""

LAG_WEIGHT = 0.05
"""Each tick's share in `tick_lag_ms`: a lasting lag shows within 20 ticks, a single hiccup does not."""

LAG_MEMORY_S = 1.0
"""A lag measured longer ago than this says nothing: no session has spoken since."""


class VoiceStream:
    """One session's audio on its way into the model. Call `hear()` with each `ScoreVoice`, `release()` at the end."""

    __slots__ = (
        "_fill",
        "_format",
        "_next",
        "_origin",
        "_pending",
        "_read",
        "_resampler",
        "_scored",
        "_waiting",
        "_worker",
        "failed",
        "post",
        "queued",
        "released",
        "slot",
    )

    def __init__(
        self, worker: VoiceWorker, slot: int, post: Callable[[VoiceScored], None], failed: Callable[[Exception], None]
    ) -> None:
        self._worker = worker
        self.slot = slot
        self.post = post
        self.failed = failed
        self.queued = False
        self.released = False
        self._waiting: deque[bytes] = deque()
        self._format: AudioFormat | None = None
        self._resampler: Resampler
        self._next = 0
        self._origin = 0
        self._scored = 0
        self._pending = np.empty(worker.ring_samples, np.float32)
        self._read = 0
        self._fill = 0

    def hear(self, start_sample: int, audio: bytes, format: AudioFormat) -> None:
        """Take whole samples in `format` that begin at `start_sample` (24 kHz)."""
        if start_sample != self._next or format is not self._format:
            self._restart(start_sample, format)
        self._next = start_sample + format.samples(len(audio))
        unread = self._fill - self._read
        if self._waiting or len(audio) > SLICE_MS * format.bytes_per_ms or unread > self._worker.max_unread:
            self._wait(audio)
        else:
            self._take(audio)
        if not self.queued and self.frame_ready():
            self.queued = True
            self._worker.wake(self)

    def _restart(self, start_sample: int, format: AudioFormat) -> None:
        if self._scored:
            self._worker.model.reset(self.slot)
        self._format = format
        # QQ holds nothing back that matters (0.1 ms); its aliasing does not change the scores.
        self._resampler = Resampler(format.rate, self._worker.rate, "QQ")
        self._origin = start_sample
        self._scored = self._read = self._fill = 0
        self._waiting.clear()
        self._add(self._resampler.push(np.zeros(PRIMING[format], np.float32)))

    def _wait(self, audio: bytes) -> None:
        assert self._format is not None
        size = SLICE_MS * self._format.bytes_per_ms
        self._waiting.extend(audio[at : at + size] for at in range(0, len(audio), size))

    def _take(self, audio: bytes) -> None:
        assert self._format is not None
        self._add(self._resampler.push(decode(audio, self._format)))

    def _add(self, samples: Samples) -> None:
        end = self._fill + len(samples)
        if end > len(self._pending):
            end = self._make_room(len(samples))
        self._pending[self._fill : end] = samples
        self._fill = end

    def _make_room(self, coming: int) -> int:
        """Move what is unread to the front. There is always room then: the ring takes a slice beside `max_unread`."""
        left = self._fill - self._read
        self._pending[:left] = self._pending[self._read : self._fill]
        self._read, self._fill = 0, left
        return left + coming

    def frame_ready(self) -> bool:
        """Whether a whole frame can be given to the model; takes in waiting audio until one can."""
        frame = self._worker.frame
        while self._fill - self._read < frame:
            if not self._waiting:
                return False
            self._take(self._waiting.popleft())
        return True

    def next_frame(self, into: Samples) -> int:
        """Copy the next whole frame; returns where it ends (24 kHz)."""
        frame = self._worker.frame
        into[:] = self._pending[self._read : self._read + frame]
        self._read += frame
        self._scored += 1
        return self._origin + self._scored * self._worker.frame_24k

    def release(self) -> None:
        """Give the model's slot back; idempotent."""
        if not self.released:
            self.released = True
            self._waiting.clear()
            self._worker.model.release(self.slot)


class VoiceWorker:
    """The owner of one opened voice activity model. Call `stream()` for each session, on the event loop."""

    def __init__(self, model: VoiceActivityModel) -> None:
        self.model = model
        self.rate = model.info.sample_rate
        self.frame = model.frame_samples
        self.frame_24k, rest = divmod(self.frame * SAMPLE_RATE, self.rate)
        if rest:
            raise EngineError(f"frames of {self.frame} samples at {self.rate} Hz do not end on whole 24 kHz samples")
        # Real time leaves at most a frame and a chunk between ticks; more than two frames are a burst.
        self.max_unread = 2 * self.frame
        # A slice beside them, and the few samples that the resampler held back.
        self.ring_samples = SLICE_MS * self.rate // 1_000 + 3 * self.frame
        self._frames = np.empty((MAX_BATCH, self.frame), np.float32)
        self._queue: deque[VoiceStream] = deque()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._due = 0.0
        self._lag_ms = 0.0
        self._lag_at = -math.inf

    def stream(self, post: Callable[[VoiceScored], None], failed: Callable[[Exception], None]) -> VoiceStream:
        """A session's stream. `post` gets every score, `failed` the fault of a model that cannot score this stream."""
        return VoiceStream(self, self.model.allocate(), post, failed)

    @property
    def tick_lag_ms(self) -> float:
        """How late ticks have been lately (smoothed over about 20): what a server should look at before it admits a session."""
        if self._timer is None and asyncio.get_running_loop().time() - self._lag_at > LAG_MEMORY_S:
            return 0.0
        return self._lag_ms

    def wake(self, stream: VoiceStream) -> None:
        """`stream` has a whole frame pending."""
        self._queue.append(stream)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            # Ticks lie on a grid: a lone frame waits 5 ms on average, and all that come within 10 ms share a batch.
            self._due = (math.floor(loop.time() / TICK_S) + 1) * TICK_S
            self._timer = loop.call_at(self._due, self._tick)

    def score_pending(self) -> None:
        """Score all that is pending now: for whoever pushes audio faster than it was spoken, and waits for what follows from it."""
        while self._queue:
            self._score_batch()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._lag_at = loop.time()
        self._lag_ms += LAG_WEIGHT * (max(0.0, self._lag_at - self._due) * 1e3 - self._lag_ms)
        until = perf_counter() + TICK_BUDGET_S
        try:
            while self._queue and perf_counter() < until:
                self._score_batch()
        finally:
            # Whatever happens, the ticks go on for everybody.
            self._due = loop.time()
            self._timer = loop.call_soon(self._tick) if self._queue else None

    def _score_batch(self) -> None:
        queue, frames = self._queue, self._frames
        batch: list[VoiceStream] = []
        ends: list[int] = []
        for _ in range(min(len(queue), MAX_BATCH)):
            stream = queue.popleft()
            # A new stream may have begun since it was queued.
            if stream.released or not self._has_frame(stream):
                continue
            ends.append(stream.next_frame(frames[len(batch)]))
            batch.append(stream)
        if not batch:
            return
        queue.extend(stream for stream in batch if self._has_frame(stream))
        ready = frames[: len(batch)]
        ready *= PCM_SCALE
        for stream, end, probability in zip(batch, ends, self._score(batch, ready), strict=True):
            if probability is not None and not stream.released:
                stream.post(VoiceScored(end, probability))

    def _has_frame(self, stream: VoiceStream) -> bool:
        """Whether the stream belongs in the queue; one that cannot even be read fails alone."""
        try:
            stream.queued = stream.frame_ready()
        except Exception as error:
            logger.exception("audio could not be taken in")
            stream.failed(error)
            return False
        return stream.queued

    def _score(self, batch: list[VoiceStream], frames: Samples) -> list[float | None]:
        try:
            scores: list[float | None] = self.model.score([stream.slot for stream in batch], frames).tolist()
            return scores
        except Exception as error:
            if len(batch) == 1:
                logger.exception("the voice activity model failed")
                batch[0].failed(error)
                return [None]
        # One stream's fault is not everybody's: find out whose it is.
        return [self._score([stream], frames[index : index + 1])[0] for index, stream in enumerate(batch)]
