"""What clients receive: every notice is an event that the stock clients' own types accept."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given

from parley.core.words import items as i
from parley.core.words import notices as n
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.settings import Settings
from parley.core.words.turn_measured import TurnMeasured
from parley.core.words.unstable_transcript import UnstableTranscript
from parley.wire.dialect import Encoder
from parley.wire.dialects import GA
from tests.wire import samples
from tests.wire.samples import AT, ITEM, NOTICE_KINDS, NOTICES, RESPONSE, SAMPLES, SESSION
from tests.wire.sdk import parse_server_event
from tests.wire.surface import server_events

NEVER = {
    "conversation.created": "the GA wire does not send it; the session's conversation is the default one",
    "conversation.item.created": "the beta's name; `conversation.item.added` and `.done` take its place",
    "conversation.item.input_audio_transcription.segment": "no built-in recogniser tells speakers apart",
}
NOTES = {
    "input_audio_buffer.dtmf_event_received": "in telephone calls",
    "output_audio_buffer.started": "where the server holds the playback",
    "output_audio_buffer.stopped": "where the server holds the playback",
    "output_audio_buffer.cleared": "where the server holds the playback",
    "conversation.item.input_audio_transcription.completed": "usage is the audio's duration",
}


def encoder() -> Encoder:
    return GA.encoder(event_seed=b"test", wall_s=lambda: 1_767_000_000.0)


def encoded(notice: n.Notice) -> dict[str, Any]:
    frame = encoder().encode(notice)
    assert frame is not None
    event = json.loads(frame)
    assert isinstance(event, dict)
    return event


def _marked(notice: n.Notice) -> Any:
    kind = encoded(notice)["type"]
    mark = pytest.mark.proves(kind, state="sent", note=NOTES.get(kind, ""))
    return pytest.param(notice, marks=mark, id=f"{kind}-{SAMPLES.index(notice)}")


@pytest.mark.parametrize("notice", [_marked(notice) for notice in SAMPLES])
def test_every_notice_is_an_event_that_stock_clients_accept(notice: n.Notice) -> None:
    frame = encoder().encode(notice)
    assert frame is not None
    parse_server_event(frame)


def test_every_kind_of_notice_is_among_the_samples() -> None:
    assert {type(notice) for notice in SAMPLES} == set(NOTICE_KINDS) - {n.ConversationCreated}


@given(NOTICES)
def test_any_notice_of_any_content_is_an_event_that_stock_clients_accept(notice: n.Notice) -> None:
    frame = encoder().encode(notice)
    if isinstance(notice, n.ConversationCreated):
        assert frame is None
    else:
        assert frame is not None
        parse_server_event(frame)


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.proves(k, state="not sent", note=why)) for k, why in NEVER.items()]
)
def test_an_event_that_is_never_sent_has_no_notice(kind: str) -> None:
    assert kind in server_events()
    assert kind not in {encoded(notice)["type"] for notice in SAMPLES}


def test_every_server_event_of_the_sdk_is_sent_or_listed_as_never_sent() -> None:
    assert {encoded(notice)["type"] for notice in SAMPLES} | set(NEVER) == set(server_events())


def test_every_event_has_an_id_of_its_own_and_other_connections_have_others() -> None:
    one, other = encoder(), GA.encoder(event_seed=b"other", wall_s=lambda: 0.0)
    frames = [e.encode(notice) for e in (one, other) for notice in SAMPLES]
    ids = {json.loads(frame)["event_id"] for frame in frames if frame is not None}
    assert len(ids) == len(frames)


def test_the_session_is_the_real_wires_key_by_key() -> None:
    session = encoded(n.SessionCreated(SESSION, Settings(model="gpt-realtime", voice="alloy"), 3_600_000))["session"]
    vad = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    pcm = {"type": "audio/pcm", "rate": 24000}
    expected: dict[str, object] = {
        "type": "realtime",
        "object": "realtime.session",
        "id": SESSION,
        "model": "gpt-realtime",
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": 1_767_003_600,
        "audio": {
            "input": {"format": pcm, "transcription": None, "noise_reduction": None, "turn_detection": vad},
            "output": {"format": pcm, "voice": "alloy", "speed": 1.0},
        },
        "include": None,
    }
    assert json.dumps(session) == json.dumps(expected)


def test_a_transcription_session_has_no_output_no_model_and_no_instructions() -> None:
    session = encoded(n.SessionCreated(SESSION, Settings(kind="transcription", model="m"), 1000))["session"]
    assert set(session) == {"type", "object", "id", "expires_at", "audio", "include"}
    assert set(session["audio"]) == {"input"}
    assert session["object"] == "realtime.transcription_session"


def test_audio_and_images_are_shown_only_when_the_item_is_retrieved() -> None:
    picture = "data:image/png;base64,AAAA"
    item = i.Message(
        ITEM, "user", (i.InputAudio("Hi.", b"\x01\x02"), i.InputImage(picture), i.InputImage("https://a/b"))
    )
    for notice in (n.ItemAdded(item, None), n.ItemDone(item, None), n.OutputItemDone(RESPONSE, 0, item)):
        content = encoded(notice)["item"]["content"]
        assert "audio" not in content[0]
        assert "image_url" not in content[1]
        assert content[2]["image_url"] == "https://a/b"
    content = encoded(n.ItemRetrieved(item))["item"]["content"]
    assert base64.b64decode(content[0]["audio"]) == b"\x01\x02"
    assert content[1]["image_url"] == picture


def test_an_unknown_transcript_is_a_null_and_never_a_missing_key() -> None:
    content = encoded(n.ItemAdded(samples.SAID, None))["item"]["content"]
    assert content == [{"type": "input_audio", "transcript": None}]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 960, 48_000])
def test_an_audio_delta_carries_exactly_the_audio_whatever_its_size(size: int) -> None:
    audio = bytes(index % 251 for index in range(size))
    assert base64.b64decode(encoded(n.OutputAudioDelta(AT, audio))["delta"], validate=True) == audio


def test_audio_deltas_of_parts_in_turn_each_name_their_own_part() -> None:
    """The encoder keeps the part it wrote last; another one's delta must not wear its name."""
    writer = encoder()
    other = n.PartAt(ResponseId('resp_"quoted"'), ItemId("item_\\"), 1, 2)
    for at in (AT, other, AT, other, other):
        frame = writer.encode(n.OutputAudioDelta(at, b"ab"))
        assert frame is not None
        event = parse_server_event(frame)
        assert (event.response_id, event.item_id) == (at.response_id, at.item_id)
        assert (event.output_index, event.content_index) == (at.output_index, at.content_index)


def test_usage_adds_up_and_counts_every_kind() -> None:
    usage = encoded(n.ResponseDone(samples.response("completed", usage=samples.USAGE)))["response"]["usage"]
    assert usage == {
        "total_tokens": 94,
        "input_tokens": 47,
        "output_tokens": 47,
        "input_token_details": {
            "text_tokens": 30,
            "audio_tokens": 12,
            "image_tokens": 5,
            "cached_tokens": 20,
            "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 7, "audio_tokens": 40},
    }


@pytest.mark.parametrize(
    ("view", "details"),
    [
        (samples.response(), None),
        (samples.response("completed"), None),
        (samples.response("cancelled", reason="client_cancelled"), {"type": "cancelled", "reason": "client_cancelled"}),
        (samples.response("incomplete", reason="content_filter"), {"type": "incomplete", "reason": "content_filter"}),
        (
            samples.response("failed", error=n.ResponseError("server_error", "tts_failed", "No voice.")),
            {"type": "failed", "error": {"type": "server_error", "code": "tts_failed", "message": "No voice."}},
        ),
    ],
)
def test_a_response_says_how_it_ended(view: n.ResponseView, details: object) -> None:
    assert encoded(n.ResponseDone(view))["response"]["status_details"] == details


def test_an_error_names_the_clients_event_and_shows_its_nulls() -> None:
    assert encoded(n.ErrorRaised("session_expired", "Over."))["error"] == {
        "type": "invalid_request_error",
        "code": "session_expired",
        "message": "Over.",
        "param": None,
        "event_id": None,
    }


OWN = {"parley.turn.metrics": TurnMeasured, "parley.input_transcript.unstable": UnstableTranscript}
"""Parley's own events, which no SDK has."""


def test_a_client_knows_every_event_by_its_type_and_no_other() -> None:
    assert {encoded(notice)["type"]: type(notice) for notice in SAMPLES} | OWN == GA.server_events


def test_parleys_own_event_says_where_the_time_of_a_turn_went() -> None:
    event = encoded(TurnMeasured("voice", ITEM, RESPONSE, 1200.0, 1700.0, 35.5, 36.0, 90.0, 130.5, 131.0, "won", 1))
    assert event.pop("event_id")
    assert event == {
        "type": "parley.turn.metrics",
        "ending": "voice",
        "item_id": ITEM,
        "response_id": RESPONSE,
        "voice_end_at_ms": 1200.0,
        "turn_end_at_ms": 1700.0,
        "transcript_ms": 35.5,
        "requested_ms": 36.0,
        "first_token_ms": 90.0,
        "first_audio_ms": 130.5,
        "sent_ms": 131.0,
        "speculation": "won",
        "speculations_lost": 1,
    }
