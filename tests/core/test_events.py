"""The events of a session: values that cannot change, each with the id of what it belongs to."""

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


def test_every_event_that_the_module_defines_is_one_that_a_session_takes() -> None:
    parts = {SpokenWord, TranscribedWord, MeasuredUsage}
    assert set(values_of(events)) - parts <= set(get_args(Event))


def test_no_event_can_be_changed_between_its_trace_and_its_replay() -> None:
    assert [kind for kind in values_of(events) if can_change(kind)] == []


def test_all_output_of_an_attempt_names_the_attempt() -> None:
    assert len(get_args(GenerationEvent)) == 7
    assert all("attempt" in {field.name for field in fields(kind)} for kind in get_args(GenerationEvent))


def test_whatever_a_client_sends_may_carry_an_id_that_an_error_names() -> None:
    for kind in get_args(ClientEvent):
        (id_,) = [field for field in fields(kind) if field.name == "event_id"]
        assert id_.default is None
