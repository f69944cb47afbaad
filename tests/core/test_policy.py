"""The values that a policy gets and returns."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from parley.core.policy import policy
from parley.core.policy.policy import Decided, Said
from tests.core.values import can_change, values_of


@given(st.text(max_size=40), st.integers(0, 40))
def test_only_words_without_a_decision_are_new(text: str, begin: int) -> None:
    said = Said(text, begin)
    assert text[:begin] + said.new == text


def test_all_words_of_a_turn_are_new_at_first() -> None:
    assert Said("hello there").new == "hello there"


def test_decisions_are_immutable() -> None:
    assert set(values_of(policy)) == {Said, *get_args(Decided)}
    assert [kind for kind in values_of(policy) if can_change(kind)] == []
