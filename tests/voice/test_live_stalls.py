"""A live voice whose converter, or whose machine, stands still now and then: what that costs of the converted voice, in simulated time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.engines.ports import Samples
from parley.engines.vc.live import LiveConversion, LiveFigures
from tests.engines.converters import RATE, SteeredConverter, largest_step, voice
from tests.voice.simulated_loop import simulate

PIECE = RATE // 100
STEP = 2 * largest_step(voice(1.0)) + 2 / (0.005 * RATE)


@dataclass(frozen=True, slots=True)
class Run:
    """What was said, what was heard of it without the delay, and the figures. `streams`: how many were opened."""

    said: Samples
    heard: Samples
    figures: LiveFigures
    streams: int
    most_kept: int

    @property
    def raw(self) -> NDArray[np.bool_]:
        """Where the voice is not the converted one, where that can be told."""
        raw: NDArray[np.bool_] = np.abs(self.heard + self.said) > 1e-6
        return raw


def live_run(
    stalls: list[tuple[float, float]],
    seconds: float,
    *,
    latency_ms: float,
    block_ms: float,
    rtf: float,
    frame_ms: float = 0.0,
) -> Run:
    """A device gives 10 ms each 10 ms, while the converter stands still at the given times, for so many seconds each."""

    async def run() -> Run:
        loop = asyncio.get_running_loop()
        engine = SteeredConverter(latency_ms=latency_ms, block_ms=block_ms, work_s=rtf)
        engine.learn_s = rtf / 2
        live = LiveConversion(engine, frame_ms=frame_ms, clock=loop.time)
        assert live.latency_ms == latency_ms + max(block_ms, frame_ms)
        for at_s, for_s in stalls:
            loop.call_at(at_s, engine.gate.clear)
            loop.call_at(at_s + for_s, engine.gate.set)
        said, parts, kept = voice(seconds), [], 0
        for at in range(0, len(said), PIECE):
            await asyncio.sleep((at + PIECE) / RATE - loop.time())
            parts.append(live.exchange(said[at : at + PIECE]))
            assert len(parts[-1]) == PIECE
            kept = max(kept, live._history.end - live._history.start, live._ready.end - live._ready.start)
        heard = np.concatenate(parts)
        assert not heard[: live.latency].any()
        figures = live.figures
        live.close()
        return Run(said[: -live.latency], heard[live.latency :], figures, len(engine.contexts), kept)

    return simulate(run())


ENGINES = pytest.mark.parametrize(
    ("latency_ms", "block_ms", "frame_ms"),
    [(50.0, 10.0, 0.0), (50.0, 10.0, 30.0), (40.0, 0.0, 10.0), (245.0, 200.0, 0.0)],
    ids=["vocoder", "vocoder with slack", "no block", "rvc"],
)


@ENGINES
@pytest.mark.parametrize("rtf", [0.0, 0.15, 0.4])
@pytest.mark.parametrize("stall_ms", [30, 80, 200, 600])
def test_a_stall_costs_its_length_and_little_more(
    stall_ms: int, rtf: float, latency_ms: float, block_ms: float, frame_ms: float
) -> None:
    run = live_run(
        [(2.003, stall_ms / 1_000)], 5.0, latency_ms=latency_ms, block_ms=block_ms, frame_ms=frame_ms, rtf=rtf
    )
    at = np.flatnonzero(run.raw)
    most_ms = stall_ms + 150 if rtf < 0.3 else stall_ms / (1 - rtf) + 150
    assert run.figures.raw_ms <= most_ms
    assert len(at) * 1_000 <= (most_ms + 10) * RATE, "the seams included"
    if len(at):
        assert (at[-1] - at[0]) * 1_000 <= (most_ms + 10) * RATE, "it is over when it is over"
    assert (run.streams, run.figures.restarts) == (1, 0), "the same stream goes on"
    assert largest_step(run.heard) < STEP


@pytest.mark.parametrize("stall_ms", [30, 80, 200, 600])
def test_a_client_is_answered_in_time_and_hears_no_more_of_a_stall(stall_ms: int) -> None:
    """The same for a client of a server, whose frames wait a moment for the converter."""

    async def run() -> tuple[float, float, int]:
        loop = asyncio.get_running_loop()
        engine = SteeredConverter(latency_ms=50, block_ms=10, work_s=0.15)
        engine.learn_s = 0.1
        live = LiveConversion(engine, clock=loop.time)
        loop.call_at(2.003, engine.gate.clear)
        loop.call_at(2.003 + stall_ms / 1_000, engine.gate.set)
        said, latest_s = voice(5.0), 0.0
        for at in range(0, len(said), 2 * PIECE):
            due_s = (at + 2 * PIECE) / RATE
            await asyncio.sleep(due_s - loop.time())
            assert len(await live.exchange_async(said[at : at + 2 * PIECE])) == 2 * PIECE
            latest_s = max(latest_s, loop.time() - due_s)
        raw_ms = live.figures.raw_ms
        live.close()
        return latest_s, raw_ms, len(engine.contexts)

    latest_s, raw_ms, streams = simulate(run())
    assert latest_s < 0.065, "it waits for no longer than its patience and a frame"
    assert raw_ms <= stall_ms + 150
    assert streams == 1


def test_a_stream_that_was_put_ahead_has_the_time_to_hear_its_context() -> None:
    """At this load the context alone takes 0.8 s: a stream that is judged by that is dropped for the next one, for good."""
    run = live_run([(2.0, 1.3)], 12.0, latency_ms=50, block_ms=10, rtf=0.5)
    assert run.figures.restarts == 1
    assert not run.raw[-2 * RATE :].any()


@ENGINES
def test_stalls_again_and_again_cost_no_more_each_time(latency_ms: float, block_ms: float, frame_ms: float) -> None:
    stalls = [(1.5 * count + 1.0, (0.03, 0.08, 0.2, 0.6)[count % 4]) for count in range(38)]
    run = live_run(stalls, 60.0, latency_ms=latency_ms, block_ms=block_ms, frame_ms=frame_ms, rtf=0.15)
    allowed_ms = sum(1_000 * for_s + 150 for _, for_s in stalls)
    assert run.figures.raw_ms <= allowed_ms
    assert run.streams == 1
    assert largest_step(run.heard) < STEP


def test_a_late_turn_of_the_machine_within_the_block_costs_nothing() -> None:
    run = live_run([(2.0, 0.02)], 4.0, latency_ms=50, block_ms=10, frame_ms=30, rtf=0.15)
    assert (run.figures.raw_blocks, run.figures.raw_ms) == (0, 0)
    assert not run.raw.any()


def test_each_raw_block_is_counted() -> None:
    run = live_run([(2.0, 0.5)], 4.0, latency_ms=245, block_ms=200, rtf=0.1)
    assert run.figures.raw_blocks == -(-run.figures.raw_ms // 200)


@pytest.mark.parametrize("rtf", [1.3, 3.0])
def test_a_converter_slower_than_speech_is_raw_for_long_stretches_and_never_late(rtf: float) -> None:
    run = live_run([], 60.0, latency_ms=50, block_ms=10, rtf=rtf)
    assert run.raw.mean() > 0.5
    assert run.figures.restarts > 10
    assert run.most_kept <= 4.2 * RATE
    assert largest_step(run.heard) < STEP


def test_a_converter_that_hangs_is_tried_again_and_comes_back_within_two_seconds() -> None:
    run = live_run([(2.0, 20.0)], 30.0, latency_ms=50, block_ms=10, rtf=0.15)
    at = np.flatnonzero(run.raw)
    assert at[0] >= 2 * RATE - 2 * PIECE - 0.06 * RATE
    assert at[-1] < 24.2 * RATE
    assert 20_000 - 100 < run.figures.raw_ms < 22_200
    assert largest_step(run.heard) < STEP


def test_after_slow_minutes_one_late_block_is_one_late_block_again() -> None:
    """The stretch that a slow converter is left out does not outlast its slowness."""
    run = live_run([(1.0, 12.0), (20.0, 0.08)], 24.0, latency_ms=50, block_ms=10, rtf=0.15)
    at = np.flatnonzero(run.raw)
    again = at[at > 19 * RATE]
    assert 0 < len(again) < (0.08 + 0.15) * RATE
