"""Settings as members of session objects that all dialects write alike, under whatever name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import msgspec

from parley.core.words.settings import (
    CLAUSES,
    LOGPROBS,
    TURN_METRICS,
    UNSTABLE_WORDS,
    ForceFunction,
    FunctionTool,
    Included,
    SemanticVad,
    ServerVad,
    TurnDetection,
)
from parley.wire.encoding import Json

INCLUDED: Mapping[Included, str] = {
    LOGPROBS: "item.input_audio_transcription.logprobs",
    TURN_METRICS: "parley.turn.metrics",
    CLAUSES: "parley.clauses",
    UNSTABLE_WORDS: "parley.unstable_words",
}
"""What a client may ask for in `include`, by the core's name."""


def included(wanted: tuple[Included, ...]) -> list[str] | None:
    return [INCLUDED[one] for one in wanted] or None


def raw(json_text: str) -> msgspec.Raw:
    """JSON text that is copied into an event."""
    return msgspec.Raw(json_text.encode())


def token_limit(limit: int | None) -> int | str:
    return "inf" if limit is None else limit


def turn_detection(wanted: TurnDetection | None, *, idles: bool) -> Json | None:
    """`idles`: the dialect has `idle_timeout_ms`."""
    match wanted:
        case None:
            return None
        case ServerVad():
            return {
                "type": "server_vad",
                "threshold": wanted.threshold,
                "prefix_padding_ms": wanted.prefix_padding_ms,
                "silence_duration_ms": wanted.silence_duration_ms,
                **({"idle_timeout_ms": wanted.idle_timeout_ms} if idles else {}),
                "create_response": wanted.create_response,
                "interrupt_response": wanted.interrupt_response,
            }
        case SemanticVad():
            return {
                "type": "semantic_vad",
                "eagerness": wanted.eagerness,
                "create_response": wanted.create_response,
                "interrupt_response": wanted.interrupt_response,
            }
        case _:
            assert_never(wanted)


def function_tool(tool: FunctionTool) -> Json:
    shown: Json = {"type": "function", "name": tool.name}
    if tool.description:
        shown["description"] = tool.description
    if tool.parameters:
        shown["parameters"] = raw(tool.parameters)
    return shown


def forced_function(choice: ForceFunction) -> Json:
    return {"type": "function", "name": choice.name}


def tracing(wanted: str | None) -> msgspec.Raw | None:
    return None if wanted is None else raw(wanted)
