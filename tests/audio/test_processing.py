"""What a person on loudspeakers would notice: the agent hearing itself, their own voice lost, late or doubled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parley.audio.processing import SAMPLE_RATES, AudioProcessor, NoiseLevel
from parley.audio.resampling import resample_int16
from parley.testing.acoustics import ROOMS, Room

Pcm = NDArray[np.int16]
Speech = Callable[[str], tuple[Pcm, int]]


def bursts(rate: int, seconds: float, seed: int = 1) -> Pcm:
    """Noise in bursts, as speech comes: it is no steady noise, so suppression leaves it."""
    times = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(seed).normal(0, 4_000, len(times)) * (np.sin(2 * np.pi * 2.5 * times) > 0.6)
    return noise.astype(np.int16)


def steady(rate: int, seconds: float) -> Pcm:
    return np.random.default_rng(2).normal(0, 1_000, int(rate * seconds)).astype(np.int16)


def through(processor: AudioProcessor, audio: Pcm, size: int) -> Pcm:
    parts = [processor.capture(audio[at : at + size]) for at in range(0, len(audio), size)]
    return np.concatenate([*parts, processor.flush()])


def moved(before: Pcm, after: Pcm, rate: int) -> int:
    """By how many samples the sound has moved, judged above 800 Hz, where the high-pass turns no phases."""
    size = 1 << (2 * len(before)).bit_length()
    both = np.fft.rfft(after.astype(float), size) * np.conj(np.fft.rfft(before.astype(float), size))
    both[: 800 * size // rate] = 0
    at = int(np.argmax(np.fft.irfft(both)))
    return at if at < size // 2 else at - size


def level_db(audio: Pcm) -> float:
    return float(20 * np.log10(max(audio.astype(float).std(), 1e-3)))


# --- samples -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", SAMPLE_RATES)
@pytest.mark.parametrize("echo", [False, True], ids=["", "echo"])
@pytest.mark.parametrize("gain", [False, True], ids=["", "gain"])
@pytest.mark.parametrize(
    ("noise", "strength"),
    [("off", 1.0), ("near_field", 1.0), ("near_field", 0.5), ("far_field", 1.0), ("far_field", 0.5)],
)
def test_a_voice_stays_where_it_stood_and_none_of_it_is_lost(
    rate: int, echo: bool, gain: bool, noise: NoiseLevel, strength: float
) -> None:
    audio = bursts(rate, 2)
    processor = AudioProcessor(rate, echo=echo, noise=noise, gain=gain, strength=strength)
    cleaned = through(processor, audio, rate // 70)
    assert len(cleaned) == len(audio)
    assert abs(moved(audio, cleaned, rate)) <= 1
    # In phase with itself where it is mixed: no part of it is lost.
    assert level_db(cleaned) > level_db(audio) - 7


def test_with_everything_off_nothing_changes_and_nothing_waits() -> None:
    processor = AudioProcessor(24_000, echo=False, noise="off", gain=False)
    audio = bursts(24_000, 0.3)
    assert processor.latency_samples == 0
    assert processor.capture(audio) is audio
    assert not len(processor.flush())
    assert (
        through(AudioProcessor(24_000, echo=False, noise="far_field", gain=False, strength=0.0), audio, 97) is not audio
    )


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 2_000), min_size=1, max_size=30), seed=st.integers(0, 9))
def test_the_output_does_not_depend_on_how_the_input_was_cut(sizes: list[int], seed: int) -> None:
    audio = bursts(16_000, 1, seed)[: sum(sizes)]
    whole = AudioProcessor(16_000, echo=False, noise="near_field", gain=True)
    cut = AudioProcessor(16_000, echo=False, noise="near_field", gain=True)
    edges = np.clip(np.cumsum([0, *sizes]), 0, len(audio))
    pieces = [cut.capture(audio[a:b]) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate([*pieces, cut.flush()]), np.concatenate([whole.capture(audio), whole.flush()]))


@settings(max_examples=30, deadline=None)
@given(chunks=st.lists(st.tuples(st.integers(0, 700), st.booleans()), max_size=20))
def test_as_much_comes_out_as_went_in_however_often_it_is_flushed(chunks: list[tuple[int, bool]]) -> None:
    processor = AudioProcessor(8_000, echo=False, noise="near_field", gain=False)
    given_samples = taken = 0
    for size, flush in chunks:
        given_samples += size
        taken += len(processor.capture(np.ones(size, np.int16)))
        assert 0 <= given_samples - taken <= processor.latency_samples
        if flush:
            taken += len(processor.flush())
            assert taken == given_samples


# --- noise and gain ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "strength", "least", "most"),
    [("near_field", 1.0, 11, 18), ("far_field", 1.0, 22, 32), ("near_field", 0.5, 4, 8), ("far_field", 0.5, 5, 10)],
)
def test_steady_noise_is_lowered_by_what_is_promised(
    noise: NoiseLevel, strength: float, least: float, most: float
) -> None:
    for rate in (8_000, 24_000, 48_000):
        audio = steady(rate, 6)
        cleaned = through(
            AudioProcessor(rate, echo=False, noise=noise, gain=False, strength=strength), audio, rate // 50
        )
        assert least < level_db(audio[rate * 4 :]) - level_db(cleaned[rate * 4 :]) < most


def test_gain_brings_a_quiet_voice_up(speech: Speech) -> None:
    pcm, rate = speech("two_cities")
    quiet = (resample_int16(pcm[: rate * 10], rate, 24_000) // 10).astype(np.int16)
    louder = through(AudioProcessor(24_000, echo=False, noise="near_field", gain=True), quiet, 480)
    assert level_db(louder[120_000:]) > level_db(quiet[120_000:]) + 6


# --- echo --------------------------------------------------------------------------------------------------------------

LAPTOP = ROOMS[1]


def loud(recording: tuple[Pcm, int], seconds: float, rate: int) -> Pcm:
    """The recording as a loudspeaker gets it: 20 dB under full scale where there is a voice."""
    audio = resample_int16(recording[0], recording[1], rate)[: int(rate * seconds)].astype(float)
    voice = audio[np.abs(audio) > np.abs(audio).max() * 0.02]
    return np.clip(audio * 3_277 / float(voice.std()), -32_768, 32_767).astype(np.int16)


def on_loudspeakers(
    room: Room, far: Pcm, near: Pcm, rate: int, *, block_ms: int = 10, gated: bool = True
) -> tuple[Pcm, Pcm]:
    """What the microphone hears, and what is left of it; played and heard in blocks, as devices do."""
    heard = room.microphone(far, near, rate)
    processor = AudioProcessor(rate, echo=True, noise="off", gain=False, gated=gated)
    size, left = rate * block_ms // 1_000, []
    for at in range(0, len(far), size):
        processor.render(far[at : at + size])
        left.append(processor.capture(heard[at : at + size]))
    return heard, np.concatenate([*left, processor.flush()])


@pytest.mark.parametrize(("rate", "block_ms"), [(48_000, 10), (48_000, 21), (24_000, 20), (16_000, 50)])
def test_the_agents_voice_is_taken_out_of_the_microphone(speech: Speech, rate: int, block_ms: int) -> None:
    far = loud(speech("two_cities"), 10, rate)
    heard, left = on_loudspeakers(LAPTOP, far, np.zeros_like(far), rate, block_ms=block_ms, gated=False)
    later = slice(rate * 3, None)
    assert level_db(heard[later]) - level_db(left[later]) > 20, "echo return loss enhancement"


@pytest.mark.slow
def test_a_voice_over_the_agents_still_gets_through(speech: Speech) -> None:
    rate = 48_000
    far = loud(speech("two_cities"), 10, rate)
    said, recorded = speech("weather_question")
    near, voice = np.zeros_like(far), resample_int16(said, recorded, rate)
    begin = rate * 6
    near[begin : begin + len(voice)] = voice
    _, alone = on_loudspeakers(LAPTOP, far, np.zeros_like(far), rate)
    _, both = on_loudspeakers(LAPTOP, far, near, rate)
    while_spoken = slice(begin, begin + len(voice))
    assert level_db(both[while_spoken]) > level_db(alone[while_spoken]) + 15
    assert level_db(both[while_spoken]) > level_db(near[while_spoken]) - 6


@pytest.mark.slow
def test_what_is_left_of_the_agents_voice_is_silence_until_somebody_speaks(speech: Speech) -> None:
    far = loud(speech("two_cities"), 10, 48_000)
    for room in ROOMS[1:5]:
        _, left = on_loudspeakers(room, far, np.zeros_like(far), 48_000)
        assert np.abs(left[48_000 * 3 :]).max() == 0, room.name


def test_who_speaks_while_the_agent_is_silent_loses_nothing(speech: Speech) -> None:
    said, recorded = speech("hello_world")
    voice = resample_int16(said, recorded, 48_000)
    silent = np.zeros_like(voice)
    ungated = on_loudspeakers(LAPTOP, silent, voice, 48_000, gated=False)[1]
    gated = on_loudspeakers(LAPTOP, silent, voice, 48_000)[1]
    # The canceller's own noise is random, and lies under the microphone's.
    assert level_db(gated - ungated) < level_db(ungated) - 30


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_a_rate_or_a_strength_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match="8000, 16000, 24000, 32000, 48000 Hz, not at 44100"):
        AudioProcessor(44_100, echo=True, noise="off", gain=False)
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        AudioProcessor(48_000, echo=True, noise="near_field", gain=False, strength=1.5)


def test_without_the_library_the_message_names_the_remedy() -> None:
    program = """
import sys
sys.modules["livekit"] = None
from parley.audio import processing
assert not processing.available()
processing.AudioProcessor(24_000, echo=False, noise="off", gain=False)
try:
    processing.AudioProcessor(24_000, echo=True, noise="off", gain=False)
except processing.ProcessingUnavailable as error:
    assert "pip install livekit" in str(error), error
else:
    raise AssertionError("it was made")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
