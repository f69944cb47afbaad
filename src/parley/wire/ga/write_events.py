"""Client events as a client of the GA dialect sends them.

Laws: those of `wire.write_events`. `temperature` and translation sessions cannot be said.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.core.words.events import (
    ClientErred,
    ClientEvent,
    ItemCreateRequested,
    ResponseRequested,
    SessionCloseRequested,
    SessionUpdateRequested,
)
from parley.core.words.items import Item, ItemReference
from parley.core.words.settings import McpServer, NoiseReduction, SettingsPatch, ToolSource
from parley.core.words.work import ResponseParams
from parley.wire.encode_settings import included, token_limit, tracing, turn_detection
from parley.wire.encoding import Json, Named
from parley.wire.ga.encode_items import item_object
from parley.wire.ga.encode_session import (
    format_object,
    tool_choice_value,
    tool_object,
    transcription_object,
    truncation_value,
)
from parley.wire.write_events import common_event, given, item_creation, unnamed


def client_event(event: ClientEvent) -> Named | None:
    """The event's type and members, without its id."""
    match event:
        case SessionUpdateRequested():
            unknown = "temperature" in event.patch or event.patch.get("kind") == "translation"
            return None if unknown else ("session.update", {"session": session_patch(event.patch)})
        case ItemCreateRequested():
            return item_creation(item_object(event.item, whole=True), event.previous_item_id)
        case ResponseRequested():
            response = _response(event.params)
            return None if event.params.temperature is not None else ("response.create", {"response": response})
        case ClientErred() | SessionCloseRequested():
            return None
        case _:
            return common_event(event)


_OUTER: dict[str, tuple[str, Callable[..., object]]] = {
    "model": ("model", str),
    "modality": ("output_modalities", lambda modality: [modality]),
    "instructions": ("instructions", str),
    "tools": ("tools", lambda tools: [_tool(tool) for tool in tools]),
    "tool_choice": ("tool_choice", tool_choice_value),
    "parallel_tool_calls": ("parallel_tool_calls", lambda parallel: parallel),
    "max_output_tokens": ("max_output_tokens", token_limit),
    "truncation": ("truncation", truncation_value),
    "reasoning_effort": ("reasoning", lambda effort: {"effort": effort} if effort else None),
    "tracing": ("tracing", tracing),
    "include": ("include", included),
}
_INPUT: dict[str, tuple[str, Callable[..., object]]] = {
    "input_format": ("format", format_object),
    "transcription": ("transcription", transcription_object),
    "noise_reduction": ("noise_reduction", lambda wanted: wanted and _noise_reduction(wanted)),
    "turn_detection": ("turn_detection", lambda wanted: turn_detection(wanted, idles=True)),
}
_OUTPUT: dict[str, tuple[str, Callable[..., object]]] = {
    "output_format": ("format", format_object),
    "voice": ("voice", str),
    "speed": ("speed", float),
}


def session_patch(patch: SettingsPatch) -> Json:
    """The session object that asks for the patch; null for what it switches off."""
    session: Json = {"type": patch.get("kind", "realtime"), **_members(patch, _OUTER)}
    audio = {"input": _members(patch, _INPUT), "output": _members(patch, _OUTPUT)}
    if sides := {name: members for name, members in audio.items() if members}:
        session["audio"] = sides
    return session


def _members(patch: SettingsPatch, table: dict[str, tuple[str, Callable[..., object]]]) -> Json:
    values: dict[str, object] = {**patch}
    return {name: write(values[field]) for field, (name, write) in table.items() if field in values}


def _noise_reduction(wanted: NoiseReduction) -> Json:
    return given({"type": wanted.type, "strength": wanted.strength})


def _tool(tool: ToolSource) -> Json:
    """The tool with what opens it, which an echo leaves out."""
    shown = tool_object(tool)
    if not isinstance(tool, McpServer):
        return shown
    if not tool.url:
        del shown["server_url"]
    if tool.approval is None:
        del shown["require_approval"]
    secret = {"authorization": tool.credentials.authorization, "headers": dict(tool.credentials.headers)}
    return shown | {name: value for name, value in secret.items() if value}


def _response(params: ResponseParams) -> Json:
    output = given(
        {
            "format": None if params.output_format is None else format_object(params.output_format),
            "voice": params.voice,
        }
    )
    limit, effort = params.max_output_tokens, params.reasoning_effort
    return given(
        {
            "conversation": None if params.in_conversation else "none",
            "input": None if params.input is None else [_input_item(item) for item in params.input],
            "instructions": params.instructions,
            "output_modalities": None if params.modality is None else [params.modality],
            "audio": {"output": output} if output else None,
            "tools": None if params.tools is None else [_tool(tool) for tool in params.tools],
            "tool_choice": None if params.tool_choice is None else tool_choice_value(params.tool_choice),
            "parallel_tool_calls": params.parallel_tool_calls,
            "max_output_tokens": None if limit is None else token_limit(limit or None),
            "reasoning": None if effort is None else given({"effort": effort or None}),
            "metadata": None if params.metadata is None else dict(params.metadata),
        }
    )


def _input_item(item: Item | ItemReference) -> Json:
    if isinstance(item, ItemReference):
        return {"type": "item_reference", "id": item.id}
    return unnamed(item_object(item, whole=True))
