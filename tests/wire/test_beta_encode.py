"""What beta clients receive: every notice that the beta has an event for is one that its own types accept, and nothing of the GA's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from parley.core.words import items as i
from parley.core.words import notices as n
from parley.core.words.settings import ForceFunction, FunctionTool, NoiseReduction, ServerVad, Settings, Transcription
from parley.core.words.shell_notices import KeypadPressed
from parley.core.words.turn_measured import TurnMeasured
from parley.core.words.unstable_transcript import UnstableTranscript
from parley.wire.dialect import Encoder
from parley.wire.dialects import BETA
from tests.wire import beta_rules, samples
from tests.wire.samples import AT, CONVERSATION, ITEM, NOTICES, RESPONSE, SAMPLES, SESSION
from tests.wire.sdk import parse_beta_event
from tests.wire.surface import server_events

SAID = (*SAMPLES, n.ConversationCreated(CONVERSATION))

UNSAID = (
    n.ItemDone,
    n.IdleTimeoutTriggered,
    n.McpArgumentsDelta,
    n.McpArgumentsDone,
    n.McpCallProgress,
    n.McpListProgress,
    KeypadPressed,
)
"""Kinds of notice for which the beta has no event."""

GA_WORDS = (
    "output_text",
    "output_audio_transcript",
    "output_audio.",
    '"output_audio"',
    "output_modalities",
    '"max_output_tokens":null',
    "audio/pcm",
    "conversation.item.added",
    "conversation.item.done",
    "timeout_triggered",
    "idle_timeout_ms",
    "mcp",
    '"type":"realtime"',
    '"truncation"',
    '"reasoning"',
    '"parallel_tool_calls"',
)


def encoder() -> Encoder:
    return BETA.encoder(event_seed=b"test", wall_s=lambda: 1_767_000_000.0)


def encoded(notice: n.Notice) -> dict[str, Any]:
    frame = encoder().encode(notice)
    assert frame is not None
    event = json.loads(frame)
    assert isinstance(event, dict)
    return event


def about_mcp(notice: n.Notice) -> bool:
    return isinstance(
        getattr(notice, "item", None), i.McpListTools | i.McpCall | i.McpApprovalRequest | i.McpApprovalResponse
    )


def has_event(notice: n.Notice) -> bool:
    return not isinstance(notice, UNSAID) and not about_mcp(notice)


NOTES = {
    "output_audio_buffer.started": "where the server holds the playback",
    "output_audio_buffer.stopped": "where the server holds the playback",
    "output_audio_buffer.cleared": "where the server holds the playback",
    "conversation.item.input_audio_transcription.completed": "usage is the audio's duration",
}


def _marked(notice: n.Notice) -> Any:
    kind = encoded(notice)["type"]
    number = SAID.index(notice)
    if kind in beta_rules.UNLISTED:
        return pytest.param(notice, id=f"{kind}-{number}")
    mark = pytest.mark.proves(kind, state="sent", dialect="beta", note=NOTES.get(kind, ""))
    return pytest.param(notice, marks=mark, id=f"{kind}-{number}")


WRITTEN = [notice for notice in SAID if has_event(notice)] + [
    n.SessionUpdated(SESSION, Settings(kind="transcription", transcription=Transcription("whisper-1", "en")), 1000)
]
SAID = (*SAID, WRITTEN[-1])


@pytest.mark.parametrize("notice", [_marked(notice) for notice in WRITTEN])
def test_every_notice_with_a_beta_event_is_one_that_beta_clients_accept(notice: n.Notice) -> None:
    frame = encoder().encode(notice)
    assert frame is not None
    parse_beta_event(frame)


def test_every_server_event_of_the_beta_is_sent() -> None:
    assert {encoded(notice)["type"] for notice in WRITTEN} == set(server_events("beta")) | set(beta_rules.UNLISTED)


@pytest.mark.parametrize("notice", [notice for notice in SAID if not has_event(notice)])
def test_a_notice_without_a_beta_event_is_left_out(notice: n.Notice) -> None:
    assert encoder().encode(notice) is None


@given(NOTICES)
def test_any_notice_of_any_content_is_a_beta_event_or_none(notice: n.Notice) -> None:
    frame = encoder().encode(notice)
    assert (frame is not None) == has_event(notice)
    if frame is not None:
        parse_beta_event(frame)


@pytest.mark.parametrize("notice", WRITTEN)
def test_no_word_of_the_ga_dialect_reaches_a_beta_client(notice: n.Notice) -> None:
    frame = encoder().encode(notice)
    assert frame is not None
    assert [word for word in GA_WORDS if word in frame] == []


def test_the_session_is_flat_and_shows_the_betas_defaults() -> None:
    session = encoded(n.SessionCreated(SESSION, Settings(model="gpt-4o-realtime-preview", voice="alloy"), 3_600_000))
    assert session["session"] == {
        "id": SESSION,
        "object": "realtime.session",
        "expires_at": 1_767_003_600,
        "input_audio_noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "create_response": True,
            "interrupt_response": True,
        },
        "input_audio_format": "pcm16",
        "input_audio_transcription": None,
        "client_secret": None,
        "include": None,
        "modalities": ["audio", "text"],
        "model": "gpt-4o-realtime-preview",
        "instructions": "",
        "voice": "alloy",
        "output_audio_format": "pcm16",
        "tool_choice": "auto",
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
        "speed": 1.0,
        "tracing": None,
        "tools": [],
    }


def test_the_session_shows_what_the_client_chose() -> None:
    settings = Settings(
        modality="text",
        temperature=1.1,
        max_output_tokens=77,
        turn_detection=ServerVad(threshold=0.3),
        noise_reduction=NoiseReduction("far_field"),
        tools=(FunctionTool("weather", "Tells it.", '{"type":"object"}'),),
        tool_choice=ForceFunction("weather"),
    )
    session = encoded(n.SessionUpdated(SESSION, settings, 0))["session"]
    assert session["modalities"] == ["text"]
    assert (session["temperature"], session["max_response_output_tokens"]) == (1.1, 77)
    assert session["input_audio_noise_reduction"] == {"type": "far_field"}
    assert session["tool_choice"] == {"type": "function", "name": "weather"}
    assert session["tools"] == [
        {"type": "function", "name": "weather", "description": "Tells it.", "parameters": {"type": "object"}}
    ]


def test_a_transcription_session_begins_with_its_own_event() -> None:
    event = encoded(n.SessionCreated(SESSION, Settings(kind="transcription"), 1000))
    assert event["type"] == "transcription_session.created"
    assert event["session"]["object"] == "realtime.transcription_session"
    assert not {"voice", "tools", "instructions", "model"} & set(event["session"])


def test_an_assistants_content_has_the_betas_types() -> None:
    item = i.Message(ITEM, "assistant", (i.OutputText("Hi."), i.OutputAudio("Hello.", b"\x01\x02")))
    assert encoded(n.ItemRetrieved(item))["item"]["content"] == [
        {"type": "text", "text": "Hi."},
        {"type": "audio", "transcript": "Hello.", "audio": "AQI="},
    ]


def test_a_response_shows_what_it_was_made_with() -> None:
    response = encoded(n.ResponseCreated(samples.response(temperature=0.6)))["response"]
    assert response["modalities"] == ["audio", "text"]
    assert (response["voice"], response["output_audio_format"], response["temperature"]) == ("marin", "pcm16", 0.6)
    assert response["max_output_tokens"] == "inf"


def test_mcp_items_are_left_out_of_a_response() -> None:
    view = samples.response("completed", output=(samples.ANSWER, samples.MCP_FAILED), usage=samples.USAGE)
    assert [item["type"] for item in encoded(n.ResponseDone(view))["response"]["output"]] == ["message"]


def test_audio_deltas_have_the_betas_type_and_the_whole_audio() -> None:
    event = encoded(n.OutputAudioDelta(AT, b"\x00\x01"))
    assert (event["type"], event["delta"], event["response_id"]) == ("response.audio.delta", "AAE=", RESPONSE)


OWN = {"parley.turn.metrics": TurnMeasured, "parley.input_transcript.unstable": UnstableTranscript}
"""Parley's own events, which no SDK has."""


def test_a_client_knows_every_event_by_its_type_and_no_other() -> None:
    assert {encoded(notice)["type"]: type(notice) for notice in WRITTEN} | OWN == BETA.server_events
