"""Where spoken translations lie: never early, never over each other, never too fast, and caught up after a pause."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.library import placed
from parley.library.placement import GAP_MS, MAX_RATE

CLOSE = 1e-6


@dataclass(frozen=True)
class At:
    start_ms: float


times = st.floats(0, 600_000, allow_nan=False)
durations = st.one_of(st.just(0.0), st.floats(1, 20_000))


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[At], list[float]]:
    starts = sorted(draw(st.lists(times, max_size=30)))
    return [At(start) for start in starts], [draw(durations) for _ in starts]


@given(recordings())
def test_translations_keep_their_order_and_never_overlap_or_come_early(case: tuple[list[At], list[float]]) -> None:
    segments, lengths = case
    places = placed(segments, lengths)
    assert len(places) == len(segments)
    spoken = [place for place, length in zip(places, lengths, strict=True) if length]
    for before, after in pairwise(spoken):
        assert after.start_ms >= before.end_ms + GAP_MS - CLOSE
    for segment, place in zip(segments, places, strict=True):
        assert place.start_ms >= segment.start_ms
        assert place.late_ms == place.start_ms - segment.start_ms


@given(recordings())
def test_no_word_is_lost_and_none_is_spoken_too_fast(case: tuple[list[At], list[float]]) -> None:
    segments, lengths = case
    for place, length in zip(placed(segments, lengths), lengths, strict=True):
        assert 1.0 <= place.rate <= MAX_RATE
        assert place.end_ms - place.start_ms == pytest.approx(length / place.rate, abs=CLOSE)


@given(recordings())
def test_a_translation_is_late_only_while_the_ones_before_leave_no_room(case: tuple[list[At], list[float]]) -> None:
    segments, lengths = case
    places = placed(segments, lengths)
    free_ms = 0.0
    for segment, place, length in zip(segments, places, lengths, strict=True):
        if length:
            assert place.start_ms == pytest.approx(max(segment.start_ms, free_ms), abs=CLOSE)
            free_ms = place.end_ms + GAP_MS


@given(recordings())
def test_speech_is_sped_up_as_far_as_the_next_needs_and_no_further(case: tuple[list[At], list[float]]) -> None:
    segments, lengths = case
    spoken = [
        (segment, place)
        for segment, place, length in zip(segments, placed(segments, lengths), lengths, strict=True)
        if length
    ]
    for (_, place), (following, after) in pairwise(spoken):
        if place.rate > 1.0:
            assert place.end_ms + GAP_MS >= following.start_ms - CLOSE, "it had room to be slower"
        if after.late_ms > CLOSE:
            assert place.rate == MAX_RATE, "it was not as fast as it may be, and the next one is late"


@given(recordings(), st.floats(1, 20_000))
def test_after_a_long_pause_nothing_is_late(case: tuple[list[At], list[float]], last: float) -> None:
    segments, lengths = case
    resumed = (segments[-1].start_ms if segments else 0.0) + sum(lengths) + GAP_MS * (len(lengths) + 1)
    places = placed([*segments, At(resumed)], [*lengths, last])
    assert places[-1].late_ms == 0.0


def test_a_crowd_of_sentences_is_spoken_at_the_bound_with_short_gaps_and_catches_up() -> None:
    segments = [At(0), At(1_000), At(2_000), At(10_000)]
    places = placed(segments, [2_000, 2_000, 2_000, 500])
    assert [place.rate for place in places] == [MAX_RATE, MAX_RATE, 1.0, 1.0]
    assert [place.start_ms for place in places] == [0, 1_680, 3_360, 10_000]


@pytest.mark.parametrize(
    ("starts", "lengths"), [([0.0, 1.0], [5.0]), ([2.0, 1.0], [5.0, 5.0]), ([1.0, 2.0], [5.0, -1.0])]
)
def test_impossible_segments_are_refused(starts: list[float], lengths: list[float]) -> None:
    with pytest.raises(ValueError):
        placed([At(start) for start in starts], lengths)
