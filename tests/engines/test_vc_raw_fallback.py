"""A conversion whose converter fails: the speaker's own audio in its place, position for position, without clicks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.engines.ports import ConversionSpec, EngineError, EngineRefused, Samples
from parley.engines.vc.raw_fallback import CONTEXT_MS, RETRY_MS, RawFallback, with_fallback
from parley.engines.vc.recent_audio import RecentAudio
from tests.engines.converters import RATE, SteeredConverter, largest_step, voice

PIECE = RATE // 50
AUDIO = voice(3.0)
BOUND = 2 * largest_step(AUDIO) + 2 / (0.005 * RATE)
"""What a seam may add: the steps of both sides, and the difference of two voices at full scale faded over 5 ms."""


async def converted(stream: RawFallback, audio: Samples, sizes: tuple[int, ...] = (PIECE,)) -> Samples:
    parts, fed, given, number = [], 0, 0, 0
    while fed < len(audio):
        size = sizes[number % len(sizes)]
        parts.append(await stream.convert(audio[fed : fed + size]))
        fed, number = min(len(audio), fed + size), number + 1
        given += len(parts[-1])
        assert fed - 960 <= given <= fed
    parts.append(await stream.finish())
    return np.concatenate(parts)


def failing_between(engine: SteeredConverter, begin: int, end: int) -> None:
    """It fails at its pieces number `begin` to `end`, and cannot be opened meanwhile."""
    pieces = iter(range(10_000))
    engine.failing = lambda: begin <= next(pieces) < end


async def test_a_failure_gives_the_raw_voice_and_conversion_comes_back_in_mid_stream() -> None:
    engine = SteeredConverter()
    failing_between(engine, 40, 41)
    stream = with_fallback(engine, ConversionSpec())
    made = await converted(stream, AUDIO)
    assert len(made) == len(AUDIO)
    assert (stream.interruptions, stream.restarts) == (1, 1)
    assert 0 < stream.raw_ms <= RETRY_MS
    lost_at = 40 * PIECE - 960
    back_at = lost_at + stream.raw_samples
    fade = round(0.005 * RATE)
    np.testing.assert_array_equal(made[:lost_at], -AUDIO[:lost_at])
    np.testing.assert_array_equal(made[lost_at + fade : back_at], AUDIO[lost_at + fade : back_at])
    np.testing.assert_array_equal(made[back_at + fade :], -AUDIO[back_at + fade :])
    assert largest_step(made) < BOUND
    assert engine.open_streams == 0


async def test_what_was_said_before_is_the_context_of_the_new_stream() -> None:
    engine = SteeredConverter()
    failing_between(engine, 100, 101)
    stream = with_fallback(engine, ConversionSpec(context=voice(5.0)))
    await converted(stream, AUDIO)
    assert engine.contexts == [5 * RATE, CONTEXT_MS * RATE // 1_000]


async def test_a_converter_that_is_away_is_asked_twice_a_second_of_audio() -> None:
    engine = SteeredConverter()
    asked: list[bool] = []

    def opening() -> bool:
        asked.append(False)
        return False

    engine.opening = opening
    stream = RawFallback(engine.open_stream, ConversionSpec(), RATE, 960)
    made = await converted(stream, AUDIO)
    np.testing.assert_array_equal(made, AUDIO)
    assert len(asked) <= 1 + 3_000 // RETRY_MS
    assert stream.raw_samples == len(AUDIO)


async def test_a_converter_that_is_known_to_be_back_is_opened_with_the_next_audio() -> None:
    engine = SteeredConverter()
    stream = with_fallback(engine, ConversionSpec())
    for count in range(50):
        await stream.convert(AUDIO[count * PIECE : (count + 1) * PIECE])
    stream.retry()
    assert engine.open_streams == 1, "a stream that works is left alone"
    engine.failing = lambda: True
    await stream.convert(AUDIO[:PIECE])
    engine.failing = lambda: False
    stream.retry()  # the failed stream was opened a second ago
    await stream.convert(AUDIO[:PIECE])
    engine.failing = lambda: True
    await stream.convert(AUDIO[:PIECE])
    engine.failing = lambda: False
    await stream.convert(AUDIO[:PIECE])
    assert engine.open_streams == 0, "it was opened two pieces ago"
    stream.retry()
    await stream.convert(AUDIO[:PIECE])
    assert engine.open_streams == 1
    stream.close()


async def test_a_wrong_voice_is_refused_and_not_given_raw() -> None:
    with pytest.raises(EngineRefused):
        with_fallback(SteeredConverter(), ConversionSpec("other"))


@pytest.mark.parametrize("given", [np.zeros(5_000, np.float32), np.full(10, np.nan, np.float32)])
async def test_audio_that_cannot_be_is_a_failure(given: Samples) -> None:
    class Wrong:
        async def convert(self, audio: Samples) -> Samples:
            return given

        async def finish(self) -> Samples:
            return given

        def close(self) -> None:
            return None

    stream = RawFallback(lambda spec: Wrong(), ConversionSpec(), RATE, 960)
    audio = voice(0.3)
    np.testing.assert_array_equal(await converted(stream, audio), audio)
    assert stream.interruptions == 1


async def test_a_converter_that_holds_everything_back_is_given_up() -> None:
    engine = SteeredConverter(latency_ms=10_000)
    stream = RawFallback(engine.open_stream, ConversionSpec(), RATE, 960)
    audio = voice(1.5)
    fed = given = 0
    while fed < len(audio):
        given += len(await stream.convert(audio[fed : fed + PIECE]))
        fed += PIECE
        assert fed - given <= 960 + RATE
    assert stream.interruptions == 1


async def test_after_close_nothing_is_given() -> None:
    engine = SteeredConverter()
    stream = with_fallback(engine, ConversionSpec())
    await stream.convert(AUDIO[:PIECE])
    stream.close()
    stream.close()
    assert engine.open_streams == 0
    with pytest.raises(EngineError, match="over"):
        await stream.convert(AUDIO[:PIECE])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.lists(st.integers(50, 3_000), min_size=1, max_size=5),
)
async def test_whatever_fails_the_time_line_is_kept_and_nothing_clicks(
    failures: list[bool], openings: list[bool], sizes: list[int]
) -> None:
    def run() -> RawFallback:
        engine = SteeredConverter()
        fails, opens = iter(failures), iter(openings)
        engine.failing = lambda: next(fails, False)
        engine.opening = lambda: next(opens, True)
        return with_fallback(engine, ConversionSpec())

    audio = AUDIO[:RATE]
    made = await converted(run(), audio, tuple(sizes))
    assert len(made) == len(audio)
    assert largest_step(made) < BOUND
    np.testing.assert_array_equal(made, await converted(run(), audio, tuple(sizes)))


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 5_000)), max_size=20))
def test_recent_audio_is_known_by_its_positions(steps: list[tuple[int, int]]) -> None:
    recent, whole = RecentAudio(), np.zeros(0, np.float32)
    for added, kept in steps:
        piece = np.arange(len(whole), len(whole) + added, dtype=np.float32)
        recent.append(piece)
        whole = np.concatenate([whole, piece])
        recent.forget(len(whole) - kept)
        assert recent.end == len(whole)
        assert recent.end - recent.start <= kept or kept == 0
        np.testing.assert_array_equal(recent.between(0, 1 << 30), whole[recent.start :])
        np.testing.assert_array_equal(recent.between(recent.start + 5, recent.start + 9), whole[recent.start :][5:9])
