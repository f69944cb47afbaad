"""The queue of translated audio: everything once, in order, bounded, and never stale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.interpret.playout import BEHIND_MS, GAP_MS, MOST_S, RESUMED_MS, Playout

RATE = 48_000
PIECE = 480


def tone(count: int, at: int = 0) -> np.ndarray:
    return (12_000 * np.sin(2 * np.pi * 300 * (np.arange(count) + at) / 24_000)).astype(np.int16)


def drained(playout: Playout, at_s: float = 0.0, pieces: int = 4_000, rate: int = RATE) -> np.ndarray:
    heard = []
    count = rate // 100
    for number in range(pieces):
        heard.append(playout.take(count, rate, at_s + number / 100))
        if number > 20 and not playout.audible:
            break
    return np.concatenate(heard)


@given(cuts=st.lists(st.integers(1, 5_000), min_size=1, max_size=20), rate=st.sampled_from([16_000, 44_100, 48_000]))
@settings(max_examples=40, deadline=None)
def test_everything_is_played_once_and_in_order(cuts: list[int], rate: int) -> None:
    playout = Playout(lambda at_s, until_s: None)
    whole = tone(sum(cuts))
    at = 0
    for count in cuts:
        playout.push(whole[at : at + count], 0.0)
        at += count
    heard = drained(playout, rate=rate)
    loud = np.flatnonzero(np.abs(heard) > 1e-4)
    expected = len(whole) * rate / 24_000
    assert not playout.gaps
    if expected > rate / 50:
        assert loud[-1] - loud[0] == pytest.approx(expected, abs=rate / 100)
        middle = heard[loud[0] : loud[-1]]
        crossings = np.count_nonzero(np.diff(np.signbit(middle)))
        assert crossings == pytest.approx(2 * 300 * len(middle) / rate, abs=3)


def test_a_short_clip_is_played_without_more_to_come() -> None:
    playout = Playout(lambda at_s, until_s: None)
    playout.push(tone(240), 0.0)
    heard = drained(playout, pieces=30)
    assert np.abs(heard).max() > 0.2


def test_only_silence_is_shortened_and_only_while_much_waits() -> None:
    playout = Playout(lambda at_s, until_s: None)
    silence = np.zeros(24_000, np.int16)
    playout.push(tone(4_800), 0.0)
    playout.push(silence, 0.0)
    assert playout.queue_ms == pytest.approx(1_200, abs=1)
    playout.push(tone(24_000), 0.0)
    assert playout.queue_ms > BEHIND_MS
    playout.push(silence, 0.0)
    assert playout.queue_ms == pytest.approx(2_200 + GAP_MS, abs=15)
    playout.push(tone(2_400), 0.0)
    assert playout.queue_ms == pytest.approx(2_300 + GAP_MS, abs=15)


def test_the_queue_is_bounded_and_what_is_dropped_is_counted() -> None:
    playout = Playout(lambda at_s, until_s: None)
    for _ in range(8):
        playout.push(tone(240_000), 0.0)
    assert playout.queue_ms <= 1000 * MOST_S
    assert playout.dropped_s == pytest.approx(80 - MOST_S, abs=0.2)


def test_after_the_device_stood_still_nothing_old_is_played() -> None:
    playout = Playout(lambda at_s, until_s: None)
    playout.push(tone(48_000), 0.0)
    for number in range(10):
        playout.take(PIECE, RATE, number / 100)
    playout.push(tone(24_000), 8.0)
    heard = drained(playout, at_s=10.0)
    assert np.count_nonzero(np.abs(heard) > 0.01) / RATE == pytest.approx(1.0, abs=0.1)
    assert playout.dropped_s > 1.5


def test_a_long_clause_is_played_to_its_end_by_a_device_that_hesitates() -> None:
    playout = Playout(lambda at_s, until_s: None)
    playout.push(tone(8 * 24_000), 0.0)
    heard = [playout.take(PIECE, RATE, number / 100) for number in range(400)]
    heard.append(drained(playout, at_s=6.0))
    assert np.count_nonzero(np.abs(np.concatenate(heard)) > 0.01) / RATE == pytest.approx(8.0, abs=0.3)
    assert playout.dropped_s == 0.0


def test_a_gap_within_a_translation_raises_the_wait_and_a_pause_does_not() -> None:
    playout = Playout(lambda at_s, until_s: None)
    at_s = 0.0
    wait = playout.wait_ms
    playout.push(tone(2_400), at_s)
    for _ in range(20):
        playout.take(PIECE, RATE, at_s)
        at_s += 0.01
    playout.push(tone(2_400), at_s)
    for _ in range(20):
        playout.take(PIECE, RATE, at_s)
        at_s += 0.01
    assert playout.gaps == 1
    assert playout.wait_ms > wait
    for _ in range(round(RESUMED_MS / 10) + 5):
        playout.take(PIECE, RATE, at_s)
        at_s += 0.01
    playout.push(tone(2_400), at_s)
    for _ in range(20):
        playout.take(PIECE, RATE, at_s)
        at_s += 0.01
    assert playout.gaps == 1


def test_no_step_where_sound_begins_and_ends() -> None:
    playout = Playout(lambda at_s, until_s: None)
    playout.push(np.full(2_400, 12_000, np.int16), 0.0)
    heard = drained(playout)
    assert np.abs(np.diff(heard)).max() < 0.02


def test_it_says_when_a_translation_begins_to_be_heard_and_what_it_translates() -> None:
    told: list[tuple[float, float | None]] = []
    playout = Playout(lambda at_s, until_s: told.append((at_s, until_s)))
    playout.push(tone(24_000), 0.0, 1.0)
    playout.push(tone(24_000), 0.0, 2.0)
    drained(playout)
    assert [until_s for _, until_s in told] == [1.0, 2.0]
    assert told[1][0] - told[0][0] == pytest.approx(1.0, abs=0.02)
