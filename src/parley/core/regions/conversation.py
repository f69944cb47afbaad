"""Items in order, cut to what was heard, and the prompt made of them.

Laws: the version grows with every change that a prompt could show; an assistant's spoken item is its `Speech`, cut to
what was heard; audio of old items is discarded before their text. Knows nothing of responses or playback.
"""

from __future__ import annotations

from collections.abc import Collection

from parley.core.regions.context import PromptBudget, Shown, asks, fit
from parley.core.regions.entry import Entry, Version
from parley.core.words.errors import PeerError
from parley.core.words.ids import ConversationId, ItemId
from parley.core.words.item_texts import bond
from parley.core.words.items import Item, characters_of, is_empty
from parley.core.words.limits import KEPT_AUDIO_BYTES, MAX_BROUGHT_CHARACTERS, MAX_ITEMS


class Conversation:
    """The default conversation of a session."""

    def __init__(self, id: ConversationId) -> None:
        self.id = id
        self._version = Version()
        self.spoken = False
        """Whether the assistant has answered with audio; its voice is fixed then."""
        self._entries: dict[ItemId, Entry] = {}
        self._order: list[ItemId] = []
        self._with_audio: set[ItemId] = set()
        """The entries that may still have audio."""
        self._characters: dict[ItemId, int] = {}
        """The characters of each entry when it was inserted: of what clients bring, all."""
        self._first_kept: ItemId | None = None
        """Where the last context truncation began the prompt: what stands before it stays left out. None: nothing is left out."""

    @property
    def version(self) -> int:
        """Grows with every change that a prompt could show."""
        return self._version.number

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

    def check_capacity(self, item: Item | None = None) -> None:
        """Raises `PeerError` when the conversation is full, or too full for `item`."""
        if len(self._order) >= MAX_ITEMS:
            raise PeerError(
                f"The conversation holds {MAX_ITEMS} items, the most it can; delete some with conversation.item.delete.",
                code="conversation_full",
            )
        if item is None or not (characters := characters_of(item)):
            return
        if characters + sum(self._characters.values()) > MAX_BROUGHT_CHARACTERS:
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
        self._characters[entry.item.id] = characters_of(entry.item)
        entry.enter(self._version)
        if entry.speech is not None or entry.audio_bytes:  # a spoken item grows after it was inserted
            self._with_audio.add(entry.item.id)
        self._let_go_of_old_audio()
        return self._order[index - 1] if index else None

    def mark_spoken(self) -> None:
        self.spoken = True

    def previous(self, item_id: ItemId) -> ItemId | None:
        if item_id not in self._entries:
            return None
        index = self._order.index(item_id)
        return self._order[index - 1] if index else None

    def delete(self, item_id: ItemId) -> Entry | None:
        entry = self._entries.pop(item_id, None)
        if entry is not None:
            del self._characters[item_id]
            self._with_audio.discard(item_id)
            if item_id == self._first_kept:
                index = self._order.index(item_id) + 1
                self._first_kept = self._order[index] if index < len(self._order) else None
            self._order.remove(item_id)
            entry.leave()
        return entry

    def _let_go_of_old_audio(self) -> None:
        budget = KEPT_AUDIO_BYTES
        for item_id in reversed(self._order) if self._with_audio else ():
            if item_id not in self._with_audio:
                continue
            entry = self._entries[item_id]
            size = entry.audio_bytes
            if size and size > budget and item_id != self._order[-1]:
                entry.discard_audio()
                self._with_audio.remove(item_id)
            budget = max(0, budget - size)

    # --- the prompt ------------------------------------------------------------------------------------------------------

    def shown(
        self, budget: PromptBudget, extra: tuple[Item, ...] = (), covered: Collection[ItemId] = frozenset()
    ) -> Shown:
        """The items that a model is to see, without those that a summary covers, `extra` after them; `settle` it once it is used. Raises
        `PeerError`, see `fit`."""
        entries = self.entries()
        start = self._beginning(entries, extra)
        recent = entries[start:]
        shared = {bond(entry.item) for entry in recent} - {None}
        bonded = (entry for entry in entries[:start] if bond(entry.item) in shared)
        uncovered = (entry for entry in (*bonded, *recent) if entry.item.id not in covered)
        views = [view for entry in uncovered if not is_empty(view := entry.view())]
        return fit((*views, *extra), budget)

    def _beginning(self, entries: list[Entry], extra: tuple[Item, ...]) -> int:
        """Where a prompt begins: what an earlier prompt left out stays out, unless deletions made it the question."""
        if self._first_kept is None:
            return 0
        first_kept = self._order.index(self._first_kept)
        if any(asks(item) for item in extra):
            return first_kept
        backwards = range(len(entries) - 1, -1, -1)
        question = next((at for at in backwards if asks(view := entries[at].view()) and not is_empty(view)), first_kept)
        return min(first_kept, question)

    def settle(self, shown: Shown) -> None:
        """This is what a model saw: what was left out of it stays left out."""
        if shown.first in self._entries:
            self._first_kept = shown.first
