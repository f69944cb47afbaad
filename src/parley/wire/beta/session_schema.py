"""Reads the flat `session` of the beta dialect into the fields of `Settings` that it carries.

Laws: those of `settings_schema`; only members that the client wrote enter the patch. Null clears what can be off (`turn_detection`,
`input_audio_transcription`, `input_audio_noise_reduction`, `tracing`, `include`) and elsewhere counts as not written. The event, not
the object, says which kind of session it is.
"""

from __future__ import annotations

from functools import partial

from parley.core.words.settings import (
    AudioFormat,
    ForceFunction,
    Modality,
    NoiseReduction,
    SessionKind,
    SettingsPatch,
    ToolChoice,
    ToolSource,
)
from parley.wire.schema import Fields, ForeignNames, Reader, fields, invalid, number, one_of, record, shown, wrong_type
from parley.wire.settings_schema import (
    CONVERSATION_INCLUDED,
    INSTRUCTIONS,
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

TEMPERATURE = number(0.6, 1.2)
"""The documented range."""

FORMATS = {"pcm16": AudioFormat.PCM16, "g711_ulaw": AudioFormat.PCMU, "g711_alaw": AudioFormat.PCMA}

GA_NAMES = ForeignNames(
    "GA",
    {
        "output_modalities": "modalities",
        "max_output_tokens": "max_response_output_tokens",
        "audio": "input_audio_format",
    },
)
"""Members of the GA dialect, and what the beta has in their place."""

_SECRET = "a key's expiry is set by POST /v1/realtime/sessions, not on a running session. Leave it out."


def read_session(members: Fields, kind: SessionKind | None = None) -> SettingsPatch:
    """The patch that a session object asks for; raises `PeerError`. `kind` None: a speaking session."""
    patch: SettingsPatch = {"kind": kind or "realtime"}
    members.refuse("client_secret", _SECRET)
    _read_listening(members, patch)
    if kind == "transcription":
        if (modality := members.find("modalities", modality_of)) is not None:
            patch["modality"] = modality  # shown back; there are no replies
        members.finish("A transcription session has no voice, tools or instructions.")
        return patch
    _read_words(members, patch)
    _read_generation(members, patch)
    members.finish(foreign=GA_NAMES)
    return patch


def reader(kind: SessionKind) -> Reader[SettingsPatch]:
    """The `session` member of an event."""
    return record(partial(read_session, kind=kind))


def _read_listening(members: Fields, patch: SettingsPatch) -> None:
    if (encoding := members.find("input_audio_format", audio_format)) is not None:
        patch["input_format"] = encoding
    if "input_audio_transcription" in members:
        patch["transcription"] = members.find("input_audio_transcription", switchable(record(transcription)))
    if "input_audio_noise_reduction" in members:
        patch["noise_reduction"] = members.find("input_audio_noise_reduction", switchable(record(_noise_reduction)))
    if "turn_detection" in members:
        read = partial(turn_detection, default_type="server_vad", idles=False)
        patch["turn_detection"] = members.find("turn_detection", switchable(record(read)))
    if "include" in members:
        patch["include"] = members.find("include", CONVERSATION_INCLUDED) or ()


def _read_words(members: Fields, patch: SettingsPatch) -> None:
    if (model := members.find("model", NAME)) is not None:
        patch["model"] = model
    if (modality := members.find("modalities", modality_of)) is not None:
        patch["modality"] = modality
    if (instructions := members.find("instructions", INSTRUCTIONS)) is not None:
        patch["instructions"] = instructions
    if (voice := members.find("voice", NAME)) is not None:
        patch["voice"] = voice
    if (encoding := members.find("output_audio_format", audio_format)) is not None:
        patch["output_format"] = encoding
    if (speed := members.find("speed", SPEED)) is not None:
        patch["speed"] = speed


def _read_generation(members: Fields, patch: SettingsPatch) -> None:
    if (declared := members.find("tools", tools_of)) is not None:
        patch["tools"] = declared
    if (choice := members.find("tool_choice", tool_choice_of)) is not None:
        patch["tool_choice"] = choice
    if (limit := members.find("max_response_output_tokens", token_limit)) is not None:
        patch["max_output_tokens"] = limit or None
    if (temperature := members.find("temperature", TEMPERATURE)) is not None:
        patch["temperature"] = temperature
    if "tracing" in members:
        patch["tracing"] = members.find("tracing", tracing)


def _noise_reduction(members: Fields) -> NoiseReduction:
    return NoiseReduction(type=members.take("type", NOISE_REDUCTION_TYPE), strength=1.0)


def audio_format(value: object, path: str) -> AudioFormat:
    return FORMATS[one_of(*FORMATS)(value, path)]


def modality_of(value: object, path: str) -> Modality:
    """Text alone, or audio with its text."""
    if not isinstance(value, list):
        raise wrong_type(path, "an array", value)
    if value == ["text"]:
        return "text"
    if value in (["audio", "text"], ["text", "audio"]):
        return "audio"
    raise invalid(
        path,
        f"Invalid value for '{path}': {shown(value)}. Supported combinations are: ['text'] and ['audio', 'text'].",
    )


def tool_choice_of(value: object, path: str) -> ToolChoice:
    if isinstance(value, str):
        return TOOL_CHOICES[one_of(*TOOL_CHOICES)(value, path)]
    members = fields(value, path)
    members.take("type", one_of("function"))
    choice = ForceFunction(members.take("name", TOOL_NAME))
    members.finish()
    return choice


def _function(members: Fields) -> ToolSource:
    members.find("type", one_of("function"))
    return function_tool(members)


tools_of = tools(record(_function))
"""Functions; the beta knows no MCP servers."""
