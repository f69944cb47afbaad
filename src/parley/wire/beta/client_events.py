"""The client events of the beta dialect that are its own.

Laws: those of `event_schema`.
"""

from __future__ import annotations

from parley.core.words.events import ClientEvent, ItemCreateRequested, ResponseRequested, SessionUpdateRequested
from parley.core.words.work import ResponseParams
from parley.wire import limits
from parley.wire.beta.items_schema import ITEMS
from parley.wire.beta.session_schema import (
    GA_NAMES,
    TEMPERATURE,
    audio_format,
    modality_of,
    reader,
    tool_choice_of,
    tools_of,
)
from parley.wire.event_schema import TRANSLATION_EVENTS, EventId, EventTable
from parley.wire.schema import Fields, Reader, array, invalid, one_of, record, text
from parley.wire.settings_schema import INSTRUCTIONS, NAME, metadata, token_limit

_CONVERSATION: Reader[str] = one_of("auto", "none")
_SESSION = reader("realtime")
_TRANSCRIPTION_SESSION = reader("transcription")


def _session_update(members: Fields, event_id: EventId) -> ClientEvent:
    return SessionUpdateRequested(members.take("session", _SESSION), event_id)


def _transcription_session_update(members: Fields, event_id: EventId) -> ClientEvent:
    return SessionUpdateRequested(members.take("session", _TRANSCRIPTION_SESSION), event_id)


def _item_create(members: Fields, event_id: EventId) -> ClientEvent:
    after = members.find("previous_item_id", text(limits.MAX_ID))
    return ItemCreateRequested(members.take("item", ITEMS.item), after, event_id)


def _response_create(members: Fields, event_id: EventId) -> ClientEvent:
    return ResponseRequested(members.find("response", record(_response)) or ResponseParams(), event_id)


def _response(members: Fields) -> ResponseParams:
    params = ResponseParams(
        in_conversation=members.find("conversation", _CONVERSATION) != "none",
        input=members.find("input", array(ITEMS.input_item, limits.MAX_INPUT_ITEMS)),
        instructions=members.find("instructions", INSTRUCTIONS),
        modality=members.find("modalities", modality_of),
        voice=members.find("voice", NAME),
        output_format=members.find("output_audio_format", audio_format),
        tools=members.find("tools", tools_of),
        tool_choice=members.find("tool_choice", tool_choice_of),
        max_output_tokens=_token_limit(members),
        temperature=members.find("temperature", TEMPERATURE),
        metadata=members.find("metadata", metadata),
    )
    members.finish(foreign=GA_NAMES)
    return params


def _token_limit(members: Fields) -> int | None:
    """`max_response_output_tokens`, which the protocol of 2024 called `max_output_tokens` in a response."""
    limit, older = (
        members.find("max_response_output_tokens", token_limit),
        members.find("max_output_tokens", token_limit),
    )
    if limit is not None and older is not None:
        path = members.at("max_output_tokens")
        raise invalid(path, f"'{path}' is the older name of 'max_response_output_tokens'. Send one of them.")
    return older if limit is None else limit


read_event = EventTable(
    {
        "session.update": _session_update,
        "transcription_session.update": _transcription_session_update,
        "conversation.item.create": _item_create,
        "response.create": _response_create,
    },
    foreign=TRANSLATION_EVENTS,
)
