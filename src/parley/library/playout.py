"""The output of a reply's audio: pulled by the time of the samples, or pushed into a sink in real time.

Laws: audio reported as played has gone out, to the sample; stopped audio never goes out; a sink that refuses audio is an error at
once. `runtime/generation` bounds what waits here, because it bounds how far it generates ahead.
"""

from __future__ import annotations

import asyncio
import inspect
import queue
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.audio.resampling import Int16Resampler
from parley.core.words.effects import Play
from parley.core.words.limits import SAMPLE_RATE
from parley.library import checks
from parley.library.errors import SinkRefused

BLOCK_MS = 20
"""Length of one block of audio for a sink."""

LEAD_MS = 60
"""How far ahead of real time a sink is filled: what a device needs so as not to run dry, and what an interruption takes back late."""

SINK_TIMEOUT_S = 10.0
"""A sink that keeps 20 ms of audio waiting for so long is stuck."""

Int16 = NDArray[np.int16]
Sink = Callable[[Int16], int | Awaitable[int | None] | None] | asyncio.Queue[Int16] | queue.Queue[Int16] | list[Int16]
"""Takes int16 samples `[n]` at the session's `output_rate`. A function may say how many it took (None: all), and may be asynchronous;
a queue takes each block with `put_nowait`, a list with `append`."""


def check_sink(sink: object) -> None:
    """Raises `LibraryError` for an object that is not a sink."""
    checks.no_class("sink", sink)
    if sink is not None and not callable(sink) and not isinstance(sink, asyncio.Queue | queue.Queue | list):
        raise checks.refused("sink", sink, "Give a function, a queue or a list.")
    if (stop := getattr(sink, "stop", None)) is not None:
        checks.asked_at_once("sink.stop", stop)


def _unheard(count: int, audio: Int16) -> None:
    """Replaces the audio counter after the call has ended."""


class PlayoutBuffer:
    """The queue of a reply's audio, and its conversion to the output rate."""

    def __init__(self, output_rate: int) -> None:
        self.output_rate = output_rate
        self._queued = bytearray()
        self._resampler = Int16Resampler(SAMPLE_RATE, output_rate, "HQ")

    @property
    def empty(self) -> bool:
        return not self._queued

    def play(self, effect: Play) -> None:
        """More audio (PCM16, 24 kHz)."""
        self._queued += effect.audio

    def stop(self) -> None:
        """Silence, now."""
        self._queued.clear()
        self._resampler.reset()

    def take(self, samples: int) -> tuple[int, Int16]:
        """At most `samples` (24 kHz) go out; returns how many did, and their audio at `output_rate`."""
        data = bytes(self._queued[: 2 * samples])
        del self._queued[: len(data)]
        out = self._resampler.push(np.frombuffer(data, "<i2").astype(np.int16, copy=False))
        if data and not self._queued:
            out = np.concatenate([out, self._resampler.finish()])
        return len(data) // 2, out


class SinkLoudspeaker(PlayoutBuffer):
    """Fills a sink in real time. Run `serve()` as a task."""

    def __init__(self, output_rate: int, sink: Sink | None) -> None:
        super().__init__(output_rate)
        self._sink = sink
        self._news = asyncio.Event()
        self._silent = asyncio.Event()
        self._silent.set()
        self._fault: Exception | None = None
        """What the sink's `stop` has raised."""

    def play(self, effect: Play) -> None:
        super().play(effect)
        self._silent.clear()
        self._news.set()

    def stop(self) -> None:
        super().stop()
        stop = getattr(self._sink, "stop", None)
        if stop is None:
            return
        try:
            stop()
        except Exception as error:  # noqa: BLE001 - raised where the sink is served, as what the sink itself raises is
            self._fault = error
            self._news.set()

    def let_go(self) -> None:
        """The call is over: drop references to it."""
        self._played = _unheard

    async def silent(self) -> None:
        """Wait until all has gone out."""
        await self._silent.wait()

    async def serve(self, played: Callable[[int, Int16], None]) -> None:
        """Never ends by itself; `played` gets what has gone out. Raises `SinkRefused`, and what the sink raises."""
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            if self._fault is not None:
                raise self._fault
            if self.empty:
                self._silent.set()
                self._news.clear()
                await self._news.wait()
                continue
            now = loop.time()
            due = max(due, now)
            if due - now > LEAD_MS / 1000:
                await asyncio.sleep(due - now - LEAD_MS / 1000)
                continue
            count, audio = self.take(SAMPLE_RATE * BLOCK_MS // 1000)
            if count:
                await self._give(audio)
                due += count / SAMPLE_RATE
                played(count, audio)

    async def _give(self, audio: Int16) -> None:
        if self._sink is None or not len(audio):
            return
        if isinstance(self._sink, list):
            self._sink.append(audio)
            return
        if isinstance(self._sink, asyncio.Queue | queue.Queue):
            try:
                self._sink.put_nowait(audio)
            except (asyncio.QueueFull, queue.Full) as error:
                raise SinkRefused("The sink's queue is full.", remedy="Read from it, or make it larger.") from error
            return
        taken: Any = self._sink(audio)
        if inspect.isawaitable(taken):
            try:
                async with asyncio.timeout(SINK_TIMEOUT_S):
                    taken = await taken
            except TimeoutError as error:
                raise SinkRefused(
                    f"The sink took nothing for {SINK_TIMEOUT_S:g} seconds.", remedy="Find out what it waits for."
                ) from error
        if taken is not None and taken != len(audio):
            raise SinkRefused(
                f"The sink took {taken} of {len(audio)} samples.",
                remedy="Have it accept every block, or wait (as an async function) until it can.",
            )
