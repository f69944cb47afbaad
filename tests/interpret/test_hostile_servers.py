"""Servers that send nonsense: a link neither breaks nor sends anything that it should not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.interpret.updates import RouteNote, TargetAudio
from parley.wire.dialects import BETA, GA
from tests.interpret.realtime_double import SAID, DialectName, Script
from tests.interpret.rules_table import RulesTable

TYPES = {"ga": sorted(GA.server_events), "beta": sorted(BETA.server_events)}
NAMES = ("id", "item_id", "response_id", "delta", "transcript", "text", "status", "code", "message", "param", "event_id", "role",
         "conversation_id", "type", "sentence", "attempt", "reason", "expires_at")  # fmt: skip
IDS = st.sampled_from(
    ["", "item_1", "item_2", "resp_1", "resp_2", "event_1", "event_2", "event_3", "1", "failed", "completed", "user"]
)
LEAVES = st.one_of(IDS, st.text(max_size=5), st.none(), st.booleans(), st.floats(), st.integers())
MEMBERS = st.dictionaries(st.sampled_from(NAMES), LEAVES, max_size=6)
OBJECTS = st.dictionaries(
    st.sampled_from(("response", "item", "error", "session", "metadata", "status_details", "output", "audio")),
    st.one_of(
        LEAVES,
        MEMBERS,
        st.lists(MEMBERS, max_size=2),
        st.dictionaries(st.sampled_from(("error", "metadata", "input")), MEMBERS),
    ),
    max_size=3,
)


@st.composite
def events(draw: st.DrawFn, dialect: DialectName) -> dict[str, Any]:
    return {**draw(MEMBERS), **draw(OBJECTS), "type": draw(st.sampled_from(TYPES[dialect]))}


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(["ga", "beta"]))
def test_events_of_any_content_in_any_order_break_nothing(data: st.DataObject, dialect: DialectName) -> None:
    table = RulesTable(Script(dialect))
    table.said(1)
    for event in data.draw(st.lists(st.one_of(events(dialect), st.just({})), max_size=25)):
        table.take(table.rules.received(json.dumps(event), table.now_s))
        if not event:
            table.said(2)
        table.begin_response(1)
    table.said(3)
    table.settle()
    table.take(table.rules.finish(table.now_s))
    table.settle()
    table.wait(120)
    assert table.end is not None
    assert table.updates[-1] is table.end
    assert table.rules.outgoing() == []


@pytest.mark.parametrize(
    "message", [b"", b"\xff\xfe", "[]", "7", "null", "{", '{"type": 7}', '"type"', "[" * 5_000, '{"type":"x"}']
)
def test_what_is_no_event_is_noted_at_most(message: str | bytes) -> None:
    table = RulesTable()
    updates = table.rules.received(message, table.now_s)
    assert all(isinstance(update, RouteNote) for update in updates)
    table.said(1)
    table.settle()
    assert table.text == [SAID[1]]


@pytest.mark.parametrize("delta", ["not base64!", "ü", "QQ=="])
def test_audio_that_is_none_is_noted_and_not_played(delta: str) -> None:
    table = RulesTable()
    table.said(1)
    table.begin_response(2)
    event = {"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_2", "delta": delta}
    table.take(table.rules.received(json.dumps(event), table.now_s))
    table.settle()
    assert sum(len(update.audio) for update in table.of(TargetAudio)) == table.server.samples_sent
    assert table.text == [SAID[1]]
    assert table.notes == ([] if delta == "QQ==" else ["The server sent audio that is not base64."])


def test_a_response_that_was_not_asked_for_is_not_played_and_the_next_sentence_is() -> None:
    """A server that starts one by itself, although turn detection is off."""
    table = RulesTable(Script("beta"))
    uninvited = {"id": "resp_x", "status": "in_progress", "metadata": None}
    for event in (
        {"type": "response.created", "response": uninvited},
        {"type": "response.audio_transcript.delta", "response_id": "resp_x", "delta": "Hello! How can I help you?"},
        {"type": "response.done", "response": {**uninvited, "status": "completed", "output": [{"id": "item_x"}]}},
    ):
        table.take(table.rules.received(json.dumps(event), table.now_s))
    table.settle()
    assert table.text == []
    table.said(1)
    table.settle()
    assert table.text == [SAID[1]]
    assert table.server.deleted[0] == "item_x", "what it said does not stay in the conversation"


def test_a_response_of_somebody_else_that_is_in_progress_is_waited_for() -> None:
    table = RulesTable()
    table.said(1)
    table.send()
    table.receive()
    (request,) = [
        event for message in table.rules.outgoing() if (event := json.loads(message))["type"] == "response.create"
    ]
    error = {"code": "conversation_already_has_active_response", "message": "busy", "event_id": request["event_id"]}
    table.take(table.rules.received(json.dumps({"type": "error", "error": error}), table.now_s))
    table.settle()
    assert table.played == []
    table.wait(1)
    assert table.played == [1]
    assert table.notes == []
