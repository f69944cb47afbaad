"""Pauses that a recogniser finds by itself."""

from __future__ import annotations

import numpy as np
import pytest

from parley.engines.ports import Samples
from parley.engines.stt.pauses import BEHIND_FRAMES, FRAME, PAUSE_FRAMES, SPOKEN_FRAMES, PauseFinder

RATE = 16_000


def voice(seconds: float, level: float = 0.3) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def quiet(seconds: float, level: float = 0.0) -> Samples:
    return (level * np.random.default_rng(1).standard_normal(round(seconds * RATE))).astype(np.float32)


def found(*audio: Samples, chunk: int = 1_234) -> list[int]:
    whole = np.concatenate(audio)
    finder = PauseFinder()
    return [position for at in range(0, len(whole), chunk) for position in finder.feed(whole[at : at + chunk])]


def test_a_pause_is_cut_once_a_little_behind_the_voice() -> None:
    (position,) = found(voice(2), quiet(3))
    assert position == 2 * RATE + BEHIND_FRAMES * FRAME
    assert found(voice(2), quiet(3), voice(2), quiet(1)) == [position, 7 * RATE + BEHIND_FRAMES * FRAME]


@pytest.mark.parametrize("chunk", [1, 160, 319, 320, 321, 16_000, 10**6])
def test_it_depends_on_the_audio_alone(chunk: int) -> None:
    audio = (voice(1.51), quiet(0.7), voice(1.2), quiet(0.5))
    assert found(*audio, chunk=chunk) == found(*audio)
    assert len(found(*audio)) == 2


@pytest.mark.parametrize(
    "audio",
    [
        [quiet(5)],
        [quiet(5, 0.0005)],
        [voice(SPOKEN_FRAMES * FRAME / RATE - 0.1), quiet(3)],
        [voice(2), quiet((PAUSE_FRAMES - 1) * FRAME / RATE), voice(2)],
        [voice(2), quiet(3, 0.05)],
    ],
    ids=["silence", "a quiet room", "hardly a word", "between two words", "a loud room"],
)
def test_there_is_none(audio: list[Samples]) -> None:
    assert found(*audio) == []


def test_a_room_that_is_quiet_beside_the_voice_has_pauses() -> None:
    assert len(found(voice(2) + quiet(2, 0.003), quiet(2, 0.003))) == 1


def test_what_was_cut_for_another_reason_is_not_cut_again() -> None:
    finder = PauseFinder()
    finder.feed(voice(2))
    finder.cut()
    assert finder.feed(quiet(3)) == []
    assert len(finder.feed(np.concatenate([voice(2), quiet(1)]))) == 1
