"""Silence around speech is cut; the speech, and silence inside it, stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio.silence import GapCutter
from parley.audio.types import Samples

RATE = 1_000


def cut(pieces: list[Samples], keep_ms: int) -> tuple[Samples, int]:
    cutter = GapCutter(RATE, keep_ms)
    out = [cutter.push(piece) for piece in pieces]
    return np.concatenate([*out, cutter.finish()]), cutter.cut_in_front


def speech(before: int, inside: int, behind: int) -> Samples:
    voice = np.full(50, 0.5, np.float32)
    return np.concatenate(
        [np.zeros(before, np.float32), voice, np.zeros(inside, np.float32), voice, np.zeros(behind, np.float32)]
    )


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 100), st.integers(1, 97))
def test_the_gaps_are_cut_and_the_speech_stays_however_it_is_split(
    before: int, inside: int, behind: int, keep: int, size: int
) -> None:
    whole = speech(before, inside, behind)
    left, cut_in_front = cut([whole[at : at + size] for at in range(0, len(whole), size)], keep)
    assert cut_in_front == max(0, before - keep)
    assert np.array_equal(left, speech(min(before, keep), inside, min(behind, keep)))


@pytest.mark.parametrize("size", [0, 10, 500])
def test_nothing_but_silence_is_a_short_silence(size: int) -> None:
    left, _ = cut([np.zeros(size, np.float32)], 40)
    assert len(left) == min(size, 40)
