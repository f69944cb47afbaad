"""The port between sessions and the text on their links: one `Dialect` for each version of the protocol.

Laws of every dialect:
- `decode` never raises: unreadable input is a `ClientErred` that names the client's `event_id` where one can be found.
- A text frame holds one event; a notice becomes one text frame, or None where the dialect has no event for it.
- Event types and member names of one dialect never appear on a connection of another.
- Every option of a client's event is honoured or refused by name.
- The core names its own fields in errors; the client sees the path that its dialect has for them (`field_paths`).
- A dialect holds no state. An encoder's only state is the number of its next event and the part of its last audio delta.

Does not know: links, sessions, who uses which dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from parley.core.words.events import ClientEvent
from parley.core.words.ids import SessionId
from parley.core.words.notices import Notice
from parley.core.words.settings import SessionKind, Settings, SettingsPatch
from parley.wire.encoding import Json
from parley.wire.long_message import LongMessage


class Encoder(Protocol):
    """Writes the notices of one connection."""

    def encode(self, notice: Notice) -> str | None:
        """One JSON text frame; None: the dialect has no event for the notice."""


class Dialect(Protocol):
    """A version of the protocol. Instances are in `parley.wire.dialects`."""

    @property
    def name(self) -> str:
        """As logs, traces and `dialects.DIALECTS` name it."""

    @property
    def kinds(self) -> tuple[SessionKind, ...]:
        """The kinds of session that the dialect has, the usual one first."""

    @property
    def changes_kind(self) -> bool:
        """Whether a client's event may change the kind of its session; else the session keeps the kind with which it was opened."""

    @property
    def server_events(self) -> Mapping[str, type[Notice]]:
        """The notice of each server event, by the event's type: a client reads from it what it received."""

    def decode(self, data: str | bytes) -> ClientEvent:
        """The event that a text frame holds. Next: `Session.handle` it."""

    def write(self, event: ClientEvent) -> str | None:
        """The text frame with which a client sends the event; `decode` gives the same event. None: the dialect has no such event."""

    def long_message(self, mark: str) -> LongMessage:
        """The reader of a message that arrives in pieces; it gives the same event as `decode`. `mark` as in `LongMessage`."""

    def encoder(self, *, event_seed: bytes, wall_s: Callable[[], float]) -> Encoder:
        """The encoder of one connection. `event_seed` makes its event ids unlike those of other connections; `wall_s` gives Unix
        seconds, from which `expires_at` is computed."""

    def read_session(self, value: object, path: str, kind: SessionKind | None = None) -> SettingsPatch:
        """The patch that a session object (decoded JSON) of a REST request asks for; `path` is where it was found, "" for the body
        itself, `kind` the kind of session where the request says it elsewhere. Raises `PeerError` with paths of this dialect."""

    def session_object(self, session_id: SessionId, settings: Settings, expires_at: int) -> Json:
        """The session as `session.created` and REST answers show it; `expires_at` in Unix seconds."""

    def path(self, field: str) -> str:
        """The client-facing path of a core field, such as `session.audio.output.voice` for `session.voice`."""
