"""The work of the engines, and what is still outstanding."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from parley.core.words import work
from parley.core.words.ids import AttemptId, ListingId, SummaryId, ToolCallId, TurnId
from parley.core.words.settings import Settings
from parley.core.words.work import (
    AS_THE_SESSION,
    AwaitedCall,
    AwaitedGeneration,
    AwaitedListing,
    AwaitedSummary,
    AwaitedTranscript,
    HeardTurn,
    OriginalSpeech,
    Outstanding,
    Prompt,
    ResponseParams,
    Work,
)
from tests.core.values import can_change, values_of


def test_every_class_of_the_module_is_work_or_a_wait_or_describes_one() -> None:
    assert set(values_of(work)) - {ResponseParams, Prompt, HeardTurn} == {
        *get_args(Work),
        *get_args(Outstanding),
        OriginalSpeech,
    }
    assert [kind for kind in values_of(work) if can_change(kind)] == []


def test_a_response_without_options_takes_everything_from_its_session() -> None:
    asked = {field.name: getattr(AS_THE_SESSION, field.name) for field in fields(ResponseParams)}
    assert asked.pop("in_conversation") is True
    assert set(asked.values()) == {None}


def test_every_response_option_is_a_session_setting_of_the_same_name() -> None:
    own = {"in_conversation", "input", "metadata"}
    assert {field.name for field in fields(ResponseParams)} - own <= {field.name for field in fields(Settings)}


def test_work_of_different_kinds_with_one_number_is_distinct() -> None:
    awaited = [
        AwaitedTranscript(TurnId(1)),
        AwaitedGeneration(AttemptId(1)),
        AwaitedListing(ListingId(1)),
        AwaitedCall(ToolCallId(1)),
        AwaitedSummary(SummaryId(1)),
    ]
    assert len(set(awaited)) == len(get_args(Outstanding)) == 5
