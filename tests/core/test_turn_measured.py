"""The figures of a turn, as its client gets them."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from parley.core.words import turn_measured
from parley.core.words.notices import Notice
from parley.core.words.turn_measured import TurnMeasured
from tests.core.values import can_change, values_of


def test_the_figures_of_a_turn_are_a_notice_that_cannot_be_changed() -> None:
    assert values_of(turn_measured) == [TurnMeasured]
    assert TurnMeasured in get_args(Notice)
    assert not can_change(TurnMeasured)


def test_each_duration_is_named_with_its_unit_and_may_be_missing() -> None:
    durations = {field.name for field in fields(TurnMeasured) if "float" in str(field.type)}
    assert all(name.endswith("_ms") for name in durations)
    nothing = TurnMeasured(
        "request", None, None, **dict.fromkeys(sorted(durations)), speculation="none", speculations_lost=0
    )
    assert {getattr(nothing, name) for name in durations} == {None}
