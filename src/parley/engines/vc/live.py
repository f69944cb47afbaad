"""Conversion of a voice that is heard while it is spoken: as many samples out as in, at a delay that never changes.

Laws:
- The output is `latency` samples of silence, then what the input says, position for position: after each frame, exactly as many samples
  were given as were taken, and `flush()` gives the rest.
- Conversion runs in a task of its own. Where it is late, the speaker's own audio is given instead (`raw_blocks`), for `LEAST_RAW_MS` at
  least, and until the same stream has caught up with the output: what it makes of audio that was given meanwhile is dropped.
- Where it does not catch up in useful time, as `ConverterSpeed` says, what waits is dropped too, and a new stream goes on ahead of the
  output, after a stretch of a block; of a converter that is too slow the stretch doubles, up to `MOST_SKIPPED_MS`, until
  `SUCCESS_MS` of converted audio came in time. So the delay cannot grow, and the memory is that of `CONTEXT_MS` and the delay.
- A frame is waited for no longer than a block (`LEAST_PATIENCE_MS` at least), and only while all that was waited is less than the audio
  that came meanwhile; the time during which no frame waits counts for the converter. A sender ahead of real time waits as long as its
  lead, so it loses nothing to a converter that keeps up with real time.
- A converter that fails is replaced as `RawFallback` says.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from parley.engines.ports import ConversionSpec, EngineError, Samples, VoiceConverter
from parley.engines.vc.catching_up import ConverterSpeed
from parley.engines.vc.raw_fallback import CONTEXT_MS, RawFallback, latency_samples, with_fallback
from parley.engines.vc.recent_audio import RecentAudio
from parley.engines.vc.seams import Seams

LEAST_PATIENCE_MS: Final = 40.0
"""Two turns of a busy event loop: an engine that computes in its caller's turn declares a block of 0 ms."""

LEAST_PIECE_MS: Final = 20.0
"""So much is given to the converter at once where its block is shorter."""

LATE_PIECE_MS: Final = 100.0
"""So much is given at once to a converter that is late: on a busy machine each call waits for a turn, however short its audio is."""

LEAST_RAW_MS: Final = 40.0
"""A voice that changes more often than every syllable flickers."""

MOST_SKIPPED_MS: Final = 1_000.0
"""A converter that is too slow is tried again after this much audio."""

SUCCESS_MS: Final = 200.0
"""So much converted audio without a gap, and a converter is no longer taken for too slow."""

MOST_LEAD_S: Final = 1.0
"""A file that is sent at once is ahead by its length: but a converter that hangs is not waited for so long."""


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """What a live conversion measured since it began.

    `rtf_p50` and `rtf_p95`: computing time by the duration of the audio, over the last pieces of about 100 ms, 0 before the first.
    `behind_ms`: how far the converter is behind what it could have given. `raw_blocks`: blocks, of `LEAST_PIECE_MS` at least, that were
    given raw because they were late, begun ones included. `raw_ms`: all audio that was given raw, failures included. `restarts`: streams
    that were opened again, because the converter failed or did not catch up.
    """

    rtf_p50: float
    rtf_p95: float
    behind_ms: float
    raw_blocks: int
    raw_ms: float
    restarts: int


class LiveConversion:
    """Made on a running event loop, for an open converter; `close()` it there.

    Call either `exchange()`, from any thread, or `exchange_async()`, on the loop, with each frame: float32 `[n]` at `rate` Hz. One call
    at a time. `frame_ms` is the longest frame of `exchange()`: what is said in one is converted while the next is recorded, so the delay
    is no shorter than that. `clock` gives seconds and only goes forward. Raises `EngineRefused` (`unknown_voice`).
    """

    def __init__(
        self,
        converter: VoiceConverter,
        voice: str = "",
        share: object = None,
        *,
        frame_ms: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = converter.info.sample_rate
        self.block_ms = max(converter.block_ms, frame_ms)
        self.latency = latency_samples(converter) + self._samples(self.block_ms)
        """The delay in samples: what a stream of the converter holds back, and a block."""
        self.latency_ms = 1_000 * self.latency / self.rate
        self._converter = converter
        self._spec = ConversionSpec(voice, share)
        self._held_by_stream = latency_samples(converter)
        self._block = max(1, self._samples(self.block_ms))
        self._least_raw = self._samples(LEAST_RAW_MS)
        self._piece = self._samples(max(self.block_ms, LEAST_PIECE_MS))
        self._late_piece = max(self._piece, self._samples(LATE_PIECE_MS))
        self._patience_s = max(self.block_ms, LEAST_PATIENCE_MS) / 1_000
        self._clock = clock
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Event()
        self._progress = asyncio.Event()
        self._speed = ConverterSpeed(self.rate, self.block_ms)
        self._closed = False
        self._conversion: asyncio.Task[Samples] | None = None
        self._raw_blocks = self._raw_samples = self._restarts = 0
        self._round = 0
        self._stream: RawFallback | None = None
        self._reset(with_fallback(converter, self._spec))
        self._task = self._loop.create_task(self._convert())

    def _reset(self, stream: RawFallback | None) -> None:
        """Stand at the beginning of the time line. Positions count the input; the output is at `_given`, from `-latency` on."""
        self._retire(stream)
        self._round += 1  # conversions of an earlier one are dropped
        self._history = RecentAudio()
        self._ready = RecentAudio()  # converted audio that is not given yet
        self._seams = Seams(self.rate)
        self._given = -self.latency
        self._taken_from = self._taken = 0  # the stream was given the audio between these
        self._raw_until = 0
        self._counted_until = 0  # end of the last block that was counted as late
        self._late = False
        self._in_time = 0  # converted samples since the output was raw
        self._skipped = 0
        self._finishing = self._finished = False
        self._tokens_s = self._patience_s
        self._lead_s = 0.0  # audio that came ahead of real time
        self._idle_since = self._asked_at = self._clock()

    @property
    def figures(self) -> LiveFigures:
        with self._lock:
            stream = self._stream
            behind = self._history.end - self._held_by_stream - self._ready.end
            p50, p95 = self._speed.percentiles()
            return LiveFigures(
                p50,
                p95,
                1_000 * max(0, behind) / self.rate,
                self._raw_blocks,
                1_000 * self._raw_samples / self.rate + (stream.raw_ms if stream else 0),
                self._restarts + (stream.restarts if stream else 0),
            )

    def exchange(self, frame: Samples) -> Samples:
        """Take a frame; give as many samples at once, raw where the converter has not got so far. Never waits for it.

        Raises `EngineError` (`stream_closed`) after `close()`.
        """
        with self._lock:
            self._take(frame)
            given = self._give(len(frame))
        self._loop.call_soon_threadsafe(self._look)
        return given

    async def exchange_async(self, frame: Samples) -> Samples:
        """Take a frame; give as many samples, as soon as the converter has them or its time is over.

        Raises `EngineError` (`stream_closed`) after `close()`.
        """
        began = self._clock()
        length_s = len(frame) / self.rate
        most_s = max(self._patience_s, length_s)
        self._tokens_s = min(most_s, self._tokens_s + length_s + began - self._idle_since)
        self._lead_s = min(MOST_LEAD_S, max(0.0, self._lead_s - (began - self._asked_at))) + length_s
        self._asked_at = began
        with self._lock:
            self._take(frame)
            needed = self._given + len(frame)
            hopeless = self._raw_until >= needed
        self._look()
        await asyncio.sleep(0)  # the converter has its turn, however short the frames are
        waits = self._clock()
        if not hopeless:
            await self._wait_for(needed, max(self._tokens_s, self._lead_s))
        self._idle_since = self._clock()
        self._tokens_s = max(0.0, self._tokens_s - (self._idle_since - waits))
        with self._lock:
            self._check()
            given = self._give(len(frame))
        self._look()
        return given

    async def flush(self) -> Samples:
        """Give everything that is held back, and begin anew: silence follows again, then what comes next.

        Silence and the input have then been given, and nothing more; nothing where there was no input. Waits as long as the delay.
        """
        with self._lock:
            self._check()
            end = self._history.end
            self._finishing = True
        if end:
            self._look()
            await self._wait_for(end, self.latency / self.rate + self._patience_s)
        with self._lock:
            self._check()
            rest = self._give(self.latency) if end else np.zeros(0, np.float32)
            self._reset(None)
        self._look()
        return rest

    def close(self) -> None:
        """End it at once; idempotent. Call it on the loop."""
        with self._lock:
            self._closed = True
            self._retire(None)
            self._history, self._ready = RecentAudio(), RecentAudio()
        self._task.cancel()
        if self._conversion is not None:
            self._conversion.cancel()
        self._progress.set()

    # --- both sides, under the lock ---

    def _take(self, frame: Samples) -> None:
        self._check()
        self._history.append(np.asarray(frame, np.float32))

    def _give(self, count: int) -> Samples:
        parts = [np.zeros(max(0, min(count, -self._given)), np.float32)]
        at, end = self._given + len(parts[0]), self._given + count
        if at < end:
            parts.append(self._raw(at, min(end, self._raw_until)))
            at += len(parts[-1])
            if not self._late or self._ready.end >= min(end, at + self._least_raw):
                parts.append(self._converted(at, min(end, self._ready.end)))
                at += len(parts[-1])
        if at < end:
            self._late = True
            self._raw_until = max(end, at + self._least_raw)
            parts.append(self._raw(at, end))
        self._given = end
        # A stream that was put ahead and had no success yet is let be: the next one would have to hear its context as well.
        if not self._finishing and not self._speed.catches_up(end - self._ready.end, some_time=self._skipped > 0):
            self._skip()
        self._ready.forget(max(end, self._raw_until))
        self._history.forget(end - self._samples(CONTEXT_MS))
        return np.concatenate(parts)

    def _raw(self, begin: int, end: int) -> Samples:
        if begin >= end:
            return np.zeros(0, np.float32)
        self._in_time = 0
        self._raw_samples += end - begin
        uncounted = end - max(begin, self._counted_until)
        if uncounted > 0:
            blocks = -(-uncounted // self._piece)
            self._raw_blocks += blocks
            self._counted_until = max(begin, self._counted_until) + blocks * self._piece
        return self._seams.raw(self._history.between(begin, end), self._history.sample(begin - 1))

    def _converted(self, begin: int, end: int) -> Samples:
        if begin >= end:
            return np.zeros(0, np.float32)
        self._late = False
        self._in_time += end - begin
        if self._in_time >= self._samples(SUCCESS_MS):
            self._skipped = 0
        return self._seams.converted(self._ready.between(begin, end), self._history.between(begin, end))

    def _skip(self) -> None:
        """It does not catch up: drop what waits, and go on ahead of the output."""
        silent = self._ready.end <= self._taken_from  # nothing came of this stream
        doubled = 2 * self._skipped if silent or self._speed.too_slow else 0
        self._skipped = min(max(self._block, self._least_raw, doubled), self._samples(MOST_SKIPPED_MS))
        start = self._given + self._skipped
        self._raw_until = max(self._raw_until, start)
        self._retire(None)
        self._speed.begin_stream()
        self._round += 1
        self._restarts += 1
        self._taken = self._taken_from = start
        self._ready = RecentAudio(start)

    def _retire(self, successor: RawFallback | None) -> None:
        stream, self._stream = self._stream, successor
        if stream is not None:
            self._raw_samples += stream.raw_samples
            self._restarts += stream.restarts
            self._loop.call_soon_threadsafe(stream.close)

    def _check(self) -> None:
        if self._closed:
            raise EngineError("This conversion is over.", code="stream_closed")

    def _samples(self, milliseconds: float) -> int:
        return round(milliseconds * self.rate / 1_000)

    # --- on the loop ---

    def _look(self) -> None:
        """There may be something to convert, or something that need not be converted any more."""
        conversion = self._conversion
        if conversion is not None and conversion.get_name() != str(self._round):
            conversion.cancel()
        self._work.set()

    async def _wait_for(self, position: int, limit_s: float) -> None:
        """Until the converter has got there, or the time is over. A result that came in the same turn counts."""
        deadline = self._loop.time() + limit_s
        while not self._closed and self._ready.end < position and not self._finished:
            remaining_s = deadline - self._loop.time()
            if remaining_s <= 0:
                return
            self._progress.clear()
            try:
                async with asyncio.timeout(remaining_s):
                    await self._progress.wait()
            except TimeoutError:
                continue

    async def _convert(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while (piece := self._next_piece()) is not None:
                await self._run(*piece)

    def _next_piece(self) -> tuple[int, RawFallback, Samples, bool] | None:
        """What to convert next: the round, the stream, the audio, and whether it is the end."""
        with self._lock:
            if self._closed or self._finished:
                return None
            most = self._late_piece if self._late else self._piece
            audio = self._history.between(self._taken, min(self._history.end, self._taken + most))
            finish = self._finishing and self._taken + len(audio) >= self._history.end
            if not len(audio) and not (finish and self._history.end):
                return None
            if self._stream is None:
                context = self._history.between(self._taken - self._samples(CONTEXT_MS), self._taken)
                spec = ConversionSpec(self._spec.voice, self._spec.share, context if len(context) else None)
                self._stream = with_fallback(self._converter, spec, known=True)
            self._taken += len(audio)
            return self._round, self._stream, audio, finish

    async def _run(self, number: int, stream: RawFallback, audio: Samples, finish: bool) -> None:
        began = self._clock()
        self._conversion = self._loop.create_task(_converted(stream, audio, finish), name=str(number))
        try:
            await asyncio.wait([self._conversion])
            cancelled = self._conversion.cancelled()
            error = None if cancelled else self._conversion.exception()
        finally:
            conversion, self._conversion = self._conversion, None
            conversion.cancel()
        if not cancelled and error is not None and not isinstance(error, EngineError):
            raise error
        with self._lock:
            if number == self._round and not cancelled and error is None:
                self._speed.add(len(audio), self._clock() - began)
                self._ready.append(conversion.result())
                self._ready.forget(max(self._given, self._raw_until))
                self._finished = finish
        self._progress.set()


async def _converted(stream: RawFallback, audio: Samples, finish: bool) -> Samples:
    parts = [await stream.convert(audio)] if len(audio) else [np.zeros(0, np.float32)]
    if finish:
        parts.append(await stream.finish())
    return np.concatenate(parts)
