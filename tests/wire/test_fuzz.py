"""For any message of a client, the codec of each dialect gives an event or an error, and never raises."""

from __future__ import annotations

import base64
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.beta.realtime import RealtimeClientEvent as BetaClientEvent
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter

from parley.core.words.events import ClientErred, ClientEvent
from parley.wire.codec import Codec
from parley.wire.decoding import decode_object
from parley.wire.dialects import BETA, GA
from tests.wire.test_items import READ
from tests.wire.test_session_update import RATIO, TOOL, TRACE, VAD, WORDS

SDK: dict[str, TypeAdapter[Any]] = {
    "ga": TypeAdapter(RealtimeClientEvent),
    "beta": TypeAdapter(BetaClientEvent),
}
BOTH = pytest.mark.parametrize("dialect", [GA, BETA], ids=lambda dialect: dialect.name)
KINDS = get_args(ClientEvent)
PCM = {"type": "audio/pcm", "rate": 24000}

ALIKE: list[dict[str, Any]] = [
    {"type": "input_audio_buffer.append", "audio": "AAECAwQF"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "output_audio_buffer.clear"},
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 100},
    {"type": "response.cancel", "response_id": "resp_1"},
    {"type": "response.create"},
]
"""Events that both dialects write alike."""

VALID_GA: list[dict[str, Any]] = [
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "input": [READ[0][0], READ[-2][0]],
            "audio": {"output": {"format": PCM, "voice": {"id": "marin"}}},
            "tools": [TOOL],
            "metadata": {"a": "b"},
            "max_output_tokens": "inf",
        },
    },
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Be brief.",
            "tools": [TOOL],
            "tool_choice": {"type": "function", "name": "weather"},
            "truncation": RATIO,
            "tracing": TRACE,
            "reasoning": {"effort": "low"},
            "audio": {
                "input": {
                    "format": PCM,
                    "transcription": WORDS,
                    "turn_detection": VAD,
                    "noise_reduction": {"type": "far_field"},
                },
                "output": {"format": {"type": "audio/pcma"}, "voice": "marin", "speed": 1.1},
            },
        },
    },
    *({"type": "conversation.item.create", "item": item, "previous_item_id": "root"} for item, _ in READ),
]

BETA_TOOL = {"type": "function", "name": "weather", "description": "Now.", "parameters": {"type": "object"}}
BETA_ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAEC", "transcript": "Hi."}]},
    {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
    {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Yes."}], "id": "item_a"},
    {"type": "function_call", "name": "weather", "call_id": "call_1", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "Sun."},
]
VALID_BETA: list[dict[str, Any]] = [
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "modalities": ["audio", "text"],
            "instructions": "Be brief.",
            "voice": "verse",
            "output_audio_format": "g711_alaw",
            "tools": [BETA_TOOL],
            "tool_choice": "auto",
            "temperature": 0.7,
            "max_response_output_tokens": "inf",
            "metadata": {"a": "b"},
            "input": BETA_ITEMS[:1],
        },
    },
    {
        "type": "session.update",
        "session": {
            "modalities": ["text"],
            "instructions": "Be brief.",
            "voice": "verse",
            "input_audio_format": "g711_ulaw",
            "output_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": "names"},
            "input_audio_noise_reduction": {"type": "near_field"},
            "turn_detection": {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 200},
            "tools": [BETA_TOOL],
            "tool_choice": "required",
            "temperature": 0.9,
            "max_response_output_tokens": 100,
            "speed": 1.2,
            "tracing": "auto",
        },
    },
    {
        "type": "transcription_session.update",
        "session": {
            "input_audio_format": "pcm16",
            "input_audio_transcription": {"model": "gpt-4o-transcribe"},
            "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
            "include": ["item.input_audio_transcription.logprobs"],
        },
    },
    *({"type": "conversation.item.create", "item": item, "previous_item_id": "root"} for item in BETA_ITEMS),
]

VALID: dict[str, list[dict[str, Any]]] = {"ga": ALIKE + VALID_GA, "beta": ALIKE + VALID_BETA}

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
)
TELLING = st.sampled_from(
    ["realtime", "message", "user", "function", "mcp", "server_vad", "inf", "auto", "", "AAEC", "input_text"]
)
JSON = st.recursive(
    SCALARS | TELLING, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3)
)


def check(event: ClientEvent, event_id: str | None) -> None:
    assert isinstance(event, KINDS)
    assert event.event_id == event_id
    if isinstance(event, ClientErred):
        assert event.code
        assert event.message
        json.dumps([event.code, event.message, event.path]).encode()


@pytest.mark.parametrize(
    ("dialect", "event"),
    [(dialect, event) for dialect in (GA, BETA) for event in VALID[dialect.name]],
    ids=lambda value: str(value["type"]) if isinstance(value, dict) else value.name,
)
def test_an_event_that_the_sdk_accepts_is_read(dialect: Codec, event: dict[str, Any]) -> None:
    """Both sides of the examples: the `openai` package would send them, and the codec reads them."""
    SDK[dialect.name].validate_json(json.dumps(event), strict=True)
    decoded = dialect.decode(json.dumps({**event, "event_id": "mine"}))
    assert not isinstance(decoded, ClientErred), decoded
    check(decoded, "mine")


@BOTH
@given(frame=st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_get_an_answer(dialect: Codec, frame: str | bytes) -> None:
    assert isinstance(dialect.decode(frame), KINDS)


@BOTH
@given(value=JSON)
def test_any_json_gets_an_answer(dialect: Codec, value: Any) -> None:
    given_id = value.get("event_id") if isinstance(value, dict) else None
    check(dialect.decode(json.dumps(value)), given_id if isinstance(given_id, str) else None)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A valid event of either dialect with members replaced, removed, renamed or added somewhere inside, a few times."""
    event: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(VALID["ga"] + VALID["beta"]))))
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in containers(event) if place]
        if not places:
            break
        place = draw(st.sampled_from(places))
        key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        match draw(st.sampled_from(["replace", "remove", "rename", "add", "nest"])):
            case "replace":
                place[key] = draw(JSON)
            case "remove":
                del place[key]
            case "rename" if isinstance(place, dict):
                place[draw(st.text(max_size=8))] = place.pop(key)
            case "add" if isinstance(place, dict):
                place[draw(st.text(max_size=8) | TELLING)] = draw(JSON)
            case _:
                place[key] = draw(st.sampled_from([[place[key]], {"type": place[key]}]))
    return event


def containers(value: Any) -> list[Any]:
    found: list[Any] = []
    if isinstance(value, dict | list):
        found.append(value)
        for inner in value.values() if isinstance(value, dict) else value:
            found += containers(inner)
    return found


@BOTH
@given(event=mutated())
def test_any_mutation_of_a_valid_event_gets_an_answer_with_its_id(dialect: Codec, event: dict[str, Any]) -> None:
    event["event_id"] = "mine"
    check(dialect.decode(json.dumps(event)), "mine")


@BOTH
@given(event=mutated(), data=st.data())
def test_a_frame_cut_or_damaged_on_its_way_gets_an_answer(
    dialect: Codec, event: dict[str, Any], data: st.DataObject
) -> None:
    frame = bytearray(json.dumps(event).encode())
    place = data.draw(st.integers(0, len(frame) - 1))
    if data.draw(st.booleans()):
        del frame[place:]
    else:
        frame[place] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(dialect.decode(bytes(frame)), KINDS)


@BOTH
@given(event=mutated())
def test_the_fast_way_and_the_careful_way_agree(dialect: Codec, event: dict[str, Any]) -> None:
    """Audio is read by a way of its own; it must not take or refuse what the readers would not."""
    assert dialect.decode(json.dumps(event)) == decode_object(event, dialect.read_event)


@BOTH
@given(audio=st.binary(max_size=64), event_id=st.none() | st.text(max_size=20))
def test_any_append_arrives_as_it_was_sent(dialect: Codec, audio: bytes, event_id: str | None) -> None:
    frame = json.dumps(
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode(), "event_id": event_id}
    )
    event = dialect.decode(frame)
    assert getattr(event, "audio", None) == audio
    assert event.event_id == event_id


@BOTH
def test_nesting_as_deep_as_it_goes_gets_an_answer(dialect: Codec) -> None:
    for depth in (10, 100, 900, 990, 1_000, 5_000):
        deep = '{"a":' * depth + "1" + "}" * depth
        for head in ('"session":{"type":"realtime","tools":[{"name":"f","parameters":', '"response":{"x":'):
            tail = "}]}" if "tools" in head else "}"
            frame = f'{{"type":"session.update","event_id":"mine",{head}{deep}{tail}}}'
            assert isinstance(dialect.decode(frame), KINDS)
