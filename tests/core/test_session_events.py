"""A session accepts every event; one of unknown work is counted and dropped."""

from __future__ import annotations

from typing import get_args

import pytest

from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    AudioPlayed,
    CancelRequested,
    ClauseStarted,
    ClearRequested,
    ClientErred,
    ClientEvent,
    CommitRequested,
    Event,
    FirstTokenGenerated,
    GenerationFailed,
    GenerationFinished,
    InputEnded,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    LinkClosed,
    OutputClearRequested,
    PartialTranscribed,
    PauseJudged,
    ResponseRequested,
    SessionCloseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    Summarized,
    SummaryFailed,
    TextGenerated,
    TimePassed,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolFailed,
    ToolListingFailed,
    ToolsListed,
    Transcribed,
    TranscriptionFailed,
    VoiceScored,
    WindDownRequested,
    WorkAbandoned,
)
from parley.core.words.ids import (
    AttemptId,
    CallId,
    ClientEventId,
    ItemId,
    JudgementId,
    ListingId,
    SummaryId,
    ToolCallId,
    TurnId,
)
from parley.core.words.items import InputText, McpError, Message
from parley.core.words.notices import ErrorRaised
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.settings import Capabilities, OwnerSettings, Settings
from parley.core.words.work import AwaitedGeneration
from tests.core.scene import Scene

TURN, ATTEMPT, LISTING, CALL, ITEM = TurnId(99), AttemptId(99), ListingId(99), ToolCallId(99), ItemId("item_none")
ID = ClientEventId("mine")
FAULT = Fault("broken", "It is broken.")

BY_CLIENT: list[Event] = [
    SessionUpdateRequested({"speed": 1.1}, ID),
    AudioArrived(bytes(480), ID),
    CommitRequested(ID),
    ClearRequested(ID),
    OutputClearRequested(ID),
    ItemCreateRequested(Message(ItemId(""), "user", (InputText("hello"),)), None, ID),
    ItemRetrieveRequested(ITEM, ID),
    ItemDeleteRequested(ITEM, ID),
    ItemTruncateRequested(ITEM, 0, 0, ID),
    ResponseRequested(event_id=ID),
    CancelRequested(None, ID),
    SessionCloseRequested(ID),
    ClientErred("invalid_value", "No such type.", event_id=ID),
]
OF_UNKNOWN_WORK: list[Event] = [
    VoiceScored(768, 0.5),
    PartialTranscribed(TURN, "hello"),
    Transcribed(TURN, "hello"),
    TranscriptionFailed(TURN, FAULT),
    PauseJudged(TURN, JudgementId(99), 0.5),
    FirstTokenGenerated(ATTEMPT),
    TextGenerated(ATTEMPT, "hello"),
    ClauseStarted(ATTEMPT, "hello"),
    SpeechGenerated(ATTEMPT, bytes(480)),
    ToolCallStarted(ATTEMPT, 0, CallId("call"), "find"),
    ToolArgumentsGenerated(ATTEMPT, 0, "{}"),
    GenerationFinished(ATTEMPT),
    GenerationFailed(ATTEMPT, FAULT),
    ToolsListed(LISTING, ()),
    ToolListingFailed(LISTING, FAULT),
    ToolAnswered(CALL, "found"),
    ToolFailed(CALL, McpError("protocol_error", "not found")),
    PipelineFound("other", Settings(), OwnerSettings(), Capabilities()),
    PipelineNotFound(FAULT),
    WorkAbandoned(AwaitedGeneration(ATTEMPT)),
    Summarized(SummaryId(1), "Ada asked about the weather."),
    SummaryFailed(SummaryId(1), FAULT),
]
OTHERS: list[Event] = [AudioPlayed(480), TimePassed(), InputEnded(), WindDownRequested(), LinkClosed()]
EVERY = [*BY_CLIENT, *OF_UNKNOWN_WORK, *OTHERS]


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_any_event_may_come_first_and_the_session_continues(event: Event) -> None:
    assert {type(one) for one in EVERY} == set(get_args(Event))
    scene = Scene()
    scene.happens(event)
    assert scene.session.closed is isinstance(event, LinkClosed | WindDownRequested)


@pytest.mark.parametrize("event", OF_UNKNOWN_WORK, ids=lambda event: type(event).__name__)
def test_an_event_of_unknown_work_is_counted_and_has_no_effect(event: Event) -> None:
    scene = Scene()
    assert scene.happens(event) == []
    assert scene.session.late_events == 1


def test_an_error_names_the_client_event_that_caused_it() -> None:
    assert {type(event) for event in BY_CLIENT} == set(get_args(ClientEvent))
    refused = 0
    for event in BY_CLIENT:
        scene = Scene()
        scene.happens(event)
        refused += len(scene.notices(ErrorRaised))
        assert all(error.client_event_id == ID for error in scene.notices(ErrorRaised)), event
    assert refused == 8
