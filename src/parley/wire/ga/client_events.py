"""The client events of the GA dialect that are its own.

Laws: those of `event_schema`.
"""

from __future__ import annotations

from parley.core.words.events import ClientEvent, ItemCreateRequested, ResponseRequested, SessionUpdateRequested
from parley.core.words.settings import AudioFormat
from parley.core.words.work import ResponseParams
from parley.wire import limits
from parley.wire.event_schema import TRANSLATION_EVENTS, EventId, EventTable
from parley.wire.ga.items_schema import ITEMS
from parley.wire.ga.session_schema import (
    BETA_NAMES,
    PROMPT_UNSERVED,
    SESSION,
    audio_format,
    modality_of,
    reasoning_of,
    response_tools_of,
    tool_choice_of,
    voice_of,
)
from parley.wire.schema import Fields, Reader, array, boolean, one_of, record, text
from parley.wire.settings_schema import INSTRUCTIONS, metadata, token_limit

_CONVERSATION: Reader[str] = one_of("auto", "none")


def _session_update(members: Fields, event_id: EventId) -> ClientEvent:
    return SessionUpdateRequested(members.take("session", SESSION), event_id)


def _item_create(members: Fields, event_id: EventId) -> ClientEvent:
    after = members.find("previous_item_id", text(limits.MAX_ID))
    return ItemCreateRequested(members.take("item", ITEMS.item), after, event_id)


def _response_create(members: Fields, event_id: EventId) -> ClientEvent:
    return ResponseRequested(members.find("response", record(_response)) or ResponseParams(), event_id)


def _response(members: Fields) -> ResponseParams:
    members.refuse("prompt", PROMPT_UNSERVED)
    output = members.find("audio", record(lambda inner: inner.find("output", record(_spoken))))
    encoding, voice = output or (None, None)
    params = ResponseParams(
        in_conversation=members.find("conversation", _CONVERSATION) != "none",
        input=members.find("input", array(ITEMS.input_item, limits.MAX_INPUT_ITEMS)),
        instructions=members.find("instructions", INSTRUCTIONS),
        modality=members.find("output_modalities", modality_of),
        voice=voice,
        output_format=encoding,
        tools=members.find("tools", response_tools_of),
        tool_choice=members.find("tool_choice", tool_choice_of),
        parallel_tool_calls=members.find("parallel_tool_calls", boolean),
        max_output_tokens=members.find("max_output_tokens", token_limit),
        reasoning_effort=members.find("reasoning", reasoning_of),
        metadata=members.find("metadata", metadata),
    )
    members.finish(foreign=BETA_NAMES)
    return params


def _spoken(members: Fields) -> tuple[AudioFormat | None, str | None]:
    return members.find("format", audio_format), members.find("voice", voice_of)


read_event = EventTable(
    {
        "session.update": _session_update,
        "conversation.item.create": _item_create,
        "response.create": _response_create,
    },
    foreign={
        "transcription_session.update": "is an event of the retired beta. "
        "Send 'session.update' with a session of type 'transcription'",
        **TRANSLATION_EVENTS,
    },
)
