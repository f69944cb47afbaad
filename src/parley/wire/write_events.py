"""Client events as a client sends them: the inverse of the dialects' readers, for clients and for tests.

Laws: what is written is read back as the same event by the same dialect; what the dialect cannot say is None. `Common` are the events
that all dialects write alike.
"""

from __future__ import annotations

from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClearRequested,
    CommitRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
)
from parley.wire.encoding import Json, Named, base64_text

Common = (
    AudioArrived
    | CommitRequested
    | ClearRequested
    | OutputClearRequested
    | ItemRetrieveRequested
    | ItemDeleteRequested
    | ItemTruncateRequested
    | CancelRequested
)


def common_event(event: Common) -> Named:
    match event:
        case AudioArrived():
            return "input_audio_buffer.append", {"audio": base64_text(event.audio)}
        case CommitRequested():
            return "input_audio_buffer.commit", {}
        case ClearRequested():
            return "input_audio_buffer.clear", {}
        case OutputClearRequested():
            return "output_audio_buffer.clear", {}
        case ItemRetrieveRequested():
            return "conversation.item.retrieve", {"item_id": event.item_id}
        case ItemDeleteRequested():
            return "conversation.item.delete", {"item_id": event.item_id}
        case ItemTruncateRequested():
            return "conversation.item.truncate", {
                "item_id": event.item_id,
                "content_index": event.content_index,
                "audio_end_ms": event.audio_end_ms,
            }
        case CancelRequested():
            return "response.cancel", {} if event.response_id is None else {"response_id": event.response_id}


def item_creation(item: Json, previous_item_id: str | None) -> Named:
    """`item` as the dialect writes it."""
    place = {} if previous_item_id is None else {"previous_item_id": previous_item_id}
    return "conversation.item.create", {"item": unnamed(item), **place}


def unnamed(item: Json) -> Json:
    """The item with those ids only that the client gives."""
    return {name: value for name, value in item.items() if value or name not in ("id", "call_id")}


def given(members: Json) -> Json:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
