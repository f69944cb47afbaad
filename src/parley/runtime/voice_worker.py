"""Scores the voice of all sessions with one model: every session's frames of one tick go into one batch.

Laws:
- One owner: only this worker calls the model, on the event loop (64 frames cost 1 ms there, less than a thread hop each would).
- A tick runs every 10 ms while a whole frame is pending anywhere, and never otherwise. A session gives one frame to a batch, then
  goes behind the others, so that one session's burst delays no other.
- Nothing is lost: audio waits as the bytes that came, and a frame is converted when it is scored, with those of all others. What
  may wait is bounded by the core, which takes no more than `MAX_BUFFERED_MS` that have not been scored.
- The same audio gives the same scores however it was cut into chunks and whichever streams are scored beside it.

Does not know: turns, thresholds, or what a score is for.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from time import perf_counter

import numpy as np

from parley.audio.interpolation import FrameInterpolation
from parley.core.words.events import VoiceScored
from parley.core.words.limits import SAMPLE_RATE
from parley.core.words.settings import AudioFormat
from parley.engines.ports import EngineError, Samples, VoiceActivityModel
from parley.runtime.later_audio import SLICE_BYTES, LaterAudio
from parley.runtime.sound import PCM_SCALE, decode

TICK_S = 0.010
"""32 ms saves nothing and adds 20 ms of latency."""

MAX_BATCH = 64
"""Streams in one call: 1 ms with all around it, the longest that the event loop is kept from sockets at a time."""

TICK_BUDGET_S = 0.006
"""Scoring in one go before the sockets get their turn again."""

SILENCE = {AudioFormat.PCM16: b"\0\0", AudioFormat.PCMU: b"\xff", AudioFormat.PCMA: b"\xd5"}
"""One sample of it."""

LAG_WEIGHT = 0.05
"""Each tick's share in `tick_lag_ms`: a lasting lag shows within 20 ticks, a single hiccup does not."""

LAG_MEMORY_S = 1.0
"""A lag measured longer ago than this says nothing: no session has spoken since."""


_encoding = attrgetter("format.value")
_format = attrgetter("format")


class VoiceStream:
    """One session's audio on its way into the model. Call `hear()` with each `ScoreVoice`, `release()` at the end."""

    __slots__ = (
        "_audio",
        "_fresh",
        "_later",
        "_next",
        "_scored_to",
        "_step",
        "_window",
        "_worker",
        "failed",
        "format",
        "post",
        "queued",
        "released",
        "since",
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
        self.since = 0.0
        """When it was queued, by `perf_counter`."""
        self.released = False
        self.format = AudioFormat.PCM16
        self._fresh = True
        self._audio = bytearray()
        self._later = LaterAudio()
        self._window = self._step = 0
        self._next = -1
        self._scored_to = 0

    def hear(self, start_sample: int, audio: bytes, format: AudioFormat) -> None:
        """Take whole samples in `format` that begin at `start_sample` (24 kHz)."""
        if start_sample != self._next or format is not self.format:
            self._restart(start_sample, format)
        self._next = start_sample + format.samples(len(audio))
        if self._later.size or len(audio) > SLICE_BYTES:
            self._later.append(audio)
            self._later.move(self._audio, self._window)
        else:
            self._audio += audio
        if not self.queued and len(self._audio) >= self._window:
            self.queued = True
            self._worker.wake(self)

    def _restart(self, start_sample: int, format: AudioFormat) -> None:
        if not self._fresh:
            self._worker.model.reset(self.slot)
            self._fresh = True
        shape = self._worker.interpolation(format)
        self.format = format
        self._window = shape.window * format.frame_bytes
        self._step = shape.step * format.frame_bytes
        self._scored_to = start_sample
        # What the interpolation looks back at and ahead to, a quarter of a millisecond at the most, is silence before the
        # stream, so that a frame is whole as soon as its last sample has come.
        self._later.clear()
        self._audio[:] = SILENCE[format] * (shape.before + shape.after)

    @property
    def frame_ready(self) -> bool:
        """Whether a whole frame can be given to the model."""
        return len(self._audio) >= self._window

    def next_frame(self) -> bytearray:
        """The samples of the next whole frame, and those beside it that it is interpolated from, as they came."""
        window = self._audio[: self._window]
        del self._audio[: self._step]
        if self._later.size:
            self._later.move(self._audio, self._window)
        self._fresh = False
        return window

    def scored(self, probability: float) -> None:
        """The model has scored the frame that was taken last."""
        self._scored_to += self._worker.frame_24k
        self.post(VoiceScored(self._scored_to, probability))

    def release(self) -> None:
        """Give the model's slot back; idempotent."""
        if not self.released:
            self.released = True
            self._audio.clear()
            self._later.clear()
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
        self._interpolations = {
            format: FrameInterpolation(format.rate, self.rate, self.frame) for format in AudioFormat
        }
        self._frames = np.empty((MAX_BATCH, self.frame), np.float32)
        self._queue: deque[VoiceStream] = deque()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._due = 0.0
        self._behind = False
        """Whether the last tick had to leave streams to the next."""
        self._lag_ms = 0.0
        self._lag_at = -math.inf

    def stream(self, post: Callable[[VoiceScored], None], failed: Callable[[Exception], None]) -> VoiceStream:
        """A session's stream. `post` gets every score, `failed` the fault of a model that cannot score this stream: release it,
        or let it go on with that frame as silence."""
        return VoiceStream(self, self.model.allocate(), post, failed)

    def interpolation(self, format: AudioFormat) -> FrameInterpolation:
        """From the wire's rate to the model's."""
        return self._interpolations[format]

    @property
    def tick_lag_ms(self) -> float:
        """How late frames have been scored lately (smoothed over about 20 ticks): what a server should look at before it admits a
        session. Either the loop comes late to a tick, or one tick cannot score all and the next go on with streams that wait."""
        if self._timer is None and asyncio.get_running_loop().time() - self._lag_at > LAG_MEMORY_S:
            return 0.0
        return self._lag_ms

    def wake(self, stream: VoiceStream) -> None:
        """`stream` has a whole frame pending."""
        stream.since = perf_counter()
        self._queue.append(stream)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            # Ticks lie on a grid: a lone frame waits 5 ms on average, and all that come within 10 ms share a batch.
            self._due = (math.floor(loop.time() / TICK_S) + 1) * TICK_S
            self._timer = loop.call_at(self._due, self._tick)

    def score_pending(self) -> None:
        """Score all that is pending now: for a caller that pushes audio faster than it was spoken, and waits for what follows from it."""
        while self._queue:
            self._score_batch()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        began = perf_counter()
        self._lag_at = loop.time()
        late_s = max(0.0, self._lag_at - self._due)
        if self._behind and self._queue:
            late_s = max(late_s, began - self._queue[0].since)
        self._lag_ms += LAG_WEIGHT * (late_s * 1e3 - self._lag_ms)
        until = began + TICK_BUDGET_S
        try:
            while self._queue and perf_counter() < until:
                self._score_batch()
        finally:
            # Whatever happens, the ticks go on for all sessions.
            self._due = loop.time()
            self._behind = bool(self._queue)
            self._timer = loop.call_soon(self._tick) if self._behind else None

    def _score_batch(self) -> None:
        queue = self._queue
        batch: list[VoiceStream] = []
        for _ in range(min(len(queue), MAX_BATCH)):
            stream = queue.popleft()
            # A new stream may have begun since it was queued.
            stream.queued = False
            if not stream.released and stream.frame_ready:
                batch.append(stream)
        if not batch:
            return
        frames = self._next_frames(batch)
        now = perf_counter()
        for stream in batch:
            if stream.frame_ready:
                stream.queued, stream.since = True, now
                queue.append(stream)
        for stream, probability in zip(batch, self._score(batch, frames), strict=True):
            if not stream.released:
                stream.scored(probability)

    def _next_frames(self, batch: list[VoiceStream]) -> Samples:
        """Each stream's next frame in a row of its own, at the model's rate; all of one encoding are converted at once."""
        batch.sort(key=_encoding)
        frames = self._frames[: len(batch)]
        first = 0
        for format, streams in groupby(batch, key=_format):
            windows = [stream.next_frame() for stream in streams]
            samples = decode(b"".join(windows), format).reshape(len(windows), -1)
            samples *= PCM_SCALE
            self._interpolations[format].convert(samples, frames[first : first + len(windows)])
            first += len(windows)
        return frames

    def _score(self, batch: list[VoiceStream], frames: Samples) -> list[float]:
        try:
            scores: list[float] = self.model.score([stream.slot for stream in batch], frames).tolist()
            return scores
        except Exception as error:  # noqa: BLE001 - the engine boundary
            if len(batch) == 1:
                batch[0].failed(error)
                return [0.0]  # a stream that goes on all the same takes the frame for silence, and keeps its place
        # One stream's fault must not fail the others: find out which stream it is.
        return [self._score([stream], frames[index : index + 1])[0] for index, stream in enumerate(batch)]
