"""Reads the `session` of `session.update` (and of a key request) into the fields of `Settings` that it carries.

Laws: only members that the client wrote enter the patch. Null clears what can be off (`turn_detection`, `transcription`,
`noise_reduction`, `tracing`, `include`, `parallel_tool_calls`, `reasoning`) and elsewhere counts as not written. A `turn_detection`
or `transcription` that is given is whole: its unwritten members take their defaults. What depends on the session's state (is there
assistant audio yet, does the pipeline have that voice) is the session's to judge.
"""

from __future__ import annotations

from typing import Literal

from parley.core.words.limits import IDLE_MAX_MS, IDLE_MIN_MS, MAX_ITEM_TEXT, MAX_TOOLS
from parley.core.words.settings import (
    LOGPROBS,
    TURN_METRICS,
    AudioFormat,
    Eagerness,
    ForceFunction,
    FunctionTool,
    Modality,
    NoiseReduction,
    SemanticVad,
    ServerVad,
    SessionKind,
    SettingsPatch,
    ToolChoice,
    ToolSource,
    Transcription,
    Truncation,
    TurnDetection,
)
from parley.wire import limits
from parley.wire.mcp_schema import force_mcp, mcp_server
from parley.wire.schema import (
    Fields,
    Reader,
    T,
    array,
    boolean,
    fields,
    invalid,
    json_text,
    number,
    one_of,
    pattern,
    record,
    shown,
    text,
    whole,
    wrong_type,
)

INSTRUCTIONS = text(MAX_ITEM_TEXT)
NAME = text(limits.MAX_NAME, 1)
PROMPT_UNSERVED = "stored prompts live only in OpenAI's account. Send the prompt's text as 'instructions'."

_KIND: Reader[SessionKind] = one_of("realtime", "transcription")
_FORMAT: Reader[str] = one_of("audio/pcm", "audio/pcmu", "audio/pcma")
_VAD: Reader[Literal["server_vad", "semantic_vad"]] = one_of("server_vad", "semantic_vad")
_EAGERNESS: Reader[Eagerness] = one_of("low", "medium", "high", "auto")
_FIELD: Reader[Literal["near_field", "far_field"]] = one_of("near_field", "far_field")
_OFF = ("none", "off", "disabled", "null")
_EFFORT: Reader[str] = one_of("minimal", "low", "medium", "high", "xhigh")
_INCLUDE = array(one_of(LOGPROBS, TURN_METRICS), 2)
_LANGUAGE = pattern(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*", limits.MAX_LANGUAGE, "a language code such as 'en'")
_TOOL_NAME = pattern(
    r"[A-Za-z0-9_-]+", limits.MAX_TOOL_NAME, "letters, digits, underscores and hyphens, as function names of models are"
)
_MODES: dict[str, Literal["auto", "none", "required"]] = {"auto": "auto", "none": "none", "required": "required"}


def read_session(members: Fields) -> SettingsPatch:
    """The patch that a session object asks for; raises `PeerError`. Next: post it as `SessionUpdateRequested`."""
    patch: SettingsPatch = {"kind": members.take("type", _KIND)}
    if patch["kind"] == "transcription":
        members.find("audio", record(lambda inner: _read_audio(inner, patch, speaks=False)))
        _read_include(members, patch)
        members.finish("A transcription session has only 'type', 'audio.input' and 'include'.")
        return patch
    _read_words(members, patch)
    _read_generation(members, patch)
    members.find("audio", record(lambda inner: _read_audio(inner, patch, speaks=True)))
    _read_include(members, patch)
    if "tracing" in members:
        patch["tracing"] = members.find("tracing", _tracing)
    members.refuse("prompt", PROMPT_UNSERVED)
    members.finish()
    return patch


SESSION: Reader[SettingsPatch] = record(read_session)


def _read_words(members: Fields, patch: SettingsPatch) -> None:
    if (model := members.find("model", NAME)) is not None:
        patch["model"] = model
    if (modality := members.find("output_modalities", modality_of)) is not None:
        patch["modality"] = modality
    if (instructions := members.find("instructions", INSTRUCTIONS)) is not None:
        patch["instructions"] = instructions


def _read_generation(members: Fields, patch: SettingsPatch) -> None:
    if (tools := members.find("tools", tools_of)) is not None:
        patch["tools"] = tools
    if (choice := members.find("tool_choice", tool_choice_of)) is not None:
        patch["tool_choice"] = choice
    if "parallel_tool_calls" in members:
        patch["parallel_tool_calls"] = members.find("parallel_tool_calls", boolean)
    if (limit := members.find("max_output_tokens", token_limit)) is not None:
        patch["max_output_tokens"] = limit or None
    if (truncation := members.find("truncation", _truncation)) is not None:
        patch["truncation"] = truncation
    if "reasoning" in members:
        patch["reasoning_effort"] = members.find("reasoning", reasoning_of) or ""


def _read_include(members: Fields, patch: SettingsPatch) -> None:
    if "include" in members:
        patch["include"] = members.find("include", _INCLUDE) or ()


def _read_audio(members: Fields, patch: SettingsPatch, *, speaks: bool) -> None:
    members.find("input", record(lambda inner: _read_input(inner, patch)))
    if speaks:
        members.find("output", record(lambda inner: _read_output(inner, patch)))


def _read_input(members: Fields, patch: SettingsPatch) -> None:
    if (encoding := members.find("format", audio_format)) is not None:
        patch["input_format"] = encoding
    if "transcription" in members:
        patch["transcription"] = members.find("transcription", _switchable(record(_transcription)))
    if "noise_reduction" in members:
        patch["noise_reduction"] = members.find("noise_reduction", _switchable(record(_noise_reduction)))
    if "turn_detection" in members:
        patch["turn_detection"] = members.find("turn_detection", _switchable(record(_turn_detection)))


def _switchable(read: Reader[T]) -> Reader[T]:
    """An object that null switches off: other ways to say "off" are refused with that one."""

    def reader(value: object, path: str) -> T:
        where, named = (f"{path}.type", value.get("type")) if isinstance(value, dict) else (path, value)
        if named is False or (isinstance(named, str) and named.lower() in _OFF):
            member = path.rpartition(".")[2]
            raise invalid(
                where, f"Invalid value for '{where}': {shown(named)}. To switch it off, send null: \"{member}\": null."
            )
        return read(value, path)

    return reader


def _read_output(members: Fields, patch: SettingsPatch) -> None:
    if (encoding := members.find("format", audio_format)) is not None:
        patch["output_format"] = encoding
    if (voice := members.find("voice", voice_of)) is not None:
        patch["voice"] = voice
    if (speed := members.find("speed", number(limits.MIN_SPEED, limits.MAX_SPEED))) is not None:
        patch["speed"] = speed


def audio_format(value: object, path: str) -> AudioFormat:
    """`{"type": "audio/pcm", "rate": 24000}`, or a G.711 type (8 kHz, whether or not the rate says so)."""
    members = fields(value, path)
    chosen = AudioFormat(members.take("type", _FORMAT))
    rate = members.find("rate", whole(1, limits.MAX_CLOCK_MS))
    if rate is not None and rate != chosen.rate:
        raise invalid(
            f"{path}.rate", f"Invalid '{path}.rate': {shown(rate)}. Only {chosen.rate} is supported for {chosen.value}."
        )
    members.finish()
    return chosen


def voice_of(value: object, path: str) -> str:
    """A voice's name, plain or as `{"id": name}`."""
    if isinstance(value, dict):
        return record(lambda members: members.take("id", NAME))(value, path)
    return NAME(value, path)


def modality_of(value: object, path: str) -> Modality:
    if not isinstance(value, list):
        raise wrong_type(path, "an array", value)
    if value == ["audio"]:
        return "audio"
    if value == ["text"]:
        return "text"
    raise invalid(
        path, f"Invalid value for '{path}': {shown(value)}. Supported combinations are: ['audio'] and ['text']."
    )


def token_limit(value: object, path: str) -> int:
    """1..4096, or 0 for "inf"."""
    if isinstance(value, str):
        one_of("inf")(value, path)
        return 0
    return whole(1, limits.MAX_OUTPUT_TOKENS)(value, path)


def reasoning_of(value: object, path: str) -> str:
    """The effort, "" when the object names none."""
    return record(lambda members: members.find("effort", _EFFORT) or "")(value, path)


def tool_choice_of(value: object, path: str) -> ToolChoice:
    if isinstance(value, str):
        return _MODES[one_of(*_MODES)(value, path)]
    members = fields(value, path)
    named = members.take("type", one_of("function", "mcp"))
    choice = force_mcp(members) if named == "mcp" else ForceFunction(members.take("name", _TOOL_NAME))
    members.finish()
    return choice


def _tool(*, referable: bool) -> Reader[ToolSource]:
    def reader(value: object, path: str) -> ToolSource:
        members = fields(value, path)
        mcp = members.find("type", one_of("function", "mcp")) == "mcp"
        tool = mcp_server(members, referable=referable) if mcp else _function(members)
        members.finish()
        return tool

    return reader


def _function(members: Fields) -> FunctionTool:
    return FunctionTool(
        name=members.take("name", _TOOL_NAME),
        description=members.find("description", text(limits.MAX_TOOL_DESCRIPTION)) or "",
        parameters=members.find("parameters", json_text(limits.MAX_TOOL_PARAMETERS)) or "",
    )


def _tools(*, referable: bool) -> Reader[tuple[ToolSource, ...]]:
    read = _tool(referable=referable)

    def reader(value: object, path: str) -> tuple[ToolSource, ...]:
        left = limits.MAX_TOOLS_TEXT

        def counted(value: object, path_of_tool: str) -> ToolSource:
            nonlocal left
            tool = read(value, path_of_tool)
            left -= len(tool.description) + len(tool.parameters) if isinstance(tool, FunctionTool) else 0
            if left < 0:
                most = limits.MAX_TOOLS_TEXT
                raise invalid(
                    path,
                    f"Invalid '{path}': at most {most} characters of descriptions and parameters are accepted in all.",
                )
            return tool

        return array(counted, MAX_TOOLS)(value, path)

    return reader


tools_of: Reader[tuple[ToolSource, ...]] = _tools(referable=False)
"""A session's functions and MCP servers; what they are to each other (two of one name) is the session's to judge."""

response_tools_of: Reader[tuple[ToolSource, ...]] = _tools(referable=True)
"""A response's own, in which an MCP server may be named by its label alone."""


def _truncation(value: object, path: str) -> Truncation:
    if isinstance(value, str):
        chosen: Reader[Literal["auto", "disabled"]] = one_of("auto", "disabled")
        return Truncation(mode=chosen(value, path))
    members = fields(value, path)
    members.take("type", one_of("retention_ratio"))
    ratio = members.take("retention_ratio", number(0.0, 1.0))
    after = members.find(
        "token_limits", record(lambda inner: inner.find("post_instructions", whole(1, limits.MAX_CLOCK_MS)))
    )
    members.finish()
    return Truncation(mode="retention_ratio", retention_ratio=ratio, post_instructions=after)


def _tracing(value: object, path: str) -> str:
    """`"auto"` or an object; kept as JSON text and echoed. Nothing is sent anywhere."""
    if isinstance(value, str):
        one_of("auto")(value, path)
        return '"auto"'
    members = fields(value, path)
    for name in ("workflow_name", "group_id"):
        members.find(name, text(limits.MAX_TRACING))
    members.find("metadata", json_text(limits.MAX_TRACING))
    members.finish()
    return json_text(limits.MAX_TRACING)(value, path)


def _transcription(members: Fields) -> Transcription:
    members.refuse(
        "delay", "it belongs to gpt-realtime-whisper. Leave it out: partial words are sent as soon as they stand."
    )
    return Transcription(
        model=members.find("model", NAME) or "",
        language=members.find("language", _language) or "",
        prompt=members.find("prompt", INSTRUCTIONS) or "",
        keywords=members.find("keywords", array(text(limits.MAX_KEYWORD, 1), limits.MAX_KEYWORDS)) or (),
        languages=members.find("languages", array(_LANGUAGE, limits.MAX_LANGUAGES)) or (),
    )


def _language(value: object, path: str) -> str:
    return "" if value == "" else _LANGUAGE(value, path)


def _noise_reduction(members: Fields) -> NoiseReduction:
    strength = members.find("strength", number(0.0, 1.0))
    return NoiseReduction(type=members.take("type", _FIELD), strength=strength)


def _turn_detection(members: Fields) -> TurnDetection:
    chosen = members.take("type", _VAD)
    create = members.find("create_response", boolean)
    interrupt = members.find("interrupt_response", boolean)
    if chosen == "semantic_vad":
        return SemanticVad(
            eagerness=members.find("eagerness", _EAGERNESS) or "auto",
            create_response=create is not False,
            interrupt_response=interrupt is not False,
        )
    defaults = ServerVad()
    threshold = members.find("threshold", number(0.0, 1.0))
    padding = members.find("prefix_padding_ms", whole(0, limits.MAX_PREFIX_PADDING_MS))
    silence = members.find("silence_duration_ms", whole(0, limits.MAX_SILENCE_DURATION_MS))
    return ServerVad(
        threshold=defaults.threshold if threshold is None else threshold,
        prefix_padding_ms=defaults.prefix_padding_ms if padding is None else padding,
        silence_duration_ms=defaults.silence_duration_ms if silence is None else silence,
        idle_timeout_ms=members.find("idle_timeout_ms", whole(IDLE_MIN_MS, IDLE_MAX_MS)),
        create_response=create is not False,
        interrupt_response=interrupt is not False,
    )
