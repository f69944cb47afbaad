"""The other voice of a translation: in order, as long as what went in, and never at the cost of the speech."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import numpy as np

from parley.audio.types import Int16, Samples
from parley.engines.ports import EngineError
from parley.engines.vc.bench import BenchConverter
from parley.interpret.voice_change import VoiceChange

PIECE = 480


class _FailsLate(BenchConverter):
    """A converter that holds everything back and fails with the piece of that number; 0: at the end."""

    fails_at = 0

    def open_stream(self, spec: object) -> object:  # type: ignore[override]
        fails_at = self.fails_at

        class Stream:
            pieces = 0

            async def convert(self, audio: Samples) -> Samples:
                self.pieces += 1
                if self.pieces == fails_at:
                    raise EngineError("It is broken.", code="broken")
                return np.zeros(0, np.float32)

            async def finish(self) -> Samples:
                raise EngineError("It is broken.", code="broken")

            def close(self) -> None: ...

        return Stream()


class _Told:
    def __init__(self) -> None:
        self.pieces: list[tuple[Int16, float | None]] = []
        self.failures: list[str] = []
        self.converted_s = 0.0

    @property
    def audio(self) -> Int16:
        return np.concatenate([*(piece for piece, _ in self.pieces), np.zeros(0, np.int16)])

    def converted(self, audio_s: float, took_s: float) -> None:
        self.converted_s += audio_s

    async def until(self, samples: int) -> None:
        async with asyncio.timeout(20):
            while len(self.audio) < samples:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def changing(converter: BenchConverter) -> AsyncIterator[tuple[VoiceChange, _Told]]:
    told = _Told()
    await converter.open()
    change = VoiceChange(
        converter, "", lambda audio, at: told.pieces.append((audio, at)), told.failures.append, told.converted
    )
    task = asyncio.create_task(change.run())
    try:
        yield change, told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await converter.close()


async def test_what_a_failing_converter_held_back_of_many_pieces_is_spoken_unconverted() -> None:
    speech = np.arange(10 * PIECE, dtype=np.int16)
    for fails_at in (0, 1, 7):
        converter = _FailsLate(50, 0)
        converter.fails_at = fails_at
        async with changing(converter) as (change, told):
            for begin in range(0, len(speech), PIECE):
                change.push(speech[begin : begin + PIECE], begin / 1000)
            await told.until(len(speech))
            assert np.array_equal(told.audio, speech)
            # Until one stretch succeeds, a failure is said once.
            assert told.failures == ["It is broken."]


async def test_a_stretch_comes_out_as_long_as_it_went_in_and_in_order() -> None:
    async with changing(BenchConverter(50, 0)) as (change, told):
        for number in range(20):
            change.push(np.full(PIECE, 1_000, np.int16), float(number))
        await told.until(20 * PIECE)
        assert len(told.audio) == 20 * PIECE
        positions = [at for _, at in told.pieces if at is not None]
        assert positions == sorted(positions)
        assert positions[-1] == 19.0
        assert round(told.converted_s, 3) == 0.4
        assert told.failures == []


class _Hangs(BenchConverter):
    """A converter that answers when `answers` is set."""

    answers: asyncio.Event

    def open_stream(self, spec: object) -> object:  # type: ignore[override]
        answers = self.answers

        class Stream:
            async def convert(self, audio: Samples) -> Samples:
                await answers.wait()
                return np.zeros(0, np.float32)

            async def finish(self) -> Samples:
                return np.zeros(0, np.float32)

            def close(self) -> None: ...

        return Stream()


async def test_a_converter_that_is_slower_than_the_speech_is_passed_by_in_order() -> None:
    speech = np.repeat(np.arange(100, 125, dtype=np.int16), 24_000)
    converter = _Hangs(50, 0)
    converter.answers = asyncio.Event()
    async with changing(converter) as (change, told):
        for begin in range(0, len(speech), 24_000):
            change.push(speech[begin : begin + 24_000], begin / 24_000)
        await asyncio.sleep(0)
        converter.answers.set()
        await told.until(len(speech))
        assert np.array_equal(told.audio, speech)
        assert told.failures == ["It is slower than the speech."]
