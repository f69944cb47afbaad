"""Loops are found by measurement: how soon, at which levels, and never where there is none."""

from __future__ import annotations

import time

import numpy as np
import pytest

from parley.audio.resampling import resample
from parley.audio.types import Samples
from parley.interpret.loops import LoopDetector
from tests.interpret.loop_sounds import RATE, Path, excerpt, first_found, pieces, returned, room, voice, voices
from tests.speech import ClipMissing

LENGTH_S = 5.0


@pytest.fixture(scope="module")
def speech_at_hand() -> list[Samples]:
    found = voices()
    if not found:
        pytest.skip("no recorded speech is on this machine")
    return found


def some(rng: np.random.Generator, sources: list[Samples], length_s: float = LENGTH_S) -> Samples:
    return excerpt(rng, sources[int(rng.integers(len(sources)))], length_s)


def apart(first: Samples, second: Samples) -> bool:
    """Whether the two are not the same recording at the same moment."""
    size = 1 << (len(first) + len(second)).bit_length()
    together = np.fft.irfft(np.fft.rfft(first, size) * np.conj(np.fft.rfft(second, size)), size)
    return bool(np.abs(together).max() < 0.3 * np.sqrt(np.sum(first**2) * np.sum(second**2)))


# --- what must be found ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level_db", "direct_db"), [(-6, 6), (-15, 3), (-30, 0)])
def test_a_loop_in_a_noisy_room_is_found_within_two_seconds(
    speech_at_hand: list[Samples], level_db: float, direct_db: float
) -> None:
    rng = np.random.default_rng(1)
    trials, in_time, levels = 15, 0, []
    for _ in range(trials):
        played = some(rng, speech_at_hand)
        path = Path(float(rng.uniform(0.0, 0.95)), level_db, -10, float(rng.uniform(-200, 200)))
        captured = returned(rng, room(rng, played, direct_db), path)
        found = first_found(LoopDetector(), played, captured, rng)
        assert found is not None
        at_s, verdict = found
        assert verdict.delay_ms == pytest.approx(1000 * path.delay_s, abs=8)
        in_time += at_s - path.delay_s <= 2.0
        levels.append(verdict.level_db)
    assert in_time >= trials - 1, "within two seconds of the sound coming back"
    assert np.median(levels) == pytest.approx(level_db, abs=6)


def test_a_loop_is_found_under_the_users_own_voice(speech_at_hand: list[Samples]) -> None:
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(15):
        played, own = some(rng, speech_at_hand), some(rng, speech_at_hand)
        captured = returned(rng, room(rng, played, 3), Path(0.2, -6, -20)) + own
        found += first_found(LoopDetector(), played, captured, rng) is not None
    assert found >= 14


def test_a_cable_that_is_recorded_itself_is_found(speech_at_hand: list[Samples]) -> None:
    rng = np.random.default_rng(3)
    played = some(rng, speech_at_hand)
    found = first_found(LoopDetector(), played, returned(rng, played, Path(0.05, 0, -60)), rng)
    assert found is not None
    assert found[0] < 1.5
    assert found[1].delay_ms == pytest.approx(50, abs=5)
    assert found[1].level_db == pytest.approx(0, abs=2)


def test_devices_of_different_rates_are_compared(speech_at_hand: list[Samples]) -> None:
    rng = np.random.default_rng(4)
    played = some(rng, speech_at_hand)
    captured = returned(rng, played, Path(0.3, -20))
    fast, narrow = resample(played, RATE, 44_100), resample(captured, RATE, 8_000)
    detector, found = LoopDetector(), None
    for number in range(240):
        at_s = number / 50
        detector.played(fast[number * 882 : number * 882 + 882], 44_100, at_s)
        detector.captured(narrow[number * 160 : number * 160 + 160], 8_000, at_s + 0.02)
        found = found or detector.look(at_s + 0.02)
    assert found is not None
    assert found.delay_ms == pytest.approx(300, abs=5)


def test_the_delay_stays_true_for_an_hour_of_drifting_clocks(speech_at_hand: list[Samples]) -> None:
    """The devices' clocks are 200 ppm off the machine's: samples come as many, but the times say otherwise."""
    rng = np.random.default_rng(5)
    detector = LoopDetector()
    second = np.zeros(RATE, dtype=np.float32)
    for number in range(3600):
        detector.played(second, RATE, number * 1.0002)
        detector.captured(second, RATE, (number + 1) * 0.9998 + number * 0.0004)
    played = some(rng, speech_at_hand)
    captured = returned(rng, played, Path(0.3, -20))
    begin_s, found = 3600 * 1.0002, None
    for number in range(240):
        part = slice(number * 320, number * 320 + 320)
        detector.played(played[part], RATE, begin_s + number / 50)
        detector.captured(captured[part], RATE, begin_s + number / 50 + 0.02)
        found = found or detector.look(begin_s + number / 50)
    assert found is not None
    assert found.delay_ms == pytest.approx(300, abs=20)


def test_a_capture_that_stands_still_for_a_while_is_in_its_place_again(speech_at_hand: list[Samples]) -> None:
    rng = np.random.default_rng(6)
    played = some(rng, speech_at_hand, 9.0)
    captured = returned(rng, played, Path(0.25, -10))
    detector, found = LoopDetector(), None
    for at_s, out, back in pieces(played, captured, rng):
        detector.played(out, RATE, at_s)
        if not 500.3 < at_s < 503.0:
            detector.captured(back, RATE, at_s + 0.02)
        if at_s > 504.6:
            found = found or detector.look(at_s)
    assert found is not None
    assert found.delay_ms == pytest.approx(250, abs=8)


# --- what must not be found --------------------------------------------------------------------------------------------------


def test_two_people_who_talk_at_the_same_time_are_no_loop(speech_at_hand: list[Samples]) -> None:
    rng = np.random.default_rng(7)
    pairs = 0
    while pairs < 30:
        played, captured = some(rng, speech_at_hand, 10.0), some(rng, speech_at_hand, 10.0)
        if not apart(played, captured):
            continue
        pairs += 1
        noisy = (captured + rng.standard_normal(len(captured)) * 1e-4).astype(np.float32)
        assert first_found(LoopDetector(), played, noisy, rng) is None


@pytest.mark.parametrize("earliest_s", [0.0, -0.1])
def test_a_tone_and_somebody_who_speaks_are_no_loop(earliest_s: float) -> None:
    """Where a tone or a recording begins and ends it clicks, and two clicks match; so do the edges of two windows."""
    try:
        said = voice("hello_world")
    except ClipMissing as missing:
        pytest.skip(str(missing))
    rng = np.random.default_rng(8)
    tone = (0.25 * np.sin(2 * np.pi * 220 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    for _ in range(20):
        played, captured = np.zeros(10 * RATE, np.float32), np.zeros(10 * RATE, np.float32)
        for begin_s in (1.0, 5.5):
            begin = round((begin_s + float(rng.uniform(0, 0.5))) * RATE)
            captured[begin : begin + len(said)] += said
            begin += len(said) + round(float(rng.uniform(0.3, 0.9)) * RATE)
            played[begin : begin + len(tone)] += tone[: len(played) - begin]
        assert first_found(LoopDetector(earliest_s), played, captured, rng) is None


def test_the_same_words_said_again_by_a_person_are_no_loop() -> None:
    """The clip says "it was the ..." ten times: at one of the shifts each of them meets another one."""
    try:
        said = voice("two_cities")
    except ClipMissing as missing:
        pytest.skip(str(missing))
    rng = np.random.default_rng(8)
    for shift_s in np.arange(1.5, 12.0, 0.75):
        captured = np.roll(said, round(float(shift_s) * RATE))[: 20 * RATE]
        assert first_found(LoopDetector(), said[: 20 * RATE], captured, rng) is None


def test_hum_tones_and_silence_are_no_loop(speech_at_hand: list[Samples]) -> None:
    rng = np.random.default_rng(9)
    times = np.arange(round(LENGTH_S * RATE)) / RATE
    hum = sum(0.05 / n * np.sin(2 * np.pi * 50 * n * times + n) for n in range(1, 12))
    hum_float = np.asarray(hum, dtype=np.float32)
    tone = (0.1 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    silence = np.zeros_like(tone)
    noise, other = (0.01 * rng.standard_normal((2, len(tone)))).astype(np.float32)
    talk = some(rng, speech_at_hand)
    for played, captured in (
        (hum_float, np.roll(hum_float, 9000) + noise), (tone, np.roll(tone, 8123)), (talk, silence), (silence, talk),
        (silence, silence), (talk, noise), (noise, other), (talk + hum_float, hum_float + noise), (talk, tone),
    ):  # fmt: skip
        # The devices hum on and on: what is compared has no beginning in common.
        detector = LoopDetector()
        for at_s, out, back in pieces(np.tile(played, 2), np.tile(captured, 2), rng):
            detector.played(out, RATE, at_s)
            detector.captured(back, RATE, at_s + 0.02)
            assert detector.look(at_s) is None


def test_the_original_voice_that_is_played_after_it_was_captured_is_no_loop(speech_at_hand: list[Samples]) -> None:
    rng = np.random.default_rng(10)
    for delay_s in (0.03, 0.08, 0.3):
        captured = some(rng, speech_at_hand, 8.0)
        played = returned(rng, captured, Path(delay_s, -6, -60))
        assert first_found(LoopDetector(), played, captured, rng) is None


# --- what it costs -----------------------------------------------------------------------------------------------------------


def test_a_detector_takes_less_than_two_hundredths_of_a_core(speech_at_hand: list[Samples]) -> None:
    rng = np.random.default_rng(11)
    played, captured = some(rng, speech_at_hand, 10.0), some(rng, speech_at_hand, 10.0)
    detector = LoopDetector()
    begin_s = time.process_time()
    for at_s, out, back in pieces(played, captured, rng):
        detector.played(out, RATE, at_s)
        detector.captured(back, RATE, at_s + 0.02)
        detector.look(at_s)
    assert time.process_time() - begin_s < 0.02 * 10.0
