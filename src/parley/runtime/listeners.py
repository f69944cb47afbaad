"""Who takes a session's notices: the link to its client, and others beside it.

Laws:
- Every listener takes every notice, in the order in which they were given; an error caused by a listener's own event goes to it alone.
- Listeners may join and leave at any time, also while a notice is told: who has left is told nothing more, who joins is told the next
  notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from parley.core.words.effects import CloseReason
from parley.core.words.notices import ErrorRaised, Notice


class Listener(Protocol):
    """Takes what a session says. Both methods return at once."""

    def on_notice(self, notice: Notice) -> None: ...

    def on_close(self, reason: CloseReason) -> None:
        """The session ends the connection, for this reason."""
        ...


class Listeners:
    """The listeners of one session; `asker` is the one whose event is happening, None where it belongs to none."""

    __slots__ = ("all", "asker")

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.all = tuple(listeners)
        self.asker: Listener | None = None

    def join(self, *listeners: Listener) -> None:
        self.all = (*self.all, *listeners)

    def leave(self, *listeners: Listener) -> None:
        """Nothing happens where one has left."""
        self.all = tuple(one for one in self.all if one not in listeners)

    def tell(self, notice: Notice) -> None:
        if self.asker is not None and type(notice) is ErrorRaised:
            if self.asker in self.all:
                self.asker.on_notice(notice)
            return
        told = self.all
        for listener in told:
            if self.all is told or listener in self.all:
                listener.on_notice(notice)

    def close(self, reason: CloseReason) -> None:
        """Who joined last is closed first: the session may be over once its own link has closed."""
        for listener in reversed(self.all):
            listener.on_close(reason)

    def release(self) -> None:
        """The session is over: nothing is said any more."""
        self.all = ()
        self.asker = None
