"""The session object of the GA protocol, its members in the order of the real wire.

Laws: it shows the full effective settings; optional members that are not set are absent unless the wire shows them as null
(`tracing`, `prompt`, `transcription`, `noise_reduction`, `turn_detection`, `idle_timeout_ms`, `include`); `voice` is a string.
"""

from __future__ import annotations

from parley.core.words.ids import SessionId
from parley.core.words.settings import (
    Approval,
    AudioFormat,
    ForceFunction,
    ForceMcp,
    McpServer,
    NoiseReduction,
    Settings,
    ToolChoice,
    ToolFilter,
    ToolSource,
    Transcription,
    Truncation,
)
from parley.wire.encode_settings import (
    forced_function,
    function_tool,
    included,
    token_limit,
    tracing,
    turn_detection,
)
from parley.wire.encoding import Json


def session_object(session_id: SessionId, settings: Settings, expires_at: int) -> Json:
    """The session as clients and key requests see it; `expires_at` in Unix seconds."""
    if settings.kind == "transcription":
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": session_id,
            "expires_at": expires_at,
            "audio": {"input": _input(settings)},
            "include": included(settings.include),
        }
    session: Json = {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": settings.model,
        "output_modalities": [settings.modality],
        "instructions": settings.instructions,
        "tools": [tool_object(tool) for tool in settings.tools],
        "tool_choice": tool_choice_value(settings.tool_choice),
    }
    if settings.parallel_tool_calls is not None:
        session["parallel_tool_calls"] = settings.parallel_tool_calls
    session["max_output_tokens"] = token_limit(settings.max_output_tokens)
    if settings.reasoning_effort:
        session["reasoning"] = {"effort": settings.reasoning_effort}
    session |= {
        "tracing": tracing(settings.tracing),
        "truncation": truncation_value(settings.truncation),
        "prompt": None,
        "expires_at": expires_at,
        "audio": {
            "input": _input(settings),
            "output": {
                "format": format_object(settings.output_format),
                "voice": settings.voice,
                "speed": settings.speed,
            },
        },
        "include": included(settings.include),
    }
    return session


def format_object(encoding: AudioFormat) -> Json:
    if encoding is AudioFormat.PCM16:
        return {"type": encoding.value, "rate": encoding.rate}
    return {"type": encoding.value}


def _input(settings: Settings) -> Json:
    return {
        "format": format_object(settings.input_format),
        "transcription": transcription_object(settings.transcription),
        "noise_reduction": noise_reduction_object(settings.noise_reduction),
        "turn_detection": turn_detection(settings.turn_detection, idles=True),
    }


def transcription_object(wanted: Transcription | None) -> Json | None:
    if wanted is None:
        return None
    shown: Json = {
        "model": wanted.model,
        "language": wanted.language,
        "languages": list(wanted.languages),
        "prompt": wanted.prompt,
        "keywords": list(wanted.keywords),
    }
    return {name: value for name, value in shown.items() if value}


def noise_reduction_object(wanted: NoiseReduction | None) -> Json | None:
    return None if wanted is None else {"type": wanted.type, "strength": wanted.strength}


def tool_object(tool: ToolSource) -> Json:
    return _mcp_server(tool) if isinstance(tool, McpServer) else function_tool(tool)


def _mcp_server(server: McpServer) -> Json:
    """Without what opens it: a session's echo ends up in logs."""
    shown: Json = {"type": "mcp", "server_label": server.label, "server_url": server.url}
    if server.description:
        shown["server_description"] = server.description
    if server.allowed is not None:
        names_alone = server.allowed.read_only is None and server.allowed.names is not None
        shown["allowed_tools"] = list(server.allowed.names or ()) if names_alone else _filter(server.allowed)
    shown["require_approval"] = _approval(server.approval)
    return shown


def _filter(wanted: ToolFilter) -> Json:
    shown: Json = {}
    if wanted.names is not None:
        shown["tool_names"] = list(wanted.names)
    if wanted.read_only is not None:
        shown["read_only"] = wanted.read_only
    return shown


def _approval(approval: Approval | None) -> str | Json:
    if approval is None or approval == Approval():
        return "always"
    if approval == Approval(never=ToolFilter()):
        return "never"
    filters = {"always": approval.always, "never": approval.never}
    return {name: _filter(wanted) for name, wanted in filters.items() if wanted is not None}


def tool_choice_value(choice: ToolChoice) -> str | Json:
    match choice:
        case ForceFunction():
            return forced_function(choice)
        case ForceMcp():
            named = {"name": choice.name} if choice.name else {}
            return {"type": "mcp", "server_label": choice.label, **named}
        case _:
            return choice


def truncation_value(truncation: Truncation) -> str | Json:
    if truncation.mode != "retention_ratio":
        return truncation.mode
    shown: Json = {"type": "retention_ratio", "retention_ratio": truncation.retention_ratio}
    if truncation.post_instructions is not None:
        shown["token_limits"] = {"post_instructions": truncation.post_instructions}
    return shown
