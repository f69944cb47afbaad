"""Items in order, cut to what was heard, and the prompt made of them.

Laws: the version grows with every change a prompt could show; an assistant's spoken item is its `Speech` seen
through how much of it was heard; audio of old items is let go before the words are. Knows nothing of responses or
playback.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from parley.core.regions.context import Room, Shown, bond, fit
from parley.core.regions.speech import Speech
from parley.core.words.errors import PeerError
from parley.core.words.ids import ConversationId, ItemId
from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    Message,
    OutputAudio,
    is_empty,
    text_of,
)
from parley.core.words.limits import (
    KEPT_AUDIO_BYTES,
    MAX_BROUGHT_CHARACTERS,
    MAX_ITEMS,
    MAX_RETRIEVED_AUDIO_BYTES,
    SAMPLES_PER_MS,
)


@dataclass(slots=True)
class Entry:
    """An item and what stands behind it.

    `heard` is the sample to which a spoken item was heard (None: all of it, as far as anybody knows); `by_client`:
    the client said so. `input_samples` is the length of a user's audio, `awaiting` how much is still to
    come: transcripts of its audio, the output of its call. `brought` are the characters that it held when it was inserted.
    """

    item: Item
    speech: Speech | None = None
    heard: int | None = None
    by_client: bool = False
    input_samples: int = 0
    awaiting: int = 0
    brought: int = 0
    deleted: bool = False

    def view(self, played: int | None = None) -> Item:
        """The item as the conversation holds it: without audio, with the words that were heard.

        `played`: the sample to which a spoken item has been played by now (None: to its end, or as `heard` says).
        """
        item = self.item
        if isinstance(item, Message) and self.speech is not None:
            text, exact = self._heard_text(self.speech)
            if played is not None and self.heard is None:
                text, exact = self.speech.text_until(played)
            return replace(item, content=(OutputAudio(text, exact=exact, format=self.speech.format),))
        if isinstance(item, Message):
            return replace(item, content=tuple(_silent(part) for part in item.content))
        return item

    def _heard_text(self, speech: Speech) -> tuple[str, bool]:
        if self.heard is None:
            return speech.text, True
        return speech.text_until(self.heard)

    def with_audio(self) -> Item:
        """The item with as much of its audio as is kept, cut to what a client's socket surely takes."""
        item = self.item
        if isinstance(item, Message) and self.speech is not None:
            text, exact = self._heard_text(self.speech)
            audio = self.speech.audio_until(self.speech.samples if self.heard is None else self.heard)
            return replace(item, content=(OutputAudio(text, _bounded(audio), self.speech.format, exact),))
        if isinstance(item, Message):
            return replace(item, content=tuple(_bounded_part(part) for part in item.content))
        return item


def _silent(part: Content) -> Content:
    return replace(part, audio=None) if isinstance(part, InputAudio | OutputAudio) else part


def _bounded(audio: bytes | None) -> bytes | None:
    return None if audio is None else audio[:MAX_RETRIEVED_AUDIO_BYTES]


def _bounded_part(part: Content) -> Content:
    return replace(part, audio=_bounded(part.audio)) if isinstance(part, InputAudio | OutputAudio) else part


class Conversation:
    """The default conversation of a session."""

    def __init__(self, id: ConversationId) -> None:
        self.id = id
        self.version = 0
        self.spoken = False
        """Whether the assistant has answered with audio; its voice is settled then."""
        self._entries: dict[ItemId, Entry] = {}
        self._order: list[ItemId] = []
        self._with_audio: set[ItemId] = set()
        """The entries that may still have audio."""
        self._brought = 0
        """The characters of all entries when they were inserted: of what clients bring, all."""
        self._first_kept: ItemId | None = None
        """Where the last context truncation began the prompt: all before it stays left out. None: nothing is left out."""

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._entries

    def entry(self, item_id: ItemId) -> Entry | None:
        return self._entries.get(item_id)

    def entries(self) -> list[Entry]:
        return [self._entries[item_id] for item_id in self._order]

    def place(self, previous: str | None) -> int:
        """The position that `previous_item_id` names. Raises `PeerError` for an item that is not here."""
        if previous is None:
            return len(self._order)
        if previous == "root":
            return 0
        if previous not in self._entries:
            raise PeerError(
                f"The previous item with id '{previous}' does not exist; leave previous_item_id out to append.",
                code="item_create_invalid_previous_item_id",
                field="previous_item_id",
            )
        return self._order.index(ItemId(previous)) + 1

    def room(self, item: Item | None = None) -> None:
        """Raises `PeerError` when the conversation is full, or too full for `item`."""
        if len(self._order) >= MAX_ITEMS:
            raise PeerError(
                f"The conversation holds {MAX_ITEMS} items, the most it can; delete some with conversation.item.delete.",
                code="conversation_full",
            )
        if item is None or not (brought := _characters(item)):
            return
        if brought + self._brought > MAX_BROUGHT_CHARACTERS:
            raise PeerError(
                f"The words and images brought into a conversation take at most {MAX_BROUGHT_CHARACTERS >> 20} MiB; "
                "delete some items with conversation.item.delete.",
                code="conversation_full",
                field="item",
            )

    def insert(self, entry: Entry, place: int | None = None) -> ItemId | None:
        """Put the entry at `place` (None: at the end); returns the id of the item before it."""
        index = len(self._order) if place is None else place
        self._order.insert(index, entry.item.id)
        self._entries[entry.item.id] = entry
        entry.brought = _characters(entry.item)
        self._brought += entry.brought
        self.version += 1
        if _may_have_audio(entry):
            self._with_audio.add(entry.item.id)
        self._let_go_of_old_audio()
        return self._order[index - 1] if index else None

    def previous(self, item_id: ItemId) -> ItemId | None:
        if item_id not in self._entries:
            return None
        index = self._order.index(item_id)
        return self._order[index - 1] if index else None

    def last(self) -> ItemId | None:
        return self._order[-1] if self._order else None

    def delete(self, item_id: ItemId) -> Entry | None:
        entry = self._entries.pop(item_id, None)
        if entry is not None:
            entry.deleted = True
            self._brought -= entry.brought
            self._with_audio.discard(item_id)
            if item_id == self._first_kept:
                index = self._order.index(item_id) + 1
                self._first_kept = self._order[index] if index < len(self._order) else None
            self._order.remove(item_id)
            self.version += 1
        return entry

    def transcribed(self, entry: Entry, index: int, transcript: str) -> None:
        """The user's words of one audio part are known."""
        entry.awaiting -= 1
        if isinstance(entry.item, Message):
            content = tuple(
                replace(part, transcript=transcript) if at == index and isinstance(part, InputAudio) else part
                for at, part in enumerate(entry.item.content)
            )
            entry.item = replace(entry.item, content=content)
        self.version += 1

    def changed(self) -> None:
        """An item's words grew."""
        self.version += 1

    def cut(self, entry: Entry, heard: int, *, by_client: bool = False) -> None:
        """Of this spoken item no more than `heard` samples were heard. The client's word goes over any reckoning."""
        if entry.by_client and not by_client:
            return
        entry.heard = heard
        entry.by_client = entry.by_client or by_client
        self.version += 1

    def _let_go_of_old_audio(self) -> None:
        budget = KEPT_AUDIO_BYTES
        for item_id in reversed(self._order) if self._with_audio else ():
            if item_id not in self._with_audio:
                continue
            entry = self._entries[item_id]
            size = _audio_bytes(entry)
            if size and size > budget and item_id != self._order[-1]:
                _discard(entry)
                self._with_audio.remove(item_id)
            budget = max(0, budget - size)

    # --- the prompt ------------------------------------------------------------------------------------------------------

    def shown(self, room: Room, extra: tuple[Item, ...] = ()) -> Shown:
        """The items that a model is to see, `extra` after them; `settle` it once it is used. Raises `PeerError`, see `fit`."""
        entries = self.entries()
        start = 0 if self._first_kept is None else self._order.index(self._first_kept)
        recent = entries[start:]
        shared = {bond(entry.item) for entry in recent} - {None}
        bonded = (entry for entry in entries[:start] if bond(entry.item) in shared)
        views = [view for entry in (*bonded, *recent) if not is_empty(view := entry.view())]
        return fit((*views, *extra), room)

    def settle(self, shown: Shown) -> None:
        """This is what a model saw: what was left out of it stays left out."""
        if shown.first in self._entries:
            self._first_kept = shown.first


def _characters(item: Item) -> int:
    """What an item keeps for as long as it is there; audio is let go."""
    match item:
        case Message(content=content):
            return sum(len(part.image_url) if isinstance(part, InputImage) else len(text_of(part)) for part in content)
        case FunctionCall(arguments=text) | FunctionCallOutput(output=text) | McpApprovalRequest(arguments=text):
            return len(text)
        case McpCall(arguments=text, output=output, error=error):
            return len(text) + len(output or "") + (0 if error is None else len(error.message))
        case McpListTools(tools=tools):
            return sum(len(tool.description) + len(tool.input_schema) + len(tool.annotations) for tool in tools)
        case McpApprovalResponse(reason=text):
            return len(text)


def _audio_bytes(entry: Entry) -> int:
    if entry.speech is not None:
        return 0 if entry.speech.discarded else entry.speech.format.size(entry.speech.samples)
    if isinstance(entry.item, Message):
        parts = (part for part in entry.item.content if isinstance(part, InputAudio | OutputAudio))
        return sum(len(part.audio) for part in parts if part.audio)
    return 0


def _may_have_audio(entry: Entry) -> bool:
    """A spoken item grows after it was inserted."""
    return entry.speech is not None or _audio_bytes(entry) > 0


def _discard(entry: Entry) -> None:
    if entry.speech is not None:
        entry.speech.discard_audio()
    elif isinstance(entry.item, Message):
        entry.item = replace(entry.item, content=tuple(map(_silent, entry.item.content)))


def audio_ms(entry: Entry) -> int:
    """Milliseconds of the user's audio in an item."""
    return entry.input_samples // SAMPLES_PER_MS
