"""The client events of a translation session.

Laws: those of `event_schema`. There are three; an event of a conversation is refused with what to send instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from parley.core.words.events import AudioArrived, ClientEvent, SessionCloseRequested, SessionUpdateRequested
from parley.core.words.limits import MAX_APPEND_BYTES
from parley.wire.event_schema import COMMON, EventId, EventTable
from parley.wire.schema import Fields, audio
from parley.wire.translations.session_schema import UPDATE


def _session_update(members: Fields, event_id: EventId) -> ClientEvent:
    return SessionUpdateRequested(members.take("session", UPDATE), event_id)


def _append(members: Fields, event_id: EventId) -> ClientEvent:
    return AudioArrived(members.take("audio", audio(MAX_APPEND_BYTES)), event_id)


def _close(members: Fields, event_id: EventId) -> ClientEvent:
    return SessionCloseRequested(event_id)


_ABSENT = "does not exist in a translation session, which has no {}. "
_LEFT = "Its events are 'session.update', 'session.input_audio_buffer.append' and 'session.close'"

_INSTEAD: Mapping[str, str] = {
    "input_audio_buffer.append": "is an event of conversations. Send 'session.input_audio_buffer.append'",
    "input_audio_buffer.commit": _ABSENT.format("turns to commit") + "Send 'session.close' after the last audio",
    "transcription_session.update": _ABSENT.format("settings of this kind") + "Send 'session.update'",
}

_FOREIGN: Mapping[str, str] = {
    **{name: _ABSENT.format("items or responses") + _LEFT for name in (*COMMON, "conversation.item.create")},
    "response.create": _ABSENT.format("responses to ask for: all speech is translated as it comes") + _LEFT,
    **_INSTEAD,
}
"""Events of conversations, with what to send instead."""

read_event = EventTable(
    {
        "session.update": _session_update,
        "session.input_audio_buffer.append": _append,
        "session.close": _close,
    },
    foreign=_FOREIGN,
    common={},
)
