"""What a person with headphones would notice: that the agent cannot be interrupted; and one without, that it interrupts itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.audio.echo_path import FRAME_MS, EchoPath
from parley.audio.processing import AudioProcessor
from parley.audio.resampling import resample_int16
from parley.testing.acoustics import ROOMS, Room

Pcm = NDArray[np.int16]
Speech = Callable[[str], tuple[Pcm, int]]

RATE = 48_000
LAPTOP, HALL = ROOMS[1], ROOMS[7]
HEADPHONES = Room("headphones", 100, 40, -120.0)
QUIET_S = 0.5
"""Before each reply."""


def spoken(speech: Speech, name: str, begin_s: float, seconds: float, decibels: float = -20.0, rate: int = RATE) -> Pcm:
    """A part of a recording with its voice at this level."""
    pcm, recorded = speech(name)
    part = pcm[int(begin_s * recorded) : int((begin_s + seconds) * recorded)]
    audio = resample_int16(part, recorded, rate).astype(float)
    voice = audio[np.abs(audio) > np.abs(audio).max() * 0.02]
    scaled = audio * 32_768 * 10 ** (decibels / 20) / float(voice.std())
    return np.clip(scaled, -32_768, 32_767).astype(np.int16)


def reply(speech: Speech, seconds: float = 5.0, begin_s: float = 0.0) -> Pcm:
    """What the loudspeaker plays: silence, and a voice."""
    return np.concatenate([np.zeros(int(QUIET_S * RATE), np.int16), spoken(speech, "two_cities", begin_s, seconds)])


def said_at(speech: Speech, second: float, length: int, decibels: float = -26.0) -> Pcm:
    """The user's question, from this second of a reply on."""
    near = np.zeros(length, np.int16)
    begin = int((QUIET_S + second) * RATE)
    question = spoken(speech, "weather_question", 0.0, 2.0, decibels)
    question = question[int(np.argmax(np.abs(question) > np.abs(question).max() * 0.1)) :]
    near[begin : begin + len(question)] = question[: length - begin]
    return near


def through(processor: AudioProcessor, far: Pcm, heard: Pcm, block: int = RATE // 100) -> Pcm:
    parts = []
    for at in range(0, len(far), block):
        processor.render(far[at : at + block])
        parts.append(processor.capture(heard[at : at + block]))
    return np.concatenate([*parts, processor.flush()])


def passing(processor: AudioProcessor, far: Pcm, heard: Pcm) -> list[bool]:
    """For each 10 ms, whether the microphone is let through as it is."""
    assert processor.echo_control is not None
    found = []
    for at in range(0, len(far), RATE // 100):
        processor.render(far[at : at + RATE // 100])
        processor.capture(heard[at : at + RATE // 100])
        found.append(processor.echo_control.path.passes)
    return found


def control() -> AudioProcessor:
    """As `parley talk` makes it, without the gain that would change levels."""
    return AudioProcessor(RATE, echo=True, noise="near_field", gain=False)


def level_db(audio: Pcm) -> float:
    return float(20 * np.log10(max(audio.astype(float).std(), 1e-3)))


def after(audio: Pcm, second: float, seconds: float) -> Pcm:
    begin = int((QUIET_S + second) * RATE)
    return audio[begin : begin + int(seconds * RATE)]


def state_of(processor: AudioProcessor) -> str:
    assert processor.echo_control is not None
    return processor.echo_control.path.state


@pytest.mark.slow
@pytest.mark.parametrize("second", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("noisy", [True, False], ids=["noise", "digital silence"])
def test_with_headphones_a_voice_in_the_first_second_of_the_first_reply_gets_through(
    speech: Speech, second: float, noisy: bool
) -> None:
    far = reply(speech)
    near = said_at(speech, second, len(far))
    left = through(control(), far, HEADPHONES.microphone(far, near, RATE) if noisy else near)
    assert level_db(after(left, second + 0.35, 1.0)) > level_db(after(near, second + 0.35, 1.0)) - 3


def test_the_echo_path_is_kept_so_that_the_next_reply_can_be_interrupted_from_its_first_word(
    speech: Speech,
) -> None:
    processor = control()
    first, second = reply(speech), reply(speech, begin_s=11.0)
    through(processor, first, HEADPHONES.microphone(first, np.zeros_like(first), RATE))
    assert state_of(processor) == "absent"
    near = said_at(speech, 0.05, len(second))
    left = through(processor, second, HEADPHONES.microphone(second, near, RATE))
    assert level_db(after(left, 0.05, 0.15)) > level_db(after(near, 0.05, 0.15)) - 3


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_no_echo_is_taken_for_a_voice_in_the_first_second(speech: Speech, room: Room) -> None:
    far = reply(speech, 3.0)
    processor = control()
    assert not any(passing(processor, far, room.microphone(far, np.zeros_like(far), RATE)))
    assert state_of(processor) == "found"


@pytest.mark.parametrize("level", [-50.0, -55.0, -60.0])
def test_a_leak_too_faint_to_be_found_is_too_faint_to_be_heard(speech: Speech, level: float) -> None:
    far = reply(speech, 5.0)
    faint = replace(LAPTOP, level_db=level, distortion=0.0)
    left = through(control(), far, faint.microphone(far, np.zeros_like(far), RATE))
    assert np.abs(after(left, 0.0, 5.0)).max() == 0


def test_a_canceller_in_the_microphone_itself_does_not_make_the_agent_hear_itself(speech: Speech) -> None:
    far = reply(speech, 8.0)
    microphone = AudioProcessor(RATE, echo=True, noise="off", gain=False, gated=False)
    heard = through(microphone, far, ROOMS[4].microphone(far, np.zeros_like(far), RATE))
    assert np.abs(after(heard, 0.0, 8.0)).max() > 0, "there is a residue"
    assert np.mean(passing(control(), far, heard)) < 0.02


def test_headphones_pulled_out_in_the_middle_of_a_reply_cost_a_fifth_of_a_second(speech: Speech) -> None:
    far = reply(speech, 6.0)
    silent = np.zeros_like(far)
    at = int((QUIET_S + 2.2) * RATE)
    for room in (LAPTOP, HALL):
        processor = control()
        moved = np.concatenate([HEADPHONES.microphone(far, silent, RATE)[:at], room.microphone(far, silent, RATE)[at:]])
        assert not any(passing(processor, far, moved)[(at + RATE // 5) // (RATE // 100) :]), room.name
        assert state_of(processor) == "found", room.name


def test_headphones_plugged_in_are_noticed_and_then_voices_pass(speech: Speech) -> None:
    far = reply(speech, 9.0)
    near = said_at(speech, 6.0, len(far))
    at = int((QUIET_S + 2.0) * RATE)
    heard = np.concatenate([LAPTOP.microphone(far, near, RATE)[:at], HEADPHONES.microphone(far, near, RATE)[at:]])
    processor = control()
    left = through(processor, far, heard)
    assert state_of(processor) == "absent"
    assert level_db(after(left, 6.0, 1.5)) > level_db(after(near, 6.0, 1.5)) - 3


def test_a_user_who_talks_over_everything_does_not_make_the_echo_be_forgotten(speech: Speech) -> None:
    far = reply(speech, 10.0)
    near = np.concatenate([np.zeros(int(QUIET_S * RATE), np.int16), spoken(speech, "beckett", 1.0, 10.0, -20.0)])
    near = np.resize(near, len(far))
    near[: int((QUIET_S + 1.0) * RATE)] = 0
    processor = control()
    through(processor, far, LAPTOP.microphone(far, near, RATE))
    assert state_of(processor) == "found"


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 32_000, 48_000])
@pytest.mark.parametrize("block_ms", [10, 21, 50])
def test_the_path_is_found_within_a_second_at_every_rate_however_sound_comes(
    speech: Speech, rate: int, block_ms: int
) -> None:
    voice = spoken(speech, "two_cities", 0.0, 1.2, rate=rate)
    far = np.concatenate([np.zeros(rate // 2, np.int16), voice])
    for room, state in ((LAPTOP, "found"), (HEADPHONES, "absent")):
        processor = AudioProcessor(rate, echo=True, noise="off", gain=False)
        through(processor, far, room.microphone(far, np.zeros_like(far), rate), rate * block_ms // 1_000)
        assert state_of(processor) == state, room.name


def test_nothing_is_judged_while_nothing_is_played(speech: Speech) -> None:
    path = EchoPath(RATE)
    voice = spoken(speech, "weather_question", 0.0, 2.0)
    size = RATE * FRAME_MS // 1_000
    for at in range(0, len(voice) - size, size):
        path.played(np.zeros(size, np.int16))
        path.heard(voice[at : at + size])
    assert (path.state, path.voice) == ("unknown", False)
