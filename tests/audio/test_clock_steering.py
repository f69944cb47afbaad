"""Two devices whose clocks differ: the delay between them stays what it was, and nobody hears how."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clock_drift import AMPLITUDE, Outcome, Scenario, Stop, simulate
from parley.audio.clock_steering import LIMIT_MS, MOST_PPM, RateController, SteeredBuffer

RATE = 8_000
MINUTES_S = 240.0


def run(ppm: float, seconds: float = MINUTES_S, **others: object) -> Outcome:
    """At a low rate, which costs little."""
    return simulate(Scenario(ppm, seconds, in_rate=RATE, out_rate=RATE, **others))  # type: ignore[arg-type]


@pytest.mark.parametrize("ppm", [100, -100, 300, -300])
def test_a_faster_or_slower_microphone_leaves_the_delay_as_it_is(ppm: float) -> None:
    found = run(ppm)
    assert (found.underruns, found.overflows, found.jumps) == (0, 0, 0)
    assert max(map(abs, found.delay_ms)) < 20
    assert max(map(abs, found.delay_ms[-30:])) < 3, "it has not settled"
    assert found.ppm == pytest.approx(ppm, abs=15)
    assert found.most_ppm_off < 500, "the pitch is off"
    assert found.steepest < 1.02, "there is a step in the tone"
    assert min(found.held_ms) > 0


def test_without_steering_the_same_devices_would_run_dry() -> None:
    """What the other tests hold against: 300 millionths are a block of 20 ms in 67 seconds."""
    found = simulate(Scenario(0, MINUTES_S, in_rate=RATE, out_rate=RATE))
    assert max(map(abs, found.delay_ms)) < 1
    # The clocks differ by more than can be steered: it runs dry, and each time the sound is faded, not torn.
    found = run(-1_000)
    assert found.underruns >= 2
    assert found.steepest < 1.3
    assert found.ppm == -MOST_PPM


@pytest.mark.parametrize(("jitter_ms", "target_ms"), [(10, 80), (40, 140)])
def test_callbacks_that_come_late_are_not_taken_for_a_wrong_clock(jitter_ms: float, target_ms: float) -> None:
    found = run(100, jitter_ms=jitter_ms, target_ms=target_ms)
    assert (found.underruns, found.overflows, found.jumps) == (0, 0, 0)
    assert max(map(abs, found.delay_ms)) < 20
    assert found.most_ppm_off < 500
    assert found.steepest < 1.02


def test_pieces_of_other_sizes_and_rates() -> None:
    found = simulate(Scenario(100, 60.0, in_rate=24_000, out_rate=44_100, piece_ms=30, taken_ms=10))
    assert (found.underruns, found.overflows, found.jumps) == (0, 0, 0)
    assert max(map(abs, found.delay_ms)) < 10
    assert found.steepest < 1.02


def test_a_microphone_that_began_earlier_is_not_heard_late() -> None:
    found = run(100, 60.0, early_s=0.4)
    assert (found.underruns, found.overflows, found.jumps) == (0, 0, 0)
    assert max(map(abs, found.delay_ms)) < 5
    assert found.dropped_ms == 0, "nothing had been played yet"


def test_a_fill_that_is_far_off_is_corrected_in_the_next_silence() -> None:
    # The loudspeaker stands still for 0.2 s within a word: so much is waiting then, and no word of it is dropped.
    found = run(0, 30.0, speech=True, stops=(Stop("sink", 9.0, 0.2),))
    assert (found.underruns, found.overflows) == (0, 0)
    assert found.jumps >= 1
    assert found.dropped_ms == 0
    held_ms = found.held_ms
    assert held_ms[10] > held_ms[7] + 150
    assert held_ms[15] < held_ms[7] + 10
    assert found.steepest < 1.3


def test_steady_sound_is_never_jumped_over() -> None:
    found = run(0, 30.0, stops=(Stop("sink", 9.0, 0.2),))
    assert (found.underruns, found.jumps, found.dropped_ms) == (0, 0, 0)
    assert found.ppm == MOST_PPM
    assert found.held_ms[-1] > 150


def test_too_little_is_filled_up_with_silence() -> None:
    buffer = SteeredBuffer(RATE, RATE, 100.0)
    source = Pusher(buffer)
    source.run(5.0)
    # The microphone loses 0.06 s: it lasts, but it is far under the target.
    source.lose(0.06)
    source.run(6.0)
    assert buffer.underruns == 0
    assert buffer.jumps >= 1
    assert buffer.fill_ms == pytest.approx(100, abs=15)


class Pusher:
    """A silent microphone and its loudspeaker, in pieces of 20 ms, on one clock."""

    def __init__(self, buffer: SteeredBuffer) -> None:
        self._buffer = buffer
        self._at_s = 0.0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self._at_s += 0.02
            self._buffer.push(np.zeros(RATE // 50, np.float32), self._at_s)
            self._buffer.pull(RATE // 50, self._at_s)

    def lose(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self._at_s += 0.02
            self._buffer.pull(RATE // 50, self._at_s)


@pytest.mark.parametrize("who", ["source", "sink"])
def test_a_device_that_stops_for_two_seconds_comes_back_at_the_usual_delay(who: str) -> None:
    found = run(100, 60.0, stops=(Stop(who, 20.0, 2.0),))  # type: ignore[arg-type]
    # What it holds at the end of each second, before and after.
    assert found.held_ms[-1] == pytest.approx(found.held_ms[15], abs=15)
    assert found.held_ms[25] == pytest.approx(found.held_ms[15], abs=21)
    assert found.underruns == (1 if who == "source" else 0)
    assert found.overflows == (0 if who == "source" else pytest.approx(4, abs=1))
    assert found.jumps == 0
    assert found.steepest < 1.3, "it comes back with a click"
    if who == "sink":
        assert found.dropped_ms == pytest.approx(2_000, abs=80)


def test_what_is_held_is_bounded_while_nothing_is_taken() -> None:
    buffer = SteeredBuffer(RATE, RATE, 60.0)
    for count in range(3_000):
        buffer.push(np.zeros(160, np.float32), 0.02 * count)
        assert buffer.held <= (60 + LIMIT_MS) * RATE / 1000


def test_gaps_raise_the_target_up_to_a_limit() -> None:
    # A target of 22 ms is too little for pieces of 20 ms that come up to 30 ms late.
    tight = run(0, 60.0, jitter_ms=30, target_ms=22)
    assert tight.underruns > 10
    assert tight.target_ms == 22
    raised = run(0, 60.0, jitter_ms=30, target_ms=22, most_ms=100)
    assert raised.underruns < tight.underruns / 2
    assert 40 < raised.target_ms <= 100
    assert raised.steepest < 1.3


def test_silence_before_the_first_audio_and_a_start_without_a_click() -> None:
    buffer = SteeredBuffer(RATE, RATE, 40.0)
    assert not buffer.pull(160, 0.0).any()
    buffer.push(np.full(800, AMPLITUDE, np.float32), 0.1)
    heard = buffer.pull(160, 0.1)
    assert heard[-1] == pytest.approx(AMPLITUDE, abs=0.02)
    assert float(np.abs(np.diff(heard)).max()) < 0.1
    assert buffer.underruns == 0


def test_the_controller_learns_the_clocks_and_keeps_them_over_a_jump() -> None:
    controller = RateController()
    fill_s, at_s = 0.0, 0.0
    for _ in range(30_000):
        at_s += 0.02
        fill_s += (200e-6 - controller.observe(fill_s, at_s) * 1e-6) * 0.02
    assert controller.ppm == pytest.approx(200, abs=5)
    controller.forget_fill()
    assert controller.observe(0.0, at_s + 0.02) == pytest.approx(200, abs=5)


def test_no_error_moves_the_rate_further_than_the_limit() -> None:
    controller = RateController()
    assert max(controller.observe(0.1, 0.02 * count) for count in range(1_000)) == MOST_PPM
    # It lets go at once when the error turns: the integral has not been wound up.
    for count in range(1_000, 2_000):
        controller.observe(-0.02, 0.02 * count)
    assert controller.ppm < 0
