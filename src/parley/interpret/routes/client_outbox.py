"""The client events that wait to be sent, written in one dialect, each with an id of its own. Pure."""

from __future__ import annotations

from dataclasses import replace

from parley.core.words.events import AudioArrived, ClientEvent
from parley.core.words.ids import ClientEventId
from parley.wire.dialect import Dialect


class ClientOutbox:
    """Call `send()`, which returns the event's id, and `take()` for what to send to the server."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._messages: list[str] = []
        self._events = 0

    def send(self, event: ClientEvent) -> str:
        """Write an event, with a new id unless it is audio, of which there is too much to tell an error from."""
        event_id = ""
        if not isinstance(event, AudioArrived):
            self._events += 1
            event_id = f"event_{self._events}"
            event = replace(event, event_id=ClientEventId(event_id))
        message = self._dialect.write(event)
        assert message is not None, f"the {self._dialect.name} dialect has no form of {event}"
        self._messages.append(message)
        return event_id

    def take(self) -> list[str]:
        """The messages to send now, in order; empty afterwards."""
        messages, self._messages = self._messages, []
        return messages
