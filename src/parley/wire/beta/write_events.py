"""Client events as a client of the beta dialect sends them.

Laws: those of `wire.write_events`. What the beta has no name for (MCP servers, images, idle timeouts, the GA's options of generation)
cannot be said.
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
from parley.core.words.items import InputImage, Item, ItemReference, Message
from parley.core.words.settings import (
    ForceMcp,
    FunctionTool,
    NoiseReduction,
    ServerVad,
    SettingsPatch,
    ToolSource,
    Transcription,
)
from parley.core.words.work import ResponseParams
from parley.wire.beta.encode_notices import item_object
from parley.wire.beta.encode_session import (
    format_name,
    modalities,
    noise_reduction_object,
    tool_choice_value,
    transcription_object,
)
from parley.wire.encode_settings import function_tool, included, token_limit, tracing, turn_detection
from parley.wire.encoding import Json, Named
from parley.wire.write_events import common_event, given, item_creation, unnamed


def client_event(event: ClientEvent) -> Named | None:
    """The event's type and members, without its id."""
    match event:
        case SessionUpdateRequested():
            return _session_update(event.patch)
        case ItemCreateRequested():
            item = _item(event.item)
            return None if item is None else item_creation(item, event.previous_item_id)
        case ResponseRequested():
            response = _response(event.params)
            return None if response is None else ("response.create", {"response": response})
        case ClientErred() | SessionCloseRequested():
            return None
        case _:
            return common_event(event)


_LISTENING: dict[str, tuple[str, Callable[..., object]]] = {
    "modality": ("modalities", modalities),
    "input_format": ("input_audio_format", format_name),
    "transcription": ("input_audio_transcription", transcription_object),
    "noise_reduction": ("input_audio_noise_reduction", noise_reduction_object),
    "turn_detection": ("turn_detection", lambda wanted: turn_detection(wanted, idles=False)),
    "include": ("include", included),
}
_SPEAKING: dict[str, tuple[str, Callable[..., object]]] = {
    "model": ("model", str),
    "instructions": ("instructions", str),
    "voice": ("voice", str),
    "output_format": ("output_audio_format", format_name),
    "speed": ("speed", float),
    "tools": ("tools", lambda tools: [function_tool(tool) for tool in tools]),
    "tool_choice": ("tool_choice", tool_choice_value),
    "max_output_tokens": ("max_response_output_tokens", token_limit),
    "temperature": ("temperature", float),
    "tracing": ("tracing", tracing),
}


def _session_update(patch: SettingsPatch) -> Named | None:
    if patch.get("kind") == "translation":
        return None
    transcribes = patch.get("kind") == "transcription"
    table = _LISTENING if transcribes else _LISTENING | _SPEAKING
    values: dict[str, object] = {**patch}
    if not values.keys() <= table.keys() | {"kind"} or not all(_has_words_for(value) for value in values.values()):
        return None
    session = {name: write(values[field]) for field, (name, write) in table.items() if field in values}
    return "transcription_session.update" if transcribes else "session.update", {"session": session}


def _has_words_for(value: object) -> bool:
    match value:
        case Transcription():
            return not value.keywords and not value.languages
        case NoiseReduction():
            return value.strength == 1.0
        case ServerVad():
            return value.idle_timeout_ms is None
        case ForceMcp():
            return False
        case tuple():
            return all(isinstance(one, FunctionTool | str) for one in value)
        case _:
            return True


def _response(params: ResponseParams) -> Json | None:
    beyond = (params.parallel_tool_calls, params.reasoning_effort)
    items = None if params.input is None else [_input_item(item) for item in params.input]
    if any(option is not None for option in beyond) or (items is not None and None in items):
        return None
    if not _has_words_for(params.tools) or not _has_words_for(params.tool_choice):
        return None
    limit = params.max_output_tokens
    return given(
        {
            "conversation": None if params.in_conversation else "none",
            "input": items,
            "instructions": params.instructions,
            "modalities": None if params.modality is None else modalities(params.modality),
            "voice": params.voice,
            "output_audio_format": None if params.output_format is None else format_name(params.output_format),
            "tools": None if params.tools is None else _tools(params.tools),
            "tool_choice": None if params.tool_choice is None else tool_choice_value(params.tool_choice),
            "max_response_output_tokens": None if limit is None else token_limit(limit or None),
            "temperature": params.temperature,
            "metadata": None if params.metadata is None else dict(params.metadata),
        }
    )


def _tools(tools: tuple[ToolSource, ...]) -> list[Json]:
    return [function_tool(tool) for tool in tools if isinstance(tool, FunctionTool)]


def _item(item: Item) -> Json | None:
    if isinstance(item, Message) and any(isinstance(part, InputImage) for part in item.content):
        return None
    return item_object(item, whole=True)


def _input_item(item: Item | ItemReference) -> Json | None:
    if isinstance(item, ItemReference):
        return {"type": "item_reference", "id": item.id}
    shown = _item(item)
    return None if shown is None else unnamed(shown)
