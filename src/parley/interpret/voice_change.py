"""The translation in another voice, on its way from the link to the loudspeaker.

Laws:
- Order is kept; what waits is bounded. A converter that fails costs the other voice of that stretch of speech, never the speech.
- A stretch ends when no audio has come for `QUIET_S`; what the converter held back is then let go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import numpy as np

from parley.audio import pcm
from parley.audio.resampling import Resampler
from parley.audio.types import Int16, Samples
from parley.engines.ports import EngineError, VoiceConverter
from parley.interpret.ports import WIRE_RATE
from parley.runtime.conversion import ClauseConversion, SpokenBefore

QUIET_S: Final = 0.25
MOST_S: Final = 20.0
"""Audio that waits for the converter. Beyond that it is too slow, and all that waits is played as it is."""

HANGING_S: Final = 10.0
"""A converter that takes so long for a piece has failed."""


class VoiceChange:
    """Call `push()` for each piece; `deliver(audio, until_s)` gets the converted ones. `run()` converts until it is cancelled."""

    def __init__(
        self,
        converter: VoiceConverter,
        voice: str,
        deliver: Callable[[Int16, float | None], None],
        on_failure: Callable[[str], None],
        on_converted: Callable[[float, float], None],
    ) -> None:
        self._converter = converter
        self.voice = voice
        """The profile that is spoken in; a change holds from the next stretch on."""
        self._deliver = deliver
        self._on_failure = on_failure
        self._on_converted = on_converted
        self._queue: asyncio.Queue[tuple[Int16, float | None]] = asyncio.Queue()
        self._waiting_s = 0.0
        self._before = SpokenBefore(converter.info.sample_rate)
        self._share = object()
        self._failing = False
        self._overfull = False
        """Whether what waits is to be played unconverted."""

    @property
    def latency_ms(self) -> float:
        """What the converter holds back."""
        return self._converter.latency_ms

    def push(self, audio: Int16, until_s: float | None) -> None:
        """More of the translation, int16 `[n]` at 24 kHz."""
        self._waiting_s += len(audio) / WIRE_RATE
        self._overfull = self._overfull or self._waiting_s > MOST_S
        self._queue.put_nowait((audio, until_s))

    async def run(self) -> None:
        """Convert one stretch after another."""
        while True:
            audio, until_s = await self._next(None)
            if self._overfull:
                self._failed("It is slower than the speech.")
                self._deliver(audio, until_s)
                self._overfull = not self._queue.empty()
                continue
            try:
                await self._stretch(audio, until_s)
                self._failing = False
            except EngineError as error:
                self._failed(error.message)

    def _failed(self, why: str) -> None:
        """Say so once, until a stretch succeeds."""
        if not self._failing:
            self._on_failure(why)
        self._failing = True

    async def _next(self, timeout_s: float | None) -> tuple[Int16, float | None]:
        async with asyncio.timeout(timeout_s):
            audio, until_s = await self._queue.get()
        self._waiting_s -= len(audio) / WIRE_RATE
        return audio, until_s

    async def _stretch(self, audio: Int16, until_s: float | None) -> None:
        """From the first audio to the silence behind it. Raises `EngineError`, when what could not be converted has been delivered."""
        rate = self._converter.info.sample_rate
        conversion = ClauseConversion(self._converter, self.voice, self._share, self._before)
        back = Resampler(rate, WIRE_RATE, "HQ")
        missing = np.zeros(0, np.int16)
        try:
            while True:
                missing = np.concatenate([missing, audio])
                started_s = time.perf_counter()
                ready = await _in_time(conversion.push(pcm.to_float(audio), WIRE_RATE))
                if self._overfull:
                    raise EngineError("It is slower than the speech.", code="converter_late")
                self._on_converted(len(audio) / WIRE_RATE, time.perf_counter() - started_s)
                made = back.push(ready)
                missing = missing[len(made) :]
                self._give(made, until_s)
                try:
                    audio, until_s = await self._next(QUIET_S)
                except TimeoutError:
                    break
            self._give(np.concatenate([back.push(await _in_time(conversion.finish())), back.finish()]), until_s)
        except EngineError:
            # What went in and did not come out, unconverted: a converter may hold back more than the last piece.
            if len(missing):
                self._deliver(missing, until_s)
            raise
        finally:
            conversion.close()

    def _give(self, audio: np.ndarray[tuple[int], np.dtype[np.float32]], until_s: float | None) -> None:
        if len(audio):
            self._deliver(pcm.to_int16(audio), until_s)


async def _in_time(converting: Awaitable[Samples]) -> Samples:
    """What is converted. Raises `EngineError`, also where that takes longer than `HANGING_S`."""
    try:
        async with asyncio.timeout(HANGING_S):
            return await converting
    except TimeoutError as error:
        raise EngineError(f"It has not answered for {HANGING_S:.0f} s.", code="converter_hangs") from error
