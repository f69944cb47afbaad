"""Reads a client's event, decoded from JSON but not yet trusted, into the core's event.

Laws: one reader per event, in one table for each dialect; every reader refuses members it does not know; whatever is wrong is a
`PeerError` with the offending member's path. `COMMON` are the events that all dialects of conversations have alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClearRequested,
    ClientEvent,
    CommitRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
)
from parley.core.words.ids import ClientEventId, ItemId, ResponseId
from parley.core.words.limits import MAX_APPEND_BYTES
from parley.wire import limits
from parley.wire.items_schema import ID
from parley.wire.schema import Fields, audio, invalid, one_of, text, whole

EventId = ClientEventId | None
EventReader = Callable[[Fields, EventId], ClientEvent]

_EVENT_ID = text(limits.MAX_EVENT_ID)
_CLOCK = whole(0, limits.MAX_CLOCK_MS)


class EventTable:
    """Reads an event by the reader of its type. `foreign` are types of another dialect, with what to send instead; `common` the events
    that the dialect shares with others (None: `COMMON`)."""

    def __init__(
        self,
        readers: Mapping[str, EventReader],
        foreign: Mapping[str, str],
        common: Mapping[str, EventReader] | None = None,
    ) -> None:
        self._readers = {**(COMMON if common is None else common), **readers}
        self._foreign = foreign
        self._known = one_of(*self._readers)

    def __call__(self, members: Fields) -> ClientEvent:
        """The event of a message whose `type` is there; raises `PeerError`."""
        event_id = members.find("event_id", _EVENT_ID)
        read = self._readers[members.take("type", self._type)]
        event = read(members, None if event_id is None else ClientEventId(event_id))
        members.finish()
        return event

    def _type(self, value: object, path: str) -> str:
        if isinstance(value, str) and value in self._foreign:
            raise invalid(path, f"Invalid value for 'type': '{value}' {self._foreign[value]}.")
        return self._known(value, path)


def _append(members: Fields, event_id: EventId) -> ClientEvent:
    return AudioArrived(members.take("audio", audio(MAX_APPEND_BYTES)), event_id)


def _commit(members: Fields, event_id: EventId) -> ClientEvent:
    return CommitRequested(event_id)


def _clear(members: Fields, event_id: EventId) -> ClientEvent:
    return ClearRequested(event_id)


def _output_clear(members: Fields, event_id: EventId) -> ClientEvent:
    return OutputClearRequested(event_id)


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


def _response_cancel(members: Fields, event_id: EventId) -> ClientEvent:
    named = members.find("response_id", ID)
    return CancelRequested(None if named is None else ResponseId(named), event_id)


COMMON: Mapping[str, EventReader] = {
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _commit,
    "input_audio_buffer.clear": _clear,
    "output_audio_buffer.clear": _output_clear,
    "conversation.item.retrieve": _item_retrieve,
    "conversation.item.truncate": _item_truncate,
    "conversation.item.delete": _item_delete,
    "response.cancel": _response_cancel,
}

_TRANSLATES = "is an event of translation sessions (/v1/realtime/translations)"

TRANSLATION_EVENTS: Mapping[str, str] = {
    "session.input_audio_buffer.append": f"{_TRANSLATES}. Send 'input_audio_buffer.append'",
    "session.close": f"{_TRANSLATES}. Close the connection to end this session",
}
"""Events of translation sessions, with what to send in a conversation instead."""
