"""Speech over an original: what is heard of both, in any chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio.ducking import HOLD_MS, RETURN_MS, SOFTEN_MS, DuckedMix
from parley.audio.types import Samples

RATE = 8_000
MS = RATE // 1_000


def ones(ms: int, level: float = 0.5) -> Samples:
    return np.full(ms * MS, level, np.float32)


def test_without_speech_the_original_is_untouched() -> None:
    original = np.random.default_rng(1).uniform(-1, 1, 1_000).astype(np.float32)
    mixed, spoken = DuckedMix(RATE, 0.15).over(original)
    assert spoken == 0
    assert np.array_equal(mixed, original)


def test_the_original_is_soft_under_speech_and_loud_again_behind_it() -> None:
    mix = DuckedMix(RATE, 0.2)
    mix.queue(ones(400, 0.25))
    mixed, spoken = mix.over(ones(1_500))
    assert spoken == 400 * MS
    under = mixed[SOFTEN_MS * MS : 400 * MS]
    assert np.allclose(under, 0.25 + 0.2 * 0.5)
    gap = mixed[400 * MS : (400 + HOLD_MS) * MS]
    assert np.allclose(gap, 0.1), "soft for a while, should more speech follow"
    assert np.allclose(mixed[(400 + HOLD_MS + RETURN_MS) * MS :], 0.5)
    assert mix.queued == 0


def test_loudness_changes_without_steps() -> None:
    mix = DuckedMix(RATE, 0.0)
    mix.queue(np.zeros(300 * MS, np.float32))
    mixed, _ = mix.over(ones(1_500))
    steepest = float(np.abs(np.diff(mixed)).max())
    assert steepest <= 0.5 / (SOFTEN_MS * MS) + 1e-4


def test_a_gap_between_two_sentences_is_soft_throughout() -> None:
    mix = DuckedMix(RATE, 0.2)
    mix.queue(np.zeros(100 * MS, np.float32))
    first, _ = mix.over(ones(100 + HOLD_MS - 50))
    mix.queue(np.zeros(100 * MS, np.float32))
    second, _ = mix.over(ones(100))
    assert np.allclose(np.concatenate([first[SOFTEN_MS * MS :], second]), 0.1)


def test_a_word_shorter_than_the_ramp_softens_the_original_all_the_same() -> None:
    mix = DuckedMix(RATE, 0.2)
    mix.queue(np.zeros(5 * MS, np.float32))
    mixed, _ = mix.over(ones(100))
    assert mixed[-1] == pytest.approx(0.1)


def test_the_sum_stays_within_full_scale() -> None:
    mix = DuckedMix(RATE, 1.0)
    mix.queue(ones(10, 0.9))
    mixed, _ = mix.over(ones(10, 0.9))
    assert mixed.max() == 1.0


def test_speech_that_is_dropped_is_not_heard() -> None:
    mix = DuckedMix(RATE, 0.2)
    mix.queue(ones(100))
    mix.clear()
    mixed, spoken = mix.over(ones(100))
    assert (spoken, mix.queued) == (0, 0)
    assert np.array_equal(mixed, ones(100))


@given(
    st.lists(st.integers(0, 400), max_size=6),
    st.lists(st.integers(0, 700), min_size=1, max_size=12),
    st.floats(0, 1),
)
def test_chunks_do_not_change_what_is_heard(spoken: list[int], chunks: list[int], under: float) -> None:
    speech = np.random.default_rng(2).uniform(-0.3, 0.3, sum(spoken)).astype(np.float32)
    original = np.random.default_rng(3).uniform(-0.6, 0.6, sum(chunks)).astype(np.float32)
    whole, pieces = DuckedMix(RATE, under), DuckedMix(RATE, under)
    whole.queue(speech)
    at = 0
    for length in spoken:
        pieces.queue(speech[at : at + length])
        at += length
    expected, count = whole.over(original)
    heard, counts, at = [], 0, 0
    for length in chunks:
        mixed, laid = pieces.over(original[at : at + length])
        assert len(mixed) == length
        heard.append(mixed)
        counts += laid
        at += length
    assert counts == count == min(len(speech), len(original))
    assert pieces.queued == len(speech) - count
    assert np.allclose(np.concatenate(heard), expected, atol=1e-5)
