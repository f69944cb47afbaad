"""The flat session object of the beta dialect, its members in the order of the real wire.

Laws: it shows the full effective settings; what is off is null; `voice` and formats are strings. What the beta has no name for (MCP
servers, the GA's options of generation) is left out: no client of this dialect can set it.
"""

from __future__ import annotations

from parley.core.words.ids import SessionId
from parley.core.words.settings import (
    AudioFormat,
    ForceFunction,
    FunctionTool,
    Modality,
    NoiseReduction,
    Settings,
    ToolChoice,
    Transcription,
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

DEFAULT_TEMPERATURE = 0.8
"""What the protocol shows where the client has chosen none."""

_FORMATS = {AudioFormat.PCM16: "pcm16", AudioFormat.PCMU: "g711_ulaw", AudioFormat.PCMA: "g711_alaw"}


def session_object(session_id: SessionId, settings: Settings, expires_at: int) -> Json:
    """The session as clients and key requests see it; `expires_at` in Unix seconds."""
    speaks = settings.kind == "realtime"
    session: Json = {
        "id": session_id,
        "object": "realtime.session" if speaks else "realtime.transcription_session",
        "expires_at": expires_at,
        "input_audio_noise_reduction": noise_reduction_object(settings.noise_reduction),
        "turn_detection": turn_detection(settings.turn_detection, idles=False),
        "input_audio_format": format_name(settings.input_format),
        "input_audio_transcription": transcription_object(settings.transcription),
        "client_secret": None,
        "include": included(settings.include),
    }
    return session | {"modalities": modalities(settings.modality)} | (_speaking(settings) if speaks else {})


def _speaking(settings: Settings) -> Json:
    return {
        "model": settings.model,
        "instructions": settings.instructions,
        "voice": settings.voice,
        "output_audio_format": format_name(settings.output_format),
        "tool_choice": tool_choice_value(settings.tool_choice),
        "temperature": temperature(settings.temperature),
        "max_response_output_tokens": token_limit(settings.max_output_tokens),
        "speed": settings.speed,
        "tracing": tracing(settings.tracing),
        "tools": [function_tool(tool) for tool in settings.tools if isinstance(tool, FunctionTool)],
    }


def format_name(encoding: AudioFormat) -> str:
    return _FORMATS[encoding]


def modalities(modality: Modality) -> list[str]:
    return ["audio", "text"] if modality == "audio" else ["text"]


def temperature(chosen: float | None) -> float:
    return DEFAULT_TEMPERATURE if chosen is None else chosen


def noise_reduction_object(wanted: NoiseReduction | None) -> Json | None:
    return None if wanted is None else {"type": wanted.type}


def transcription_object(wanted: Transcription | None) -> Json | None:
    if wanted is None:
        return None
    shown: Json = {"model": wanted.model, "language": wanted.language, "prompt": wanted.prompt}
    return {name: value for name, value in shown.items() if value}


def tool_choice_value(choice: ToolChoice) -> str | Json:
    if isinstance(choice, ForceFunction):
        return forced_function(choice)
    return choice if isinstance(choice, str) else "auto"
