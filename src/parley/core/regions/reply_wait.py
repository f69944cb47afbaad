"""The silence in which a reply is awaited, and the filler that is being made for it.

Laws: at most one filler is made at a time; it is held until it is whole, and then said at once or dropped.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from parley.core.regions.entry import Entry
from parley.core.regions.response import Response
from parley.core.words.events import GenerationEvent, SpeechGenerated
from parley.core.words.ids import AttemptId, ItemId
from parley.core.words.items import FunctionCall
from parley.core.words.limits import MAX_HELD_BYTES

REMEMBERED = 8
"""Fillers whose items are known: a client can truncate only what it still plays."""


@dataclass(slots=True)
class ReplyWait:
    """The region."""

    since_ns: int | None = None
    """Since when a reply is awaited in silence; None: none is, or something is heard."""
    told: int = 0
    """Fillers of this wait."""
    said: int = 0
    """Fillers of this session."""
    attempt: AttemptId | None = None
    """The filler that is being made."""
    settings_version: int = 0
    output: list[GenerationEvent] = field(default_factory=list)
    bytes: int = 0
    """Of the audio in it."""
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """The items of the last fillers, which are in no conversation."""
    client_calls: bool = False
    """The last response only called functions of the client, and no other has followed. (One that spoke too may have meant them to be
    done and not answered: "Goodbye", and the call is ended.)"""
    main: Response | None = None

    def watch(self, main: Response | None) -> None:
        """This is the response in the conversation now."""
        before, self.main = self.main, main
        if main is not None:
            self.client_calls = False
        elif before is not None:
            calls = [output.entry.item for output in before.outputs]
            called = any(isinstance(item, FunctionCall) and item.status == "completed" for item in calls)
            self.client_calls = called and not before.audio_samples

    def silent(self, now: int) -> int:
        """A reply is awaited in silence; returns since when."""
        if self.since_ns is None:
            self.since_ns = now
        return self.since_ns

    def heard(self) -> None:
        """Something is heard, or somebody speaks."""
        self.since_ns = None

    def answered(self) -> None:
        """No reply is awaited any more."""
        self.since_ns, self.told = None, 0

    def leave_client(self) -> None:
        """The client's functions are not awaited any more."""
        self.client_calls = False

    def make(self, attempt: AttemptId, settings_version: int) -> None:
        """A filler is being made."""
        self.attempt, self.settings_version = attempt, settings_version
        self.told += 1
        self.said += 1

    def hold(self, event: GenerationEvent) -> None:
        """Keep its output until it is whole."""
        self.output.append(event)
        self.bytes += len(event.audio) if isinstance(event, SpeechGenerated) else 0

    @property
    def too_large(self) -> bool:
        """Whether more was made than any phrase takes."""
        return self.bytes > MAX_HELD_BYTES

    def take(self) -> list[GenerationEvent]:
        """It is whole, or dropped: returns its output."""
        output, self.output, self.bytes, self.attempt = self.output, [], 0, None
        return output

    def sounds(self, entry: Entry) -> None:
        """This is the item of a filler that is heard now."""
        self.entries.append(entry)

    def entry(self, item: ItemId) -> Entry | None:
        """The item, if it is a filler's."""
        return next((entry for entry in self.entries if entry.item.id == item), None)

    def clear(self) -> None:
        self.take()
        self.answered()
        self.main = None
