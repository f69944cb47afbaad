"""The record of a response: its items, their parts, and which of their final events have been sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.core.words.ids import ResponseId
from parley.core.words.items import Item
from parley.core.words.notices import ResponseView
from parley.core.words.settings import Modality

FILLER = ("parley", "filler")
"""The metadata of a response that says something while a reply is awaited."""


@dataclass(slots=True)
class PartEntry:
    """One content part: the text and audio sent, and which of its final events have been sent."""

    modality: Modality
    sent_text: str = ""
    audio_bytes: int = 0
    audio_done: bool = False
    text_done: bool = False
    done: bool = False


@dataclass(slots=True)
class ItemEntry:
    """One output item of a response."""

    item: Item
    index: int
    parts: list[PartEntry] = field(default_factory=list)
    arguments: str = ""
    arguments_done: bool = False
    added_to_conversation: bool = False
    done_in_conversation: Item | None = None
    deleted: bool = False
    truncated: bool = False
    done: Item | None = None

    @property
    def sent_text(self) -> str:
        return "".join(part.sent_text for part in self.parts)


@dataclass(slots=True)
class ResponseRecord:
    """One response from created to done."""

    created: ResponseView
    items: list[ItemEntry] = field(default_factory=list)
    done: ResponseView | None = None

    @property
    def id(self) -> ResponseId:
        return self.created.id

    @property
    def in_conversation(self) -> bool:
        return self.created.conversation_id is not None

    @property
    def filler(self) -> bool:
        """Whether it says something while a reply is awaited."""
        return not self.in_conversation and FILLER in (self.created.metadata or ())

    @property
    def heard(self) -> bool:
        """Whether its audio is played to the listener."""
        return self.in_conversation or self.filler

    @property
    def sent_text(self) -> str:
        return "".join(entry.sent_text for entry in self.items)
