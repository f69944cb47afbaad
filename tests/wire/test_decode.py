"""The other client events, and frames that are no events: each gets its event or an error that names it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from parley.core.words import events as e
from parley.core.words.ids import ClientEventId, ItemId, ResponseId
from parley.core.words.limits import MAX_APPEND_BYTES
from parley.wire.dialects import GA
from tests.wire.reading import read, refused
from tests.wire.surface import client_events

MINE = ClientEventId("mine")
APPEND = "input_audio_buffer.append"


def proves(event: str, *options: str, note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.proves(event, *options, state="honoured", note=note)


def case(kind: str, members: dict[str, object], event: e.ClientEvent) -> Any:
    marks = proves(kind, "event_id", *members)
    if kind == "output_audio_buffer.clear":
        marks = proves(kind, "event_id", note="where the server holds the playback; over WebSocket an error says so")
    return pytest.param(kind, members, event, marks=marks, id=kind)


@pytest.mark.parametrize(
    ("kind", "members", "event"),
    [
        case(APPEND, {"audio": "AAEC"}, e.AudioArrived(b"\x00\x01\x02", MINE)),
        case("input_audio_buffer.commit", {}, e.CommitRequested(MINE)),
        case("input_audio_buffer.clear", {}, e.ClearRequested(MINE)),
        case("output_audio_buffer.clear", {}, e.OutputClearRequested(MINE)),
        case("conversation.item.retrieve", {"item_id": "i"}, e.ItemRetrieveRequested(ItemId("i"), MINE)),
        case("conversation.item.delete", {"item_id": "i"}, e.ItemDeleteRequested(ItemId("i"), MINE)),
        case(
            "conversation.item.truncate",
            {"item_id": "i", "content_index": 0, "audio_end_ms": 1500},
            e.ItemTruncateRequested(ItemId("i"), 0, 1500, MINE),
        ),
        case("response.cancel", {"response_id": "r"}, e.CancelRequested(ResponseId("r"), MINE)),
    ],
)
def test_an_event_is_read_with_and_without_an_id_and_tomorrows_nulls(
    kind: str, members: dict[str, object], event: e.ClientEvent
) -> None:
    assert read(kind, **members, event_id="mine") == event
    assert read(kind, **members, event_id="mine", tomorrow=None) == event
    assert getattr(read(kind, **members), "event_id", "") is None
    assert getattr(read(kind, **members, event_id=None), "event_id", "") is None
    # The order of members does not matter.
    assert GA.decode(json.dumps({**dict(reversed(members.items())), "event_id": "mine", "type": kind})) == event
    error = refused(kind, **members, extra=1)
    assert (error.code, error.path) == ("unknown_parameter", "extra")


@proves("session.update", "event_id")
def test_an_update_keeps_its_id() -> None:
    event = read("session.update", session={"type": "realtime"}, event_id="mine")
    assert isinstance(event, e.SessionUpdateRequested)
    assert event.event_id == MINE


def test_every_client_event_of_the_sdk_is_known() -> None:
    supported = refused("nothing").message
    assert {kind for kind in client_events() if f"'{kind}'" in supported} == set(client_events())


@pytest.mark.parametrize("response_id", [{}, {"response_id": None}])
def test_a_cancel_without_an_id_means_whatever_runs(response_id: dict[str, object]) -> None:
    assert read("response.cancel", **response_id) == e.CancelRequested()


# --- audio ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 3, 959, 960, MAX_APPEND_BYTES])
def test_audio_of_any_size_up_to_fifteen_mebibytes_is_taken(size: int) -> None:
    audio = (b"abcdefg" * (size // 7 + 1))[:size]
    assert read(APPEND, audio=base64.b64encode(audio).decode()) == e.AudioArrived(audio)


def test_more_audio_at_once_is_refused_with_the_limit() -> None:
    error = refused(APPEND, audio=base64.b64encode(bytes(MAX_APPEND_BYTES + 1)).decode())
    assert (error.code, error.path) == ("invalid_value", "audio")
    assert str(MAX_APPEND_BYTES) in error.message


@pytest.mark.parametrize(
    "bad", ["!", "AAE", "AA EC", "AAEC\n", "AAE_", "=AAE", "AA=E", "é", "data:audio/wav;base64,AAEC"]
)
def test_audio_that_is_not_base64_is_refused(bad: str) -> None:
    error = refused(APPEND, audio=bad)
    assert (error.code, error.path) == ("invalid_value", "audio")
    assert "base64" in error.message


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "missing_required_parameter"),
        ({"audio": None}, "missing_required_parameter"),
        ({"audio": 5}, "invalid_type"),
        ({"audio": [0, 1, 2]}, "invalid_type"),
        ({"audio": {"data": "AAEC"}}, "invalid_type"),
    ],
)
def test_audio_that_is_not_there_or_not_a_string_is_refused(members: dict[str, object], code: str) -> None:
    error = refused(APPEND, **members)
    assert (error.code, error.path) == (code, "audio")


def test_escapes_in_base64_are_still_base64() -> None:
    assert GA.decode(r'{"type":"input_audio_buffer.append","audio":"\u0041A\u0045C"}') == e.AudioArrived(
        b"\x00\x01\x02"
    )


# --- members of the small events --------------------------------------------------------------------------------------------


TRUNCATE: dict[str, object] = {"item_id": "i", "content_index": 0, "audio_end_ms": 0}


@pytest.mark.parametrize(
    ("kind", "members", "param", "code"),
    [
        ("conversation.item.retrieve", {}, "item_id", "missing_required_parameter"),
        ("conversation.item.delete", {"item_id": 5}, "item_id", "invalid_type"),
        ("conversation.item.delete", {"item_id": ""}, "item_id", "invalid_value"),
        (
            "conversation.item.truncate",
            {**TRUNCATE, "content_index": None},
            "content_index",
            "missing_required_parameter",
        ),
        ("conversation.item.truncate", {**TRUNCATE, "content_index": -1}, "content_index", "invalid_value"),
        ("conversation.item.truncate", {**TRUNCATE, "audio_end_ms": 1.5}, "audio_end_ms", "invalid_type"),
        ("conversation.item.truncate", {**TRUNCATE, "audio_end_ms": True}, "audio_end_ms", "invalid_type"),
        ("conversation.item.truncate", {**TRUNCATE, "audio_end_ms": "9"}, "audio_end_ms", "invalid_type"),
        ("conversation.item.truncate", {**TRUNCATE, "audio_end_ms": -1}, "audio_end_ms", "invalid_value"),
        ("conversation.item.truncate", {**TRUNCATE, "audio_end_ms": 2**60}, "audio_end_ms", "invalid_value"),
        ("response.cancel", {"response_id": 7}, "response_id", "invalid_type"),
    ],
)
def test_a_wrong_member_is_named(kind: str, members: dict[str, object], param: str, code: str) -> None:
    error = refused(kind, **members)
    assert (error.path, error.code) == (param, code)


def test_a_whole_number_written_as_a_decimal_is_whole() -> None:
    event = read("conversation.item.truncate", **{**TRUNCATE, "audio_end_ms": 1500.0})
    assert isinstance(event, e.ItemTruncateRequested)
    assert event.audio_end_ms == 1500


# --- frames that are no events ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code", "param", "event_id"),
    [
        ("", "invalid_json", None, None),
        ("{", "invalid_json", None, None),
        ('{"type":"response.create"', "invalid_json", None, None),
        ('{"type":"response.create"} {}', "invalid_json", None, None),
        ("{'type':'response.create'}", "invalid_json", None, None),
        (b"\xff\xfe", "invalid_json", None, None),
        (b'{"type":"\xff"}', "invalid_json", None, None),
        ("\ud800", "invalid_json", None, None),
        ("[" * 100_000, "invalid_json", None, None),
        ('{"type":"response.create","event_id":"mine","a":NaN}', "invalid_json", None, MINE),
        ('{"type":"response.create","event_id":"mine","a":1e999}', "invalid_json", None, MINE),
        ("null", "invalid_event", None, None),
        ("5", "invalid_event", None, None),
        ('"response.create"', "invalid_event", None, None),
        ('[{"type":"response.create"}]', "invalid_event", None, None),
        ("{}", "invalid_event", None, None),
        ('{"event_id":"mine"}', "invalid_event", None, MINE),
        ('{"event_id":"mine","type":null}', "invalid_event", None, MINE),
        ('{"event_id":"mine","type":5}', "invalid_type", "type", MINE),
        ('{"event_id":"mine","type":"response.creat"}', "invalid_value", "type", MINE),
        ('{"event_id":5,"type":"response.create"}', "invalid_type", "event_id", None),
        (json.dumps({"event_id": "x" * 513, "type": "response.create"}), "invalid_value", "event_id", None),
        (json.dumps({"event_id": "x" * 513, "type": APPEND, "audio": ""}), "invalid_value", "event_id", None),
    ],
)
def test_a_frame_that_is_no_event_gets_an_error(
    frame: str | bytes, code: str, param: str | None, event_id: str | None
) -> None:
    event = GA.decode(frame)
    assert isinstance(event, e.ClientErred)
    assert (event.code, event.path, event.event_id) == (code, param, event_id)


def test_the_documented_message_of_a_missing_type_is_word_for_word() -> None:
    assert GA.decode("{}") == e.ClientErred("invalid_event", "The 'type' field is missing.")


def test_an_error_never_repeats_more_than_a_little_of_what_was_sent() -> None:
    long = "x" * 1_000_000
    for event in (
        read(long),
        read("session.update", session={"type": long}),
        read("session.update", session={"type": "realtime", long: 1}),
        read("response.create", response={"metadata": {long: "a"}}),
        read("response.create", **{long: 1}),
    ):
        assert isinstance(event, e.ClientErred)
        assert len(event.message) + len(event.path or "") < 1500


HALF, PAIR = r"\ud83d", r"\ud83d\ude00"


ITEMS = (
    '{"type":"message","role":"user","content":[{"type":"input_text","text":"@"}]}',
    '{"type":"message","role":"system","content":[{"type":"input_text","text":"@"}]}',
    '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"@"}]}',
    '{"type":"message","role":"user","content":[{"type":"input_audio","transcript":"@"}]}',
    '{"type":"function_call","name":"f","arguments":"@"}',
    '{"type":"function_call_output","call_id":"@","output":"@"}',
    '{"type":"mcp_approval_response","approval_request_id":"r","approve":false,"reason":"@"}',
)
TOOL = '{"type":"function","name":"f","description":"@","parameters":{"title":"@"}}'
EVENTS = (
    *('{"type":"conversation.item.create","event_id":"@","item":' + item + "}" for item in ITEMS),
    '{"type":"session.update","session":{"type":"realtime","instructions":"@","tools":[' + TOOL + "]}}",
    '{"type":"session.update","session":{"type":"realtime","audio":{"input":{"transcription":{"prompt":"@"}}}}}',
    '{"type":"response.create","response":{"instructions":"@","metadata":{"@":"@"}}}',
    '{"type":"input_audio_buffer.append","event_id":"@","audio":"AAEC"}',
)
"""Events with `@` in every kind of string that a client may send."""


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("text", [HALF, r"\uDE00", r"a\ud83d!", r"\ud83d\ud83d", r"\ude00\ud83d", r"\ud83d\n"])
def test_half_a_character_is_taken_as_the_replacement_character(text: str, event: str) -> None:
    whole = text.replace(HALF, "\ufffd").replace(r"\uDE00", "\ufffd").replace(r"\ude00", "\ufffd")
    half, expected = GA.decode(event.replace("@", text).encode()), GA.decode(event.replace("@", whole))
    assert not isinstance(expected, e.ClientErred)
    assert half == expected


@pytest.mark.parametrize("beside", [PAIR, r"\\ud83d", r"\\\\ud83d", r"\n\u00e9\u0000", "é😀"])
def test_text_around_half_a_character_is_unchanged(beside: str) -> None:
    half, expected = (EVENTS[0].replace("@", f"{beside}{piece}{beside}") for piece in (HALF, "\ufffd"))
    assert GA.decode(half.encode()) == GA.decode(expected.encode())


def test_half_a_character_does_not_make_broken_json_whole() -> None:
    event = GA.decode(rb'{"type":"response.create","event_id":"mine","response":{"instructions":"\ud83d"}')
    assert isinstance(event, e.ClientErred)
    assert event.code == "invalid_json"
