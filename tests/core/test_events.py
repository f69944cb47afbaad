"""Events are immutable and carry the ids of what they belong to."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from parley.core.words import events
from parley.core.words.events import (
    ClientEvent,
    Event,
    GenerationEvent,
    MeasuredUsage,
    SpokenWord,
    TranscribedWord,
)
from tests.core.values import can_change, values_of


def test_every_event_of_the_module_is_accepted_by_a_session() -> None:
    parts = {SpokenWord, TranscribedWord, MeasuredUsage}
    assert set(values_of(events)) - parts <= set(get_args(Event))


def test_events_are_immutable() -> None:
    assert [kind for kind in values_of(events) if can_change(kind)] == []


def test_all_output_events_of_an_attempt_name_the_attempt() -> None:
    assert len(get_args(GenerationEvent)) == 7
    assert all("attempt" in {field.name for field in fields(kind)} for kind in get_args(GenerationEvent))


def test_every_client_event_may_carry_an_event_id() -> None:
    for kind in get_args(ClientEvent):
        (id_,) = [field for field in fields(kind) if field.name == "event_id"]
        assert id_.default is None
