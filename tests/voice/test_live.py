"""Conversion of a voice that is heard while it is spoken: a constant delay, and the own voice where the converter is late."""

from __future__ import annotations

import asyncio
import random
import threading

import numpy as np
import pytest

from parley.engines.ports import EngineError, EngineRefused, Samples
from parley.engines.vc.bench import BenchConverter
from parley.engines.vc.live import LiveConversion
from tests.engines.converters import RATE, SteeredConverter, largest_step, voice

FRAME = RATE // 50
STEP = 2 * largest_step(voice(1.0)) + 2 / (0.005 * RATE)


async def exchanged(live: LiveConversion, audio: Samples, size: int = FRAME) -> Samples:
    """What `exchange_async()` and `flush()` make of it, each frame checked."""
    parts = []
    for at in range(0, len(audio), size):
        frame = audio[at : at + size]
        parts.append(await live.exchange_async(frame))
        assert len(parts[-1]) == len(frame)
    parts.append(await live.flush())
    return np.concatenate(parts)


@pytest.mark.parametrize("size", [1, 160, FRAME, 1_777, 2 * RATE])
async def test_the_output_is_the_stated_silence_and_then_the_input_converted(size: int) -> None:
    live = LiveConversion(SteeredConverter(latency_ms=40, block_ms=20))
    assert live.latency_ms == 60
    audio = voice(0.1 if size == 1 else 2.0)
    made = await exchanged(live, audio, size)
    np.testing.assert_array_equal(made, np.concatenate([np.zeros(1_440, np.float32), -audio]))
    live.close()


async def test_after_a_flush_it_begins_anew() -> None:
    live = LiveConversion(SteeredConverter())
    audio = voice(0.3)
    first = await exchanged(live, audio)
    assert len(await live.flush()) == 0, "nothing was said, so nothing is held back"
    np.testing.assert_array_equal(await exchanged(live, audio), first)
    short = await exchanged(live, audio[:100])
    np.testing.assert_array_equal(short, np.concatenate([np.zeros(live.latency, np.float32), -audio[:100]]))
    live.close()


async def test_a_fast_sender_loses_nothing_to_a_converter_that_keeps_up() -> None:
    live = LiveConversion(SteeredConverter(work_s=0.3))
    audio = voice(1.5)
    made = await exchanged(live, audio)
    np.testing.assert_array_equal(made[live.latency :], -audio)
    assert live.figures.raw_blocks == 0
    assert 0.25 < live.figures.rtf_p50 < 1
    live.close()


async def test_a_late_block_is_raw_and_the_next_ones_are_converted() -> None:
    engine = SteeredConverter()
    live = LiveConversion(engine)
    audio = voice(2.0)
    parts = [await live.exchange_async(audio[at : at + FRAME]) for at in range(0, RATE, FRAME)]
    engine.gate.clear()
    late = RATE
    while not live.figures.raw_blocks:
        parts.append(await live.exchange_async(audio[late : late + FRAME]))
        late += FRAME
    engine.gate.set()
    parts.append(await exchanged(live, audio[late:]))
    made = np.concatenate(parts)[live.latency :]
    assert len(made) == len(audio)
    raw = np.isclose(made, audio, atol=1e-6) & (np.abs(audio) > 0.01)
    assert 0 < raw.sum() <= 4 * FRAME, "a block or two, and not more"
    assert largest_step(made) < STEP
    np.testing.assert_array_equal(made[-RATE // 2 :], -audio[-RATE // 2 :])
    live.close()


async def test_a_converter_slower_than_real_time_keeps_the_delay_and_the_memory() -> None:
    """Ten minutes of it, faster than real time: each exchange gives its frame, at the same delay."""
    engine = SteeredConverter()
    live = LiveConversion(engine)
    engine.gate.clear()
    audio = voice(20.0)
    made = []
    for _ in range(30):
        for at in range(0, len(audio), 12_000):
            made.append(live.exchange(audio[at : at + 12_000]))
            await asyncio.sleep(0)
    whole = np.concatenate(made)
    assert len(whole) == 30 * len(audio)
    repeated = np.concatenate([np.zeros(live.latency, np.float32), *[audio] * 30])[: len(whole)]
    np.testing.assert_array_equal(whole, repeated)
    assert engine.open_streams <= 2
    assert live._history.end - live._history.start <= 4 * RATE
    assert live._ready.end - live._ready.start <= RATE
    engine.gate.set()
    back = await exchanged(live, audio[: 4 * RATE])
    np.testing.assert_array_equal(back[-RATE:], -audio[3 * RATE : 4 * RATE])
    live.close()


async def test_work_that_takes_longer_than_its_audio_is_mostly_raw_and_never_later() -> None:
    live = LiveConversion(BenchConverter(latency_ms=20, work_ms=60, block_ms=20))
    audio = voice(4.0)
    made = await exchanged(live, audio)
    assert len(made) == len(audio) + live.latency
    raw = np.isclose(made[live.latency :], audio, atol=1e-6)
    assert raw.mean() > 0.8
    assert live.figures.raw_ms > 3_000
    live.close()


async def test_a_device_is_never_kept_waiting_and_gets_the_converted_voice() -> None:
    live = LiveConversion(SteeredConverter(block_ms=0), frame_ms=20)
    assert live.latency_ms == 60
    audio = voice(1.0)
    parts: list[Samples] = []
    computed = threading.Event()

    def device() -> None:
        for at in range(0, len(audio), FRAME):
            parts.append(live.exchange(audio[at : at + FRAME]))
            computed.clear()
            loop.call_soon_threadsafe(look)
            assert computed.wait(10)

    def look() -> None:  # a device comes again when the converter is through with a frame
        if live.figures.behind_ms:
            loop.call_later(0.001, look)
        else:
            computed.set()

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(device)
    parts.append(await live.flush())
    np.testing.assert_array_equal(np.concatenate(parts)[live.latency :], -audio)
    live.close()


async def test_a_device_whose_converter_has_nothing_gets_the_raw_voice_at_once() -> None:
    engine = SteeredConverter()
    engine.gate.clear()
    live = LiveConversion(engine)
    audio = voice(1.0)
    made = np.concatenate([live.exchange(audio[at : at + FRAME]) for at in range(0, len(audio), FRAME)])
    np.testing.assert_array_equal(made[live.latency :], audio[: -live.latency])
    live.close()


async def test_a_converter_that_fails_is_heard_again_later() -> None:
    engine = SteeredConverter()
    pieces = iter(range(10_000))
    engine.failing = lambda: next(pieces) == 50
    live = LiveConversion(engine)
    audio = voice(3.0)
    made = (await exchanged(live, audio))[live.latency :]
    assert len(made) == len(audio)
    assert largest_step(made) < STEP
    assert live.figures.restarts == 1
    assert 0 < live.figures.raw_ms <= 520
    np.testing.assert_array_equal(made[-RATE:], -audio[-RATE:])
    live.close()


async def test_a_wrong_voice_is_refused_and_the_end_is_clean() -> None:
    engine = SteeredConverter()
    with pytest.raises(EngineRefused):
        LiveConversion(engine, "other")
    live = LiveConversion(engine)
    await live.exchange_async(voice(0.1))
    live.close()
    live.close()
    with pytest.raises(EngineError):
        live.exchange(voice(0.1))
    with pytest.raises(EngineError):
        await live.exchange_async(voice(0.1))
    await asyncio.sleep(0)
    assert engine.open_streams == 0
    assert asyncio.all_tasks() == {asyncio.current_task()} or all(
        task.cancelling() for task in asyncio.all_tasks() - {asyncio.current_task()}
    )


async def test_a_close_ends_an_exchange_that_waits() -> None:
    engine = SteeredConverter(latency_ms=0, block_ms=1_000)
    engine.gate.clear()
    live = LiveConversion(engine)
    await live.exchange_async(voice(0.99))
    waiting = asyncio.create_task(live.exchange_async(voice(0.5)))
    await asyncio.sleep(0)  # it waits for what is computed
    live.close()
    with pytest.raises(EngineError):
        await waiting


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_fails_stalls_and_comes_back_the_delay_stays_and_nothing_clicks(seed: int) -> None:
    chance = random.Random(seed)
    engine = SteeredConverter(latency_ms=chance.choice([0, 10, 150]), block_ms=chance.choice([0, 20, 100]))
    engine.failing = lambda: chance.random() < 0.01
    engine.opening = lambda: chance.random() < 0.7
    live = LiveConversion(engine)
    audio, at, begin, parts = voice(3.0), 0, 0, [np.zeros(0, np.float32)]
    while at < len(audio):
        frame = audio[at : at + chance.choice([1, 37, 240, 480, 480, 5_000])]
        exchange = live.exchange_async(frame) if chance.random() < 0.7 else asyncio.to_thread(live.exchange, frame)
        parts.append(await exchange)
        assert len(parts[-1]) == len(frame)
        at += len(frame)
        engine.gate.set() if chance.random() < 0.8 else engine.gate.clear()
        if at == len(audio) or chance.random() < 0.01:
            made = np.concatenate([*parts, await live.flush()])
            said, parts, begin = audio[begin:at], [np.zeros(0, np.float32)], at
            assert len(made) == live.latency + len(said)
            assert not made[: live.latency].any()
            heard = made[live.latency :]
            assert (np.abs(heard) <= np.abs(said) + 0.02).mean() > 0.9, "raw, converted, or between the two"
            assert largest_step(heard) < STEP
    live.close()
    await asyncio.sleep(0)
    assert engine.open_streams == 0
