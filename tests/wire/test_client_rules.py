"""The reader that checks every event sent would notice each fault that trips a stock client."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from parley.core.words import items as i
from parley.core.words import notices as n
from parley.core.words.settings import Settings
from tests.wire import samples
from tests.wire.sdk import parse_server_event
from tests.wire.test_encode import encoded

DONE = n.ResponseDone(samples.response("completed", output=(samples.ANSWER, samples.CALLED), usage=samples.USAGE))
USER = n.ItemAdded(i.Message(samples.ITEM, "user", (i.InputText("Hi"), i.InputAudio("Hi"))), None)
CALL = n.OutputItemAdded(samples.RESPONSE, 0, samples.CALLING)
FAILED = n.TranscriptionFailedNotice(samples.ITEM, 0, "c", "m")
COMPLETED = n.TranscriptionCompleted(samples.ITEM, 0, "Hi", 1.0)
DELETE = object()


@pytest.mark.parametrize(
    ("notice", "path", "value"),
    [
        pytest.param(DONE, "type", "response.finished", id="unknown-event"),
        pytest.param(DONE, "event_id", DELETE, id="no-event-id"),
        pytest.param(DONE, "response.status", "done", id="unknown-status"),
        pytest.param(DONE, "response.audio.output.voice", {"id": "marin"}, id="voice-object"),
        pytest.param(DONE, "response.usage.total_tokens", None, id="null-usage-number"),
        pytest.param(DONE, "response.usage.total_tokens", 1, id="usage-that-does-not-add-up"),
        pytest.param(DONE, "response.usage.output_token_details.audio_tokens", DELETE, id="no-audio-tokens"),
        pytest.param(DONE, "response.status_details", {"type": "completed", "reason": None}, id="null-reason"),
        pytest.param(DONE, "response.output.0.id", DELETE, id="item-without-id"),
        pytest.param(DONE, "response.output.0.content", DELETE, id="message-without-content"),
        pytest.param(DONE, "response.output.0.phase", "final", id="member-that-no-type-has"),
        pytest.param(DONE, "response.output.0.content.0.type", "audio", id="content-of-the-beta"),
        pytest.param(DONE, "response.output.0.content.0.audio", None, id="null-audio"),
        pytest.param(DONE, "response.output.1.role", None, id="null-role-of-a-call"),
        pytest.param(DONE, "response.output.1.call_id", None, id="null-call-id"),
        pytest.param(DONE, "response.output.1.name", DELETE, id="call-without-name"),
        pytest.param(USER, "item.status", None, id="null-status"),
        pytest.param(USER, "item.content.0.text", DELETE, id="text-without-text"),
        pytest.param(USER, "item.content.1.transcript", DELETE, id="audio-without-the-transcript-key"),
        pytest.param(CALL, "item.status", "completed", id="call-added-as-completed"),
        pytest.param(FAILED, "error.code", None, id="null-code-of-a-failed-transcription"),
        pytest.param(COMPLETED, "usage", DELETE, id="transcription-without-usage"),
        pytest.param(n.InputSpeechStarted(samples.ITEM, 1), "audio_start_ms", 1.5, id="fractional-milliseconds"),
        pytest.param(n.InputSpeechStarted(samples.ITEM, 1), "audio_start_ms", "1", id="milliseconds-in-a-string"),
        pytest.param(n.SessionCreated(samples.SESSION, Settings(), 1), "session.voice", "x", id="beta-session"),
    ],
)
def test_a_fault_that_trips_a_stock_client_is_noticed(notice: n.Notice, path: str, value: object) -> None:
    event = encoded(notice)
    parse_server_event(json.dumps(event))
    broken = copy.deepcopy(event)
    *way, last = path.split(".")
    place: Any = broken
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is DELETE:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(AssertionError):
        parse_server_event(json.dumps(broken))
