"""What beta clients send: every option of the beta's types becomes its core value, or an error that names it as the client wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.core.words import events as e
from parley.core.words.events import ClientErred, ClientEvent
from parley.core.words.ids import CallId, ClientEventId, ItemId, ResponseId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputText,
    ItemReference,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.settings import (
    AudioFormat,
    ForceFunction,
    FunctionTool,
    NoiseReduction,
    SemanticVad,
    ServerVad,
    SettingsPatch,
    Transcription,
)
from parley.core.words.work import ResponseParams
from parley.wire.dialects import BETA, GA
from tests.wire.reading import under
from tests.wire.surface import client_events

MINE = ClientEventId("mine")
UPDATE, TRANSCRIPTION, CREATE, ITEM = (
    "session.update",
    "transcription_session.update",
    "response.create",
    "conversation.item.create",
)


def proves(event: str, *options: str, state: str = "honoured", note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.proves(event, *options, state=state, note=note, dialect="beta")


def read(kind: str, **members: object) -> ClientEvent:
    return BETA.decode(json.dumps({"type": kind, **members}))


def refused(kind: str, **members: object) -> ClientErred:
    event = read(kind, **members, event_id="mine")
    assert isinstance(event, ClientErred), f"accepted as {event}"
    assert event.event_id == MINE
    return event


def patched(kind: str, session: Mapping[str, object]) -> SettingsPatch:
    event = read(kind, session=session)
    assert isinstance(event, e.SessionUpdateRequested), event
    return event.patch


# --- events that both dialects have ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "members", "event"),
    [
        pytest.param(kind, members, event, marks=proves(kind, "event_id", *members, note=note), id=kind)
        for kind, members, event, note in (
            ("input_audio_buffer.append", {"audio": "AAEC"}, e.AudioArrived(b"\x00\x01\x02", MINE), ""),
            ("input_audio_buffer.commit", {}, e.CommitRequested(MINE), ""),
            ("input_audio_buffer.clear", {}, e.ClearRequested(MINE), ""),
            (
                "output_audio_buffer.clear",
                {},
                e.OutputClearRequested(MINE),
                "where the server holds the playback; over WebSocket an error says so",
            ),
            ("conversation.item.retrieve", {"item_id": "i"}, e.ItemRetrieveRequested(ItemId("i"), MINE), ""),
            ("conversation.item.delete", {"item_id": "i"}, e.ItemDeleteRequested(ItemId("i"), MINE), ""),
            (
                "conversation.item.truncate",
                {"item_id": "i", "content_index": 0, "audio_end_ms": 1500},
                e.ItemTruncateRequested(ItemId("i"), 0, 1500, MINE),
                "",
            ),
            ("response.cancel", {"response_id": "r"}, e.CancelRequested(ResponseId("r"), MINE), ""),
        )
    ],
)
def test_an_event_of_both_dialects_is_read_alike(kind: str, members: dict[str, Any], event: ClientEvent) -> None:
    assert read(kind, **members, event_id="mine") == event
    assert GA.decode(json.dumps({"type": kind, **members, "event_id": "mine"})) == event


def test_every_client_event_of_the_beta_is_known_and_no_other() -> None:
    supported = refused("nothing").message
    assert {kind for kind in client_events("beta") if f"'{kind}'" in supported} == set(client_events("beta"))
    assert supported.count("'") == 2 * len(client_events("beta")) + 4


# --- the session -------------------------------------------------------------------------------------------------------------

LISTENING: list[tuple[str, object, dict[str, object]]] = [
    ("input_audio_format", "g711_ulaw", {"input_format": AudioFormat.PCMU}),
    ("input_audio_format", "pcm16", {"input_format": AudioFormat.PCM16}),
    (
        "input_audio_transcription",
        {"model": "whisper-1", "language": "en", "prompt": "cities"},
        {"transcription": Transcription("whisper-1", "en", "cities")},
    ),
    ("input_audio_transcription", None, {"transcription": None}),
    ("input_audio_noise_reduction", {"type": "far_field"}, {"noise_reduction": NoiseReduction("far_field")}),
    ("input_audio_noise_reduction", None, {"noise_reduction": None}),
    (
        "turn_detection",
        {
            "type": "server_vad",
            "threshold": 0.7,
            "prefix_padding_ms": 100,
            "silence_duration_ms": 900,
            "create_response": False,
            "interrupt_response": False,
        },
        {"turn_detection": ServerVad(0.7, 100, 900, None, False, False)},
    ),
    ("turn_detection", {"type": "semantic_vad", "eagerness": "low"}, {"turn_detection": SemanticVad("low")}),
    ("turn_detection", {"silence_duration_ms": 900}, {"turn_detection": ServerVad(silence_duration_ms=900)}),
    ("turn_detection", None, {"turn_detection": None}),
    ("include", ["item.input_audio_transcription.logprobs"], {"include": ("logprobs",)}),
]
SPEAKING: list[tuple[str, object, dict[str, object]]] = [
    ("model", "gpt-4o-realtime-preview", {"model": "gpt-4o-realtime-preview"}),
    ("modalities", ["text"], {"modality": "text"}),
    ("modalities", ["text", "audio"], {"modality": "audio"}),
    ("modalities", ["audio", "text"], {"modality": "audio"}),
    ("instructions", "Be brief.", {"instructions": "Be brief."}),
    ("voice", "verse", {"voice": "verse"}),
    ("output_audio_format", "g711_alaw", {"output_format": AudioFormat.PCMA}),
    ("speed", 1.25, {"speed": 1.25}),
    (
        "tools",
        [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}, {"name": "g"}],
        {"tools": (FunctionTool("f", "d", '{"type":"object"}'), FunctionTool("g"))},
    ),
    ("tool_choice", "required", {"tool_choice": "required"}),
    ("tool_choice", {"type": "function", "name": "f"}, {"tool_choice": ForceFunction("f")}),
    ("temperature", 0.8, {"temperature": 0.8}),
    ("max_response_output_tokens", 99, {"max_output_tokens": 99}),
    ("max_response_output_tokens", "inf", {"max_output_tokens": None}),
    ("tracing", "auto", {"tracing": '"auto"'}),
    (
        "tracing",
        {"group_id": "g", "workflow_name": "w", "metadata": {}},
        {"tracing": '{"group_id":"g","workflow_name":"w","metadata":{}}'},
    ),
    ("tracing", None, {"tracing": None}),
]
NO_EFFECT = ("item.object", "item.status", "input[].object", "input[].status")
ECHOED = {"tracing": "kept and shown; nothing is sent anywhere"}
NOTES = {
    "temperature": "sent to language models behind a chat endpoint; one that refuses it is asked without",
    "model": "any model that the server has",
}


def _leaves(path: str, value: object) -> list[str]:
    """The options that a value sets, as the surface names them."""
    match value:
        case dict() if path.endswith(("parameters", "metadata")):
            return [path]
        case dict():
            return [path, *(leaf for name, inner in value.items() for leaf in _leaves(f"{path}.{name}", inner))]
        case list() if value and isinstance(value[0], dict):
            return [path, *(leaf for inner in value for leaf in _leaves(f"{path}[]", inner))]
        case _:
            return [path]


def _marked(event: str, prefix: str, option: str, value: object, *rest: object) -> Any:
    typed = client_events("beta")[event]
    options = [leaf for leaf in dict.fromkeys(_leaves(f"{prefix}.{option}".strip("."), value)) if leaf in typed]
    state = "accepted and echoed" if option in ECHOED else "honoured"
    echoed = [leaf for leaf in options if leaf.endswith(NO_EFFECT)]
    honoured = [leaf for leaf in options if leaf not in echoed]
    marks = (
        [proves(event, *honoured, state=state, note=ECHOED.get(option) or NOTES.get(option, ""))] if honoured else []
    )
    if echoed:
        marks.append(proves(event, *echoed, state="accepted and echoed", note="has no effect, as documented"))
    return pytest.param(option, value, *rest, marks=marks, id=f"{option}={json.dumps(value)[:24]}")


@pytest.mark.parametrize(
    ("option", "value", "expected"), [_marked(UPDATE, "session", *row) for row in (*LISTENING, *SPEAKING)]
)
def test_an_option_of_a_session_is_read(option: str, value: object, expected: dict[str, object]) -> None:
    assert patched(UPDATE, {option: value}) == {"kind": "realtime", **expected}


@pytest.mark.parametrize(
    ("option", "value", "expected"), [_marked(TRANSCRIPTION, "session", *row) for row in LISTENING]
)
def test_an_option_of_a_transcription_session_is_read(option: str, value: object, expected: dict[str, object]) -> None:
    assert patched(TRANSCRIPTION, {option: value}) == {"kind": "transcription", **expected}


@proves(TRANSCRIPTION, "session.modalities", state="accepted and echoed", note="there are no replies")
def test_the_modalities_of_a_transcription_session_are_kept() -> None:
    assert patched(TRANSCRIPTION, {"modalities": ["text"]}) == {"kind": "transcription", "modality": "text"}


@proves(UPDATE, "session", "event_id")
@proves(TRANSCRIPTION, "session", "event_id")
def test_an_update_needs_no_type_and_keeps_its_id() -> None:
    for kind, session in ((UPDATE, "realtime"), (TRANSCRIPTION, "transcription")):
        event = read(kind, session={}, event_id="mine")
        assert event == e.SessionUpdateRequested(cast(SettingsPatch, {"kind": session}), MINE)


@pytest.mark.parametrize("kind", [UPDATE, TRANSCRIPTION])
@proves(UPDATE, "session.client_secret", state="refused", note="set when the key is made")
@proves(TRANSCRIPTION, "session.client_secret", state="refused", note="set when the key is made")
def test_a_running_session_takes_no_key(kind: str) -> None:
    error = refused(kind, session={"client_secret": {"expires_after": {"anchor": "created_at"}}})
    assert (error.code, error.path) == ("unsupported_parameter", "session.client_secret")
    assert patched(kind, {"client_secret": None})


@pytest.mark.parametrize(
    ("session", "path", "code"),
    [
        ({"modalities": ["audio"]}, "session.modalities", "invalid_value"),
        ({"modalities": "audio"}, "session.modalities", "invalid_type"),
        ({"input_audio_format": "pcm"}, "session.input_audio_format", "invalid_value"),
        ({"voice": {"id": "v"}}, "session.voice", "invalid_type"),
        ({"temperature": 1.3}, "session.temperature", "invalid_value"),
        ({"turn_detection": "none"}, "session.turn_detection", "invalid_value"),
        ({"turn_detection": {"idle_timeout_ms": 6000}}, "session.turn_detection.idle_timeout_ms", "unknown_parameter"),
        (
            {"input_audio_transcription": {"keywords": []}},
            "session.input_audio_transcription.keywords",
            "unknown_parameter",
        ),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session.tools[0].type", "invalid_value"),
        ({"tool_choice": {"type": "mcp"}}, "session.tool_choice.type", "invalid_value"),
        ({"type": "realtime"}, "session.type", "unknown_parameter"),
        ({"truncation": "auto"}, "session.truncation", "unknown_parameter"),
        ({"prompt": {"id": "p"}}, "session.prompt", "unknown_parameter"),
        ({"max_response_output_tokens": 4097}, "session.max_response_output_tokens", "invalid_value"),
    ],
)
def test_a_wrong_option_of_a_session_is_named(session: dict[str, object], path: str, code: str) -> None:
    error = refused(UPDATE, session=session)
    assert (error.path, error.code) == (path, code)


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("output_modalities", "session.modalities"),
        ("max_output_tokens", "session.max_response_output_tokens"),
        ("audio", "session.input_audio_format"),
    ],
)
def test_a_name_of_the_ga_dialect_is_refused_with_the_betas(name: str, here: str) -> None:
    error = refused(UPDATE, session={name: 1})
    assert (error.code, error.path) == ("unknown_parameter", f"session.{name}")
    assert f"That is the GA name of '{here}'" in error.message


@pytest.mark.parametrize("option", ["voice", "tools", "instructions", "temperature", "speed"])
def test_a_transcription_session_refuses_what_only_a_speaking_one_has(option: str) -> None:
    error = refused(TRANSCRIPTION, session={option: "x"})
    assert (error.code, error.path) == ("unknown_parameter", f"session.{option}")


# --- a response --------------------------------------------------------------------------------------------------------------

REFERENCE = {"type": "item_reference", "id": "i"}
CALL = {"type": "function_call", "id": "c", "call_id": "k", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "k", "output": "rain"}
SPOKEN = {
    "type": "message",
    "role": "user",
    "status": "completed",
    "object": "realtime.item",
    "content": [{"type": "input_audio", "audio": "AAEC", "transcript": "Hi."}, {"type": "input_text", "text": "Hello"}],
}
CREATED: list[tuple[str, object, dict[str, object]]] = [
    ("conversation", "none", {"in_conversation": False}),
    ("conversation", "auto", {}),
    ("instructions", "Be brief.", {"instructions": "Be brief."}),
    ("max_response_output_tokens", 5, {"max_output_tokens": 5}),
    ("max_output_tokens", "inf", {"max_output_tokens": 0}),
    ("metadata", {"a": "b"}, {"metadata": (("a", "b"),)}),
    ("modalities", ["text"], {"modality": "text"}),
    ("output_audio_format", "g711_ulaw", {"output_format": AudioFormat.PCMU}),
    ("temperature", 1.2, {"temperature": 1.2}),
    ("tool_choice", "none", {"tool_choice": "none"}),
    (
        "tools",
        [{"type": "function", "name": "f", "description": "d", "parameters": {}}],
        {"tools": (FunctionTool("f", "d", "{}"),)},
    ),
    ("voice", "ash", {"voice": "ash"}),
    (
        "input",
        [REFERENCE, CALL, OUTPUT, SPOKEN],
        {
            "input": (
                ItemReference(ItemId("i")),
                FunctionCall(ItemId("c"), CallId("k"), "f", "{}"),
                FunctionCallOutput(ItemId(""), CallId("k"), "rain"),
                Message(ItemId(""), "user", (InputAudio("Hi.", b"\x00\x01\x02"), InputText("Hello"))),
            )
        },
    ),
]


@pytest.mark.parametrize(("option", "value", "expected"), [_marked(CREATE, "response", *row) for row in CREATED])
def test_an_option_of_a_response_is_read(option: str, value: object, expected: dict[str, Any]) -> None:
    assert read(CREATE, response={option: value}) == e.ResponseRequested(ResponseParams(**expected))


@proves(CREATE, "response", "event_id")
def test_a_response_needs_no_options() -> None:
    assert read(CREATE, event_id="mine") == e.ResponseRequested(ResponseParams(), MINE)
    assert read(CREATE, response={}) == e.ResponseRequested(ResponseParams())


def test_both_names_of_the_token_limit_at_once_are_refused() -> None:
    error = refused(CREATE, response={"max_response_output_tokens": 5, "max_output_tokens": 6})
    assert (error.code, error.path) == ("invalid_value", "response.max_output_tokens")


def test_the_audio_of_the_ga_dialect_is_refused_in_a_response() -> None:
    assert refused(CREATE, response={"audio": {"output": {"voice": "x"}}}).path == "response.audio"


# --- items -------------------------------------------------------------------------------------------------------------------

ASSISTANT = {
    "type": "message",
    "id": "a",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hi."}, {"type": "audio", "transcript": "Hello.", "audio": "AAE="}],
}
SYSTEM = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]}
ITEMS: list[tuple[object, object]] = [
    (SPOKEN, Message(ItemId(""), "user", (InputAudio("Hi.", b"\x00\x01\x02"), InputText("Hello")))),
    (ASSISTANT, Message(ItemId("a"), "assistant", (OutputText("Hi."), OutputAudio("Hello.", b"\x00\x01")))),
    (SYSTEM, Message(ItemId(""), "system", (InputText("Be kind."),))),
    (CALL, FunctionCall(ItemId("c"), CallId("k"), "f", "{}")),
    (OUTPUT, FunctionCallOutput(ItemId(""), CallId("k"), "rain")),
]


@pytest.mark.parametrize(("_", "sent", "item"), [_marked(ITEM, "", "item", *row) for row in ITEMS])
def test_an_item_is_read(_: str, sent: object, item: Any) -> None:
    assert read(ITEM, item=sent) == e.ItemCreateRequested(item)


@proves(ITEM, "previous_item_id", "event_id")
def test_an_item_has_its_place_and_the_event_its_id() -> None:
    event = read(ITEM, item=SYSTEM, previous_item_id="root", event_id="mine")
    assert isinstance(event, e.ItemCreateRequested)
    assert (event.previous_item_id, event.event_id) == ("root", MINE)


REFERENCED = "references stand in a response's `input`"


@proves(ITEM, "item.content[].id", state="refused", note=REFERENCED)
@proves(CREATE, "response.input[].content[].id", state="refused", note=REFERENCED)
def test_a_reference_inside_of_a_message_is_refused() -> None:
    message = {"type": "message", "role": "user", "content": [{"type": "item_reference", "id": "i"}]}
    assert refused(ITEM, item=message).path == "item.content[0].type"
    assert refused(CREATE, response={"input": [message]}).path == "response.input[0].content[0].type"


@pytest.mark.parametrize(
    ("item", "path", "hint"),
    [
        (under("content", [{"type": "output_text", "text": "x"}]), "item.content[0].type", "the GA name of 'text'"),
        (
            under("content", [{"type": "output_audio", "transcript": "x"}]),
            "item.content[0].type",
            "the GA name of 'audio'",
        ),
        (under("content", [{"type": "input_text", "text": "x"}]), "item.content[0].type", "'text' and 'audio'"),
    ],
)
def test_content_of_another_dialect_is_refused(item: dict[str, object], path: str, hint: str) -> None:
    error = refused(ITEM, item={"type": "message", "role": "assistant", **item})
    assert error.path == path
    assert hint in error.message


@pytest.mark.parametrize("named", ["mcp_call", "mcp_list_tools", "mcp_approval_response"])
def test_items_about_mcp_servers_are_refused(named: str) -> None:
    assert refused(ITEM, item={"type": named}).path == "item.type"


def test_images_are_refused() -> None:
    image = {"type": "input_image", "image_url": "https://x/y.png"}
    error = refused(ITEM, item={"type": "message", "role": "user", "content": [image]})
    assert (error.code, error.path) == ("invalid_value", "item.content[0].type")


# --- anything ----------------------------------------------------------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(st.sampled_from(sorted(client_events("beta"))), st.data())
def test_anything_gets_an_event_or_an_error(kind: str, data: st.DataObject) -> None:
    names = sorted({option.partition(".")[0] for option in client_events("beta")[kind]})
    members: dict[str, object] = data.draw(st.dictionaries(st.sampled_from(names), _json, max_size=4))
    if isinstance(session := members.get("session"), dict):
        session |= data.draw(st.dictionaries(st.sampled_from([row[0] for row in SPEAKING]), _json, max_size=3))
    event = read(kind, **members)
    assert not isinstance(event, ClientErred) or (event.code and event.message)


def test_a_long_message_in_pieces_is_read_as_the_dialect_reads_it() -> None:
    data = json.dumps({"type": UPDATE, "session": {"voice": "ash", "instructions": "x" * 100_000}}).encode()
    message = BETA.long_message("mark")
    for at in range(0, len(data), 16_384):
        message.push(data[at : at + 16_384])
    for _ in message.decode():
        pass
    assert message.event == BETA.decode(data)
    assert isinstance(message.event, e.SessionUpdateRequested)


def test_a_sessions_body_of_a_rest_request_is_read_without_a_prefix() -> None:
    assert BETA.read_session({"voice": "ash"}, "", "realtime") == {"kind": "realtime", "voice": "ash"}
    assert GA.read_session({"type": "realtime"}, "session") == {"kind": "realtime"}
    assert GA.read_session({}, "session", "transcription") == {"kind": "transcription"}
