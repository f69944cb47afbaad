"""Reads a client's event, decoded from JSON but not yet trusted, into the core's event.

Laws: one reader per event of the GA protocol, in one table; every reader refuses members it doesn't know; whatever goes wrong is a
`PeerError` with the offending member's path.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClearRequested,
    ClientEvent,
    CommitRequested,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
    ResponseRequested,
    SessionUpdateRequested,
)
from parley.core.words.ids import ClientEventId, ItemId, ResponseId
from parley.core.words.limits import MAX_APPEND_BYTES, METADATA_KEY, METADATA_PAIRS, METADATA_VALUE
from parley.core.words.settings import AudioFormat
from parley.core.words.work import ResponseParams
from parley.wire import limits
from parley.wire.items_schema import ID, input_item, item
from parley.wire.schema import Fields, Reader, array, audio, boolean, fields, invalid, one_of, record, text, whole
from parley.wire.session_schema import (
    INSTRUCTIONS,
    PROMPT_UNSERVED,
    SESSION,
    audio_format,
    modality_of,
    reasoning_of,
    response_tools_of,
    token_limit,
    tool_choice_of,
    voice_of,
)

EVENT_ID = text(limits.MAX_EVENT_ID)

_CLOCK = whole(0, limits.MAX_CLOCK_MS)
_CONVERSATION: Reader[str] = one_of("auto", "none")
_BETA_EVENTS = {"transcription_session.update": "'session.update' with a session of type 'transcription'"}

EventId = ClientEventId | None


def read_event(members: Fields) -> ClientEvent:
    """The event of a message whose `type` is known to be a string; raises `PeerError`."""
    event_id = members.find("event_id", EVENT_ID)
    read = _READERS[members.take("type", _type)]
    event = read(members, None if event_id is None else ClientEventId(event_id))
    members.finish()
    return event


def _type(value: object, path: str) -> str:
    if isinstance(value, str) and value in _BETA_EVENTS:
        raise invalid(
            path, f"Invalid value for 'type': '{value}' is an event of the retired beta. Send {_BETA_EVENTS[value]}."
        )
    return one_of(*_READERS)(value, path)


def _session_update(members: Fields, event_id: EventId) -> ClientEvent:
    return SessionUpdateRequested(members.take("session", SESSION), event_id)


def _append(members: Fields, event_id: EventId) -> ClientEvent:
    return AudioArrived(members.take("audio", audio(MAX_APPEND_BYTES)), event_id)


def _commit(members: Fields, event_id: EventId) -> ClientEvent:
    return CommitRequested(event_id)


def _clear(members: Fields, event_id: EventId) -> ClientEvent:
    return ClearRequested(event_id)


def _output_clear(members: Fields, event_id: EventId) -> ClientEvent:
    return OutputClearRequested(event_id)


def _item_create(members: Fields, event_id: EventId) -> ClientEvent:
    after = members.find("previous_item_id", text(limits.MAX_ID))
    return ItemCreateRequested(members.take("item", item), after, event_id)


def _item_retrieve(members: Fields, event_id: EventId) -> ClientEvent:
    return ItemRetrieveRequested(ItemId(members.take("item_id", ID)), event_id)


def _item_delete(members: Fields, event_id: EventId) -> ClientEvent:
    return ItemDeleteRequested(ItemId(members.take("item_id", ID)), event_id)


def _item_truncate(members: Fields, event_id: EventId) -> ClientEvent:
    return ItemTruncateRequested(
        ItemId(members.take("item_id", ID)),
        members.take("content_index", _CLOCK),
        members.take("audio_end_ms", _CLOCK),
        event_id,
    )


def _response_create(members: Fields, event_id: EventId) -> ClientEvent:
    return ResponseRequested(members.find("response", record(_response)) or ResponseParams(), event_id)


def _response_cancel(members: Fields, event_id: EventId) -> ClientEvent:
    named = members.find("response_id", ID)
    return CancelRequested(None if named is None else ResponseId(named), event_id)


_READERS: dict[str, Callable[[Fields, EventId], ClientEvent]] = {
    "session.update": _session_update,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _commit,
    "input_audio_buffer.clear": _clear,
    "output_audio_buffer.clear": _output_clear,
    "conversation.item.create": _item_create,
    "conversation.item.retrieve": _item_retrieve,
    "conversation.item.truncate": _item_truncate,
    "conversation.item.delete": _item_delete,
    "response.create": _response_create,
    "response.cancel": _response_cancel,
}


def _response(members: Fields) -> ResponseParams:
    members.refuse("prompt", PROMPT_UNSERVED)
    output = members.find("audio", record(lambda inner: inner.find("output", record(_spoken))))
    encoding, voice = output or (None, None)
    return ResponseParams(
        in_conversation=members.find("conversation", _CONVERSATION) != "none",
        input=members.find("input", array(input_item, limits.MAX_INPUT_ITEMS)),
        instructions=members.find("instructions", INSTRUCTIONS),
        modality=members.find("output_modalities", modality_of),
        voice=voice,
        output_format=encoding,
        tools=members.find("tools", response_tools_of),
        tool_choice=members.find("tool_choice", tool_choice_of),
        parallel_tool_calls=members.find("parallel_tool_calls", boolean),
        max_output_tokens=members.find("max_output_tokens", token_limit),
        reasoning_effort=members.find("reasoning", reasoning_of),
        metadata=members.find("metadata", _metadata),
    )


def _spoken(members: Fields) -> tuple[AudioFormat | None, str | None]:
    return members.find("format", audio_format), members.find("voice", voice_of)


def _metadata(value: object, path: str) -> tuple[tuple[str, str], ...]:
    members = fields(value, path)
    names = members.names()
    if len(names) > METADATA_PAIRS:
        raise invalid(path, f"Invalid '{path}': {len(names)} pairs, at most {METADATA_PAIRS} are accepted.")
    for name in names:
        if len(name) > METADATA_KEY:
            raise invalid(
                path, f"Invalid '{path}': a key of {len(name)} characters, at most {METADATA_KEY} are accepted."
            )
    return tuple((name, members.take(name, text(METADATA_VALUE))) for name in names)
