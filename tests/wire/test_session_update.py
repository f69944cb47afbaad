"""Every option of `session.update`: read into the settings, shown in the answer, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.core.words.events import SessionUpdateRequested
from parley.core.words.ids import SessionId
from parley.core.words.notices import SessionUpdated
from parley.core.words.settings import (
    Approval,
    AudioFormat,
    Credentials,
    ForceFunction,
    ForceMcp,
    FunctionTool,
    McpServer,
    SemanticVad,
    ServerVad,
    Settings,
    ToolFilter,
    Transcription,
    Truncation,
    merged,
)
from parley.wire.dialects import GA
from tests.wire.reading import patch, read, refused, session
from tests.wire.sdk import parse_server_event

EVENT = "session.update"
WHERE_OFFERED = "where the pipeline offers it; elsewhere refused by name"


def option(path: str, value: object, note: str = "", state: str = "honoured", **expected: object) -> Any:
    """A member of the session, what it is set to, and the settings that ask for it."""
    proves = pytest.mark.proves(EVENT, f"session.{path}", state=state, note=note)
    return pytest.param(path, value, expected, marks=proves, id=f"{path}={value}"[:60])


def inner(path: str, *names: str, note: str = "", state: str = "honoured") -> pytest.MarkDecorator:
    """The same for members inside one option."""
    return pytest.mark.proves(EVENT, *(f"session.{path}{name}" for name in names), state=state, note=note)


VAD = {
    "type": "server_vad",
    "threshold": 0.7,
    "prefix_padding_ms": 200,
    "silence_duration_ms": 900,
    "idle_timeout_ms": 6000,
    "create_response": False,
    "interrupt_response": False,
}
LANGUAGES_NOTE = "one is the language; of several, a recogniser that knows more than one finds out which"
WORDS = {"model": "whisper-1", "language": "en", "languages": ["en", "no"], "prompt": "cities", "keywords": ["Oslo"]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "name": "weather", "description": "Tells it.", "parameters": SCHEMA}
TRACE = {"workflow_name": "w", "group_id": "g", "metadata": {"a": [1, None]}}
RATIO = {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 5000}}
LOGPROBS = "item.input_audio_transcription.logprobs"
ECHOED = "kept and shown, sent nowhere: the Traces Dashboard is OpenAI's"

OPTIONS = [
    option("model", "gpt-realtime", model="gpt-realtime"),
    option("instructions", "Be brief.", instructions="Be brief."),
    option("instructions", "", instructions=""),
    option("output_modalities", ["text"], modality="text"),
    option("output_modalities", ["audio"], modality="audio"),
    option("tools", [], tools=()),
    option("tools", [TOOL], tools=(FunctionTool("weather", "Tells it.", json.dumps(SCHEMA, separators=(",", ":"))),)),
    option("tool_choice", "required", tool_choice="required"),
    option("tool_choice", "none", tool_choice="none"),
    option("tool_choice", {"type": "function", "name": "weather"}, tool_choice=ForceFunction("weather")),
    option("parallel_tool_calls", False, parallel_tool_calls=False),
    option("max_output_tokens", 200, max_output_tokens=200),
    option("max_output_tokens", "inf", max_output_tokens=None),
    option("truncation", "disabled", truncation=Truncation("disabled")),
    option("truncation", "auto", truncation=Truncation()),
    option("truncation", RATIO, truncation=Truncation("retention_ratio", 0.8, 5000)),
    option("reasoning.effort", "low", WHERE_OFFERED, reasoning_effort="low"),
    option("tracing", "auto", ECHOED, "accepted and echoed", tracing='"auto"'),
    option("tracing", TRACE, ECHOED, "accepted and echoed", tracing=json.dumps(TRACE, separators=(",", ":"))),
    option("tracing", None, ECHOED, "accepted and echoed", tracing=None),
    option("include", [LOGPROBS], WHERE_OFFERED, include=("logprobs",)),
    option("include", None, WHERE_OFFERED, include=()),
    option("audio.input.format.type", "audio/pcmu", input_format=AudioFormat.PCMU),
    option("audio.input.format.type", "audio/pcma", input_format=AudioFormat.PCMA),
    option(
        "audio.input.transcription",
        WORDS,
        transcription=Transcription("whisper-1", "en", "cities", ("Oslo",), ("en", "no")),
    ),
    option("audio.input.transcription", {}, transcription=Transcription()),
    option("audio.input.transcription", None, transcription=None),
    option("audio.input.noise_reduction", None, noise_reduction=None),
    option("audio.input.turn_detection", VAD, turn_detection=ServerVad(0.7, 200, 900, 6000, False, False)),
    option("audio.input.turn_detection", None, turn_detection=None),
    option("audio.output.format.type", "audio/pcma", output_format=AudioFormat.PCMA),
    option("audio.output.voice", "marin", voice="marin"),
    option("audio.output.speed", 1.25, speed=1.25),
    option("audio.output.speed", 1, speed=1.0),
]


@pytest.mark.proves(EVENT, "session", state="honoured")
@inner("tools[].", "type", "name", "description", "parameters")
@inner("tool_choice.", "type", "name")
@inner("truncation.", "type", "retention_ratio", "token_limits", "token_limits.post_instructions")
@inner("tracing.", "workflow_name", "group_id", "metadata", state="accepted and echoed", note=ECHOED)
@inner("audio.input.transcription.", "model", "language", "prompt", "keywords")
@inner("audio.input.transcription.", "languages", note=LANGUAGES_NOTE)
@inner("audio.input.turn_detection.", *VAD)
@pytest.mark.parametrize(("path", "value", "expected"), OPTIONS)
def test_an_option_is_read_and_the_answer_shows_it(path: str, value: object, expected: dict[str, object]) -> None:
    event = read(EVENT, session=session(path, value))
    assert event == SessionUpdateRequested(patch(**expected))
    assert isinstance(event, SessionUpdateRequested)
    shown = echoed(merged(Settings(), event.patch))
    for name in path.split("."):
        shown = shown[name]
    assert shown == value


def echoed(settings: Settings) -> Any:
    frame = GA.encoder(event_seed=b"", wall_s=lambda: 0.0).encode(SessionUpdated(SessionId("sess_1"), settings, 0))
    assert frame is not None
    parse_server_event(frame)
    return json.loads(frame)["session"]


@inner("audio.input.format.", "rate", note="24000 for PCM, 8000 for G.711")
@inner("audio.output.format.", "rate", note="24000 for PCM, 8000 for G.711")
@inner("audio.output.voice.", "id")
@inner("audio.input.noise_reduction.", "type", "strength", note=WHERE_OFFERED)
def test_options_with_two_spellings_mean_the_same() -> None:
    for side, name in (("input", "input_format"), ("output", "output_format")):
        pcm = {"type": "audio/pcm", "rate": 24000}
        for form in (pcm, {"type": "audio/pcm"}, {"type": "audio/pcm", "rate": None}):
            assert read(EVENT, session=session(f"audio.{side}.format", form)) == SessionUpdateRequested(
                patch(**{name: AudioFormat.PCM16})
            )
    for voice in ("marin", {"id": "marin"}):
        assert read(EVENT, session=session("audio.output.voice", voice)) == SessionUpdateRequested(patch(voice="marin"))
    for strength in (None, 1, 1.0):
        wanted = {"type": "far_field", "strength": strength}
        event = read(EVENT, session=session("audio.input.noise_reduction", wanted))
        assert isinstance(event, SessionUpdateRequested)
        reduction = event.patch.get("noise_reduction")
        assert reduction is not None
        assert reduction.type == "far_field"
        assert echoed(merged(Settings(), event.patch))["audio"]["input"]["noise_reduction"]["strength"] == 1.0


@inner("audio.input.turn_detection.", "type", "eagerness", "create_response", "interrupt_response")
@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
def test_semantic_turn_detection_is_read_with_its_eagerness(eagerness: Any) -> None:
    wanted = {"type": "semantic_vad", "eagerness": eagerness, "create_response": False}
    event = read(EVENT, session=session("audio.input.turn_detection", wanted))
    assert event == SessionUpdateRequested(patch(turn_detection=SemanticVad(eagerness, False, True)))


def test_turn_detection_that_is_given_in_part_is_filled_with_defaults() -> None:
    event = read(EVENT, session=session("audio.input.turn_detection", {"type": "server_vad", "threshold": None}))
    assert event == SessionUpdateRequested(patch(turn_detection=ServerVad()))
    event = read(EVENT, session=session("audio.input.turn_detection", {"type": "semantic_vad"}))
    assert event == SessionUpdateRequested(patch(turn_detection=SemanticVad()))


def test_only_what_the_client_wrote_is_changed() -> None:
    assert read(EVENT, session={"type": "realtime"}) == SessionUpdateRequested(patch())
    event = read(EVENT, session=session("audio.input.format.type", "audio/pcmu"))
    assert isinstance(event, SessionUpdateRequested)
    assert set(event.patch) == {"kind", "input_format"}


def test_nulls_that_clients_send_for_options_they_never_set_change_nothing() -> None:
    nulls = dict.fromkeys(["model", "instructions", "output_modalities", "tools", "tool_choice", "max_output_tokens"])
    more = dict.fromkeys(["truncation", "prompt", "audio", "temperature", "an_option_of_tomorrow"])
    assert read(EVENT, session={"type": "realtime", **nulls, **more}) == SessionUpdateRequested(patch())
    output = dict.fromkeys(["format", "voice", "speed", "an_option_of_tomorrow"])
    assert read(EVENT, session=session("audio", {"output": output, "input": None})) == SessionUpdateRequested(patch())


@inner("", "type")
@inner("", "include", note=WHERE_OFFERED)
def test_a_transcription_session_takes_its_own_options() -> None:
    event = read(
        EVENT,
        session={
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
            "include": [LOGPROBS],
        },
    )
    assert isinstance(event, SessionUpdateRequested)
    assert event.patch == {
        "kind": "transcription",
        "transcription": Transcription("whisper-1"),
        "turn_detection": None,
        "include": ("logprobs",),
    }


@pytest.mark.parametrize("path", ["instructions", "model", "tools", "tracing", "audio.output"])
def test_a_transcription_session_refuses_what_only_a_speaking_one_has(path: str) -> None:
    error = refused(EVENT, session=session(path, {"voice": "x"}, "transcription"))
    assert (error.code, error.path) == ("unknown_parameter", f"session.{path}")


MCP_MEMBERS = (
    "server_label",
    "server_url",
    "server_description",
    "allowed_callers",
    "allowed_tools",
    "authorization",
    "headers",
    "require_approval",
)
MCP_FILTERS = (
    "allowed_tools.read_only",
    "allowed_tools.tool_names",
    "require_approval.always",
    "require_approval.always.read_only",
    "require_approval.always.tool_names",
    "require_approval.never",
    "require_approval.never.read_only",
    "require_approval.never.tool_names",
)
BOOKS = {"type": "mcp", "server_label": "books", "server_url": "https://books.example/mcp"}
HOSTED_MCP = "it lives in OpenAI's account; an MCP server has a `server_url`"


@inner("tools[].", *(name for name in MCP_MEMBERS if name != "allowed_callers"))
@inner("tools[].", *MCP_FILTERS)
@inner("tools[].", "allowed_callers", note="'direct', the only one there is")
@inner("tool_choice.", "server_label")
@pytest.mark.parametrize(
    ("approval", "wanted"),
    [
        (None, None),
        ("always", Approval()),
        ("never", Approval(never=ToolFilter())),
        ({"always": {"tool_names": ["lend"]}}, Approval(always=ToolFilter(("lend",)))),
        ({"never": {"read_only": True}}, Approval(never=ToolFilter(read_only=True))),
    ],
)
def test_an_mcp_server_is_read(approval: object, wanted: Approval | None) -> None:
    tool = {
        "type": "mcp",
        "server_label": "books",
        "server_url": "https://books.example/mcp",
        "server_description": "A library.",
        "authorization": "s3cret",
        "headers": {"X-Key": "k"},
        "allowed_callers": ["direct"],
        "allowed_tools": {"tool_names": ["find"], "read_only": True},
        "require_approval": approval,
    }
    choice = {"type": "mcp", "server_label": "books", "name": "find"}
    event = read(EVENT, session={"type": "realtime", "tools": [tool], "tool_choice": choice})
    server = McpServer(
        "books",
        "https://books.example/mcp",
        "A library.",
        Credentials("s3cret", (("X-Key", "k"),)),
        ToolFilter(("find",), True),
        wanted,
    )
    assert event == SessionUpdateRequested(patch(tools=(server,), tool_choice=ForceMcp("books", "find")))


def test_the_credentials_of_an_mcp_server_are_never_shown() -> None:
    server = McpServer("books", "https://books.example/mcp", credentials=Credentials("s3cret", (("X-Key", "s3cret"),)))
    frame = GA.encoder(event_seed=b"", wall_s=lambda: 0.0).encode(
        SessionUpdated(SessionId("sess_1"), Settings(tools=(server,)), 0)
    )
    assert frame is not None
    assert "s3cret" not in frame + repr(server) + repr(Settings(tools=(server,)))


@inner("", "prompt", state="refused", note="stored prompts live only in OpenAI's account")
@inner("tools[].", "connector_id", "tunnel_id", state="refused", note=HOSTED_MCP)
@inner("tools[].", "defer_loading", state="refused", note="the model gets all tools at once")
@inner("audio.input.transcription.", "delay", state="refused", note="belongs to gpt-realtime-whisper")
@pytest.mark.parametrize(
    ("path", "value", "param", "code"),
    [
        ("prompt", {"id": "pmpt_1"}, "prompt", "unsupported_parameter"),
        ("tools", [TOOL, {"type": "mcp", "server_label": "x"}], "tools[1].server_url", "missing_required_parameter"),
        ("tools", [{"type": "mcp", "tunnel_id": "x"}], "tools[0].tunnel_id", "unsupported_parameter"),
        ("tools", [{**BOOKS, "defer_loading": True}], "tools[0].defer_loading", "unsupported_parameter"),
        ("tools", [{**BOOKS, "server_url": "file:///etc"}], "tools[0].server_url", "invalid_value"),
        ("tools", [{**BOOKS, "headers": {"X": "a\r\nb"}}], "tools[0].headers.X", "invalid_value"),
        ("tools", [{**BOOKS, "headers": {"Host": "inside.example"}}], "tools[0].headers.Host", "invalid_value"),
        (
            "tools",
            [{**BOOKS, "headers": {"transfer-encoding": "x"}}],
            "tools[0].headers.transfer-encoding",
            "invalid_value",
        ),
        ("tools", [{**BOOKS, "headers": {"Connection": "close"}}], "tools[0].headers.Connection", "invalid_value"),
        ("tools", [{**BOOKS, "require_approval": "no"}], "tools[0].require_approval", "invalid_value"),
        ("tools", [{**TOOL, "server_url": "https://x"}], "tools[0].server_url", "unknown_parameter"),
        ("tool_choice", {"type": "mcp"}, "tool_choice.server_label", "missing_required_parameter"),
        ("audio.input.transcription.delay", "low", "audio.input.transcription.delay", "unsupported_parameter"),
    ],
)
def test_an_option_that_is_not_served_is_refused_by_name(path: str, value: object, param: str, code: str) -> None:
    error = refused(EVENT, session=session(path, value))
    assert (error.path, error.code) == (f"session.{param}", code)
    if code == "unsupported_parameter":
        assert "not supported" in error.message


@pytest.mark.parametrize("member", ["turn_detection", "noise_reduction", "transcription"])
@pytest.mark.parametrize("off", [{"type": "none"}, {"type": "None"}, {"type": "disabled"}, "none", "off", False])
def test_an_option_that_null_switches_off_names_null_when_another_word_for_off_is_sent(
    member: str, off: object
) -> None:
    error = refused(EVENT, session=session(f"audio.input.{member}", off))
    where = f"session.audio.input.{member}" + ".type" * isinstance(off, dict)
    assert (error.code, error.path) == ("invalid_value", where)
    assert f'send null: "{member}": null' in error.message


TURNS = "audio.input.turn_detection"
WRONG = [
    ("instructions", 5, "instructions", "invalid_type"),
    ("instructions", "x" * 2**20 + "x", "instructions", "invalid_value"),
    ("model", "", "model", "invalid_value"),
    ("output_modalities", ["audio", "text"], "output_modalities", "invalid_value"),
    ("output_modalities", [], "output_modalities", "invalid_value"),
    ("output_modalities", "audio", "output_modalities", "invalid_type"),
    ("modalities", ["audio"], "modalities", "unknown_parameter"),
    ("temperature", 0.8, "temperature", "unknown_parameter"),
    ("tools", {}, "tools", "invalid_type"),
    ("tools", [5], "tools[0]", "invalid_type"),
    ("tools", [{"name": f"t{n}"} for n in range(129)], "tools", "invalid_value"),
    ("tools", [TOOL, {"type": "function"}], "tools[1].name", "missing_required_parameter"),
    ("tools", [{"type": "function", "name": "get weather"}], "tools[0].name", "invalid_value"),
    ("tools", [{**TOOL, "parameters": "{}"}], "tools[0].parameters", "invalid_type"),
    ("tools", [{**TOOL, "strict": True}], "tools[0].strict", "unknown_parameter"),
    ("tools", [{**TOOL, "type": "custom"}], "tools[0].type", "invalid_value"),
    ("tool_choice", "any", "tool_choice", "invalid_value"),
    ("tool_choice", 1, "tool_choice", "invalid_type"),
    ("tool_choice", {"name": "x"}, "tool_choice.type", "missing_required_parameter"),
    ("tool_choice", {"type": "function"}, "tool_choice.name", "missing_required_parameter"),
    ("parallel_tool_calls", 1, "parallel_tool_calls", "invalid_type"),
    ("max_output_tokens", 0, "max_output_tokens", "invalid_value"),
    ("max_output_tokens", 4097, "max_output_tokens", "invalid_value"),
    ("max_output_tokens", "lots", "max_output_tokens", "invalid_value"),
    ("max_output_tokens", True, "max_output_tokens", "invalid_type"),
    ("max_output_tokens", 1.5, "max_output_tokens", "invalid_type"),
    ("truncation", "some", "truncation", "invalid_value"),
    ("truncation", {"type": "retention_ratio"}, "truncation.retention_ratio", "missing_required_parameter"),
    ("truncation", {**RATIO, "retention_ratio": 1.1}, "truncation.retention_ratio", "invalid_value"),
    ("truncation", {**RATIO, "token_limits": 5}, "truncation.token_limits", "invalid_type"),
    ("truncation.token_limits", {}, "truncation.type", "missing_required_parameter"),
    ("reasoning.effort", "huge", "reasoning.effort", "invalid_value"),
    ("reasoning.summary", "auto", "reasoning.summary", "unknown_parameter"),
    ("tracing", "off", "tracing", "invalid_value"),
    ("tracing", {"workflow": "w"}, "tracing.workflow", "unknown_parameter"),
    ("include", ["everything"], "include[0]", "invalid_value"),
    ("audio", [], "audio", "invalid_type"),
    ("audio.inputs", {}, "audio.inputs", "unknown_parameter"),
    ("audio.input.foo", 1, "audio.input.foo", "unknown_parameter"),
    ("audio.input.format", "pcm16", "audio.input.format", "invalid_type"),
    ("audio.input.format", {"rate": 24000}, "audio.input.format.type", "missing_required_parameter"),
    ("audio.input.format", {"type": "audio/mp3"}, "audio.input.format.type", "invalid_value"),
    ("audio.input.format", {"type": "audio/pcm", "rate": 16000}, "audio.input.format.rate", "invalid_value"),
    ("audio.output.format", {"type": "audio/pcmu", "rate": 24000}, "audio.output.format.rate", "invalid_value"),
    ("audio.input.transcription", "whisper-1", "audio.input.transcription", "invalid_type"),
    ("audio.input.transcription.language", "English, please", "audio.input.transcription.language", "invalid_value"),
    ("audio.input.transcription.keywords", ["a", 5], "audio.input.transcription.keywords[1]", "invalid_type"),
    ("audio.input.noise_reduction", {}, "audio.input.noise_reduction.type", "missing_required_parameter"),
    ("audio.input.noise_reduction.type", "mid_field", "audio.input.noise_reduction.type", "invalid_value"),
    (TURNS, "server_vad", TURNS, "invalid_type"),
    (TURNS, {"threshold": 0.5}, f"{TURNS}.type", "missing_required_parameter"),
    (TURNS, {"type": "none"}, f"{TURNS}.type", "invalid_value"),
    (TURNS, {**VAD, "threshold": 1.01}, f"{TURNS}.threshold", "invalid_value"),
    (TURNS, {**VAD, "threshold": "0.5"}, f"{TURNS}.threshold", "invalid_type"),
    (TURNS, {**VAD, "prefix_padding_ms": -1}, f"{TURNS}.prefix_padding_ms", "invalid_value"),
    (TURNS, {**VAD, "prefix_padding_ms": 10**9}, f"{TURNS}.prefix_padding_ms", "invalid_value"),
    (TURNS, {**VAD, "silence_duration_ms": 10**9}, f"{TURNS}.silence_duration_ms", "invalid_value"),
    (TURNS, {**VAD, "idle_timeout_ms": 4999}, f"{TURNS}.idle_timeout_ms", "invalid_value"),
    (TURNS, {**VAD, "idle_timeout_ms": 30001}, f"{TURNS}.idle_timeout_ms", "invalid_value"),
    (TURNS, {**VAD, "create_response": "yes"}, f"{TURNS}.create_response", "invalid_type"),
    (TURNS, {**VAD, "eagerness": "low"}, f"{TURNS}.eagerness", "unknown_parameter"),
    (TURNS, {"type": "semantic_vad", "eagerness": "keen"}, f"{TURNS}.eagerness", "invalid_value"),
    (TURNS, {"type": "semantic_vad", "threshold": 0.5}, f"{TURNS}.threshold", "unknown_parameter"),
    ("audio.output.voice", "", "audio.output.voice", "invalid_value"),
    ("audio.output.voice", {}, "audio.output.voice.id", "missing_required_parameter"),
    ("audio.output.voice", 5, "audio.output.voice", "invalid_type"),
    ("audio.output.voice", {"type": "prompt", "prompt": "calm"}, "audio.output.voice", "invalid_value"),
    ("audio.output.speed", 0.2, "audio.output.speed", "invalid_value"),
    ("audio.output.speed", 1.6, "audio.output.speed", "invalid_value"),
    ("audio.output.speed", "fast", "audio.output.speed", "invalid_type"),
]


@pytest.mark.parametrize(("path", "value", "param", "code"), WRONG, ids=[f"{p}={str(v)[:24]}" for p, v, _, _ in WRONG])
def test_a_wrong_option_is_named_in_the_error(path: str, value: object, param: str, code: str) -> None:
    error = refused(EVENT, session=session(path, value))
    assert (error.path, error.code) == (f"session.{param}", code)
    assert len(error.message) < 600


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({}, "session", "missing_required_parameter"),
        ({"session": None}, "session", "missing_required_parameter"),
        ({"session": []}, "session", "invalid_type"),
        ({"session": {}}, "session.type", "missing_required_parameter"),
        ({"session": {"type": "translation"}}, "session.type", "invalid_value"),
        ({"session": {"type": "realtime"}, "extra": 1}, "extra", "unknown_parameter"),
    ],
)
def test_an_update_without_a_proper_session_is_refused(members: dict[str, object], param: str, code: str) -> None:
    error = refused(EVENT, **members)
    assert (error.path, error.code) == (param, code)


def test_errors_name_the_remedy() -> None:
    assert "session.audio.output.voice" in refused(EVENT, session={"type": "realtime", "voice": "alloy"}).message
    assert (
        "Did you mean 'session.instructions'?"
        in refused(EVENT, session={"type": "realtime", "instruction": "x"}).message
    )
    assert "'audio/pcmu'" in refused(EVENT, session=session("audio.input.format.type", "g711_ulaw")).message
