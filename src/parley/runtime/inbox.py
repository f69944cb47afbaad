"""The one reference from what runs for a session back to its driver.

Laws: owners refer down: driver, performer, listening, turn, engine stream. What runs for a session reaches its driver through
this inbox alone, and the driver closes it at the end. So everything dies with its last owner, without the garbage collector, and an
engine that keeps a callback too long keeps no session.
"""

from __future__ import annotations

from typing import Protocol

from parley.core.words.events import Event


class Receiver(Protocol):
    """The driver, as far as its inbox knows it."""

    def post(self, event: Event) -> None: ...

    def voice_failed(self, error: Exception) -> None:
        """The voice activity model cannot score this session any more."""
        ...


class Inbox:
    """Hand its methods to whatever runs for a session; `close()` it at the end, after which they do nothing."""

    __slots__ = ("_receiver",)

    def __init__(self, receiver: Receiver) -> None:
        self._receiver: Receiver | None = receiver

    def post(self, event: Event) -> None:
        if self._receiver is not None:
            self._receiver.post(event)

    def voice_failed(self, error: Exception) -> None:
        if self._receiver is not None:
            self._receiver.voice_failed(error)

    def close(self) -> None:
        self._receiver = None
