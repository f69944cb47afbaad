"""They are frozen values, and part of the closed union of events."""

from __future__ import annotations

from typing import get_args

from parley.core.words import summary_events
from parley.core.words.events import Event
from tests.core.values import can_change, values_of


def test_every_class_is_a_value_of_the_union() -> None:
    kinds = values_of(summary_events)
    assert set(kinds) <= set(get_args(Event))
    assert len(kinds) == 2
    assert [kind for kind in kinds if can_change(kind)] == []
