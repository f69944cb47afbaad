"""Reads the `session` of `session.update` (and of a key request) into the fields of `Settings` that it carries.

Laws: only members that the client wrote enter the patch. Null clears what can be off (`turn_detection`, `transcription`,
`noise_reduction`, `tracing`, `include`, `parallel_tool_calls`, `reasoning`) and elsewhere counts as not written. A `turn_detection`
or `transcription` that is given is whole: its unwritten members take their defaults. What depends on the session's state (is there
assistant audio yet, does the pipeline have that voice) is the session's to judge.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

from parley.core.words.settings import (
    AudioFormat,
    ForceFunction,
    Modality,
    NoiseReduction,
    SessionKind,
    SettingsPatch,
    ToolChoice,
    ToolSource,
    Transcription,
    Truncation,
)
from parley.wire import limits
from parley.wire.ga.mcp_schema import force_mcp, mcp_server
from parley.wire.schema import (
    Fields,
    ForeignNames,
    Reader,
    array,
    boolean,
    fields,
    invalid,
    number,
    one_of,
    record,
    shown,
    text,
    whole,
    wrong_type,
)
from parley.wire.settings_schema import (
    CONVERSATION_INCLUDED,
    INSTRUCTIONS,
    LANGUAGE,
    NAME,
    NOISE_REDUCTION_TYPE,
    SPEED,
    TOOL_CHOICES,
    TOOL_NAME,
    function_tool,
    switchable,
    token_limit,
    tools,
    tracing,
    transcription,
    turn_detection,
)

PROMPT_UNSERVED = "stored prompts live only in OpenAI's account. Send the prompt's text as 'instructions'."

_KINDS: Reader[SessionKind] = one_of("realtime", "transcription")
_FORMAT: Reader[str] = one_of("audio/pcm", "audio/pcmu", "audio/pcma")
_EFFORT: Reader[str] = one_of("minimal", "low", "medium", "high", "xhigh")
TRANSLATIONS_ELSEWHERE = (
    "Translation sessions are opened at /v1/realtime/translations?model=NAME, and their client secrets are made with "
    "POST /v1/realtime/translations/client_secrets."
)
BETA_NAMES = ForeignNames(
    "beta",
    {
        "modalities": "output_modalities",
        "max_response_output_tokens": "max_output_tokens",
        "input_audio_format": "audio.input.format",
        "output_audio_format": "audio.output.format",
        "input_audio_transcription": "audio.input.transcription",
        "input_audio_noise_reduction": "audio.input.noise_reduction",
        "turn_detection": "audio.input.turn_detection",
        "voice": "audio.output.voice",
        "speed": "audio.output.speed",
        "output_audio": "audio.output",
    },
)
"""Members of the beta dialect, and where the GA protocol has them: named in the error about each."""


def _kind(value: object, path: str) -> SessionKind:
    if value == "translation":
        raise invalid(path, f"Invalid value for '{path}': 'translation'. {TRANSLATIONS_ELSEWHERE}")
    return _KINDS(value, path)


def read_session(members: Fields, kind: SessionKind | None = None) -> SettingsPatch:
    """The patch that a session object asks for; raises `PeerError`. `kind` is what it is where the object does not say it."""
    named = members.take("type", _kind) if kind is None else members.find("type", _kind) or kind
    patch: SettingsPatch = {"kind": named}
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
        patch["tracing"] = members.find("tracing", tracing)
    members.refuse("prompt", PROMPT_UNSERVED)
    members.finish(foreign=BETA_NAMES)
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
        patch["include"] = members.find("include", CONVERSATION_INCLUDED) or ()


def _read_audio(members: Fields, patch: SettingsPatch, *, speaks: bool) -> None:
    members.find("input", record(lambda inner: _read_input(inner, patch)))
    if speaks:
        members.find("output", record(lambda inner: _read_output(inner, patch)))


def _read_input(members: Fields, patch: SettingsPatch) -> None:
    if (encoding := members.find("format", audio_format)) is not None:
        patch["input_format"] = encoding
    if "transcription" in members:
        patch["transcription"] = members.find("transcription", switchable(record(_transcription)))
    if "noise_reduction" in members:
        patch["noise_reduction"] = members.find("noise_reduction", switchable(record(_noise_reduction)))
    if "turn_detection" in members:
        patch["turn_detection"] = members.find(
            "turn_detection", switchable(record(partial(turn_detection, idles=True)))
        )


def _read_output(members: Fields, patch: SettingsPatch) -> None:
    if (encoding := members.find("format", audio_format)) is not None:
        patch["output_format"] = encoding
    if (voice := members.find("voice", voice_of)) is not None:
        patch["voice"] = voice
    if (speed := members.find("speed", SPEED)) is not None:
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
        if value.get("type") == "prompt":
            raise invalid(
                path,
                f"Invalid '{path}': voices made from a prompt cannot be had here. Name a voice, or send {{'id': ...}}.",
            )
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


def reasoning_of(value: object, path: str) -> str:
    """The effort, "" when the object names none."""
    return record(lambda members: members.find("effort", _EFFORT) or "")(value, path)


def tool_choice_of(value: object, path: str) -> ToolChoice:
    if isinstance(value, str):
        return TOOL_CHOICES[one_of(*TOOL_CHOICES)(value, path)]
    members = fields(value, path)
    named = members.take("type", one_of("function", "mcp"))
    choice = force_mcp(members) if named == "mcp" else ForceFunction(members.take("name", TOOL_NAME))
    members.finish()
    return choice


def _tool(*, referable: bool) -> Reader[ToolSource]:
    def reader(value: object, path: str) -> ToolSource:
        members = fields(value, path)
        mcp = members.find("type", one_of("function", "mcp")) == "mcp"
        tool = mcp_server(members, referable=referable) if mcp else function_tool(members)
        members.finish()
        return tool

    return reader


tools_of: Reader[tuple[ToolSource, ...]] = tools(_tool(referable=False))
"""A session's functions and MCP servers; what they are to each other (two of one name) is the session's to judge."""

response_tools_of: Reader[tuple[ToolSource, ...]] = tools(_tool(referable=True))
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


def _transcription(members: Fields) -> Transcription:
    members.refuse(
        "delay", "it belongs to gpt-realtime-whisper. Leave it out: partial words are sent as soon as they stand."
    )
    return replace(
        transcription(members),
        keywords=members.find("keywords", array(text(limits.MAX_KEYWORD, 1), limits.MAX_KEYWORDS)) or (),
        languages=members.find("languages", array(LANGUAGE, limits.MAX_LANGUAGES)) or (),
    )


def _noise_reduction(members: Fields) -> NoiseReduction:
    strength = members.find("strength", number(0.0, 1.0))
    return NoiseReduction(type=members.take("type", NOISE_REDUCTION_TYPE), strength=strength)
