from __future__ import annotations

from itertools import pairwise

import pytest

from parley.core.policy.endpointing import pause_needed_ms, prefix_ms, threshold_of
from parley.core.words.settings import Eagerness, SemanticVad, ServerVad


def test_server_vad_waits_for_exactly_its_silence_duration() -> None:
    assert pause_needed_ms(ServerVad(silence_duration_ms=320), None) == 320
    assert pause_needed_ms(ServerVad(silence_duration_ms=320), 0.01) == 320


@pytest.mark.parametrize(("eagerness", "longest"), [("low", 8000), ("medium", 4000), ("high", 2000), ("auto", 4000)])
def test_an_unfinished_turn_waits_for_the_documented_maximum(eagerness: Eagerness, longest: int) -> None:
    assert pause_needed_ms(SemanticVad(eagerness), 0.0) == longest
    assert pause_needed_ms(SemanticVad(eagerness), None) == longest


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
def test_the_wait_falls_as_the_end_probability_rises(eagerness: Eagerness) -> None:
    waits = [pause_needed_ms(SemanticVad(eagerness), p / 20) for p in range(21)]
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] < waits[0]


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
def test_nearly_equal_judgements_give_nearly_equal_waits(eagerness: Eagerness) -> None:
    waits = [pause_needed_ms(SemanticVad(eagerness), p / 1_000) for p in range(1_001)]
    assert all(longer <= shorter * 1.01 + 1 for longer, shorter in pairwise(waits))


def test_a_more_eager_session_never_waits_longer() -> None:
    for p in (0.0, 0.3, 0.6, 0.9):
        low, medium, high = (pause_needed_ms(SemanticVad(e), p) for e in ("low", "medium", "high"))
        assert low > medium > high


@pytest.mark.parametrize(
    ("finished", "wait_ms"),
    [(0.1, 4000), (0.175, 2191), (0.25, 1200), (0.5, 1000), (0.6, 775), (0.7, 600), (0.9, 200), (1.0, 200)],
)
def test_between_two_judgements_the_wait_is_their_geometric_mean(finished: float, wait_ms: int) -> None:
    assert abs(pause_needed_ms(SemanticVad("medium"), finished) - wait_ms) <= 1


def test_the_clients_threshold_and_pre_roll_are_used() -> None:
    assert (threshold_of(ServerVad(threshold=0.8)), prefix_ms(ServerVad(prefix_padding_ms=120))) == (0.8, 120)
    assert (threshold_of(SemanticVad()), prefix_ms(SemanticVad())) == (0.5, 300)
