"""A second reckoning of the conversation: which items it holds, in which order, and what each is known to say.

Laws kept here: the order of protocol 4.2 and 4.4 (committed, item.added, item.done of one id), and the chain: every `previous_item_id`
names the item that really stands before. Transcripts count as known only once the recogniser has given them.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.events import ItemCreateRequested
from parley.core.words.ids import ItemId
from parley.core.words.items import FunctionCall, FunctionCallOutput, InputAudio, Item, McpCall, McpListTools, Message
from parley.core.words.limits import MAX_ITEMS
from parley.core.words.notices import InputCommitted, ItemAdded, ItemDeleted, ItemDone, ItemRetrieved, ItemTruncated
from parley.testing.rules.base import Hearing, Rule, Step
from parley.testing.rules.response_lifecycle import Ledgers


@dataclass(slots=True)
class ItemRecord:
    """One item of the conversation as told so far."""

    item: Item
    previous: ItemId | None
    done: bool = False
    truncated_ms: int | None = None

    @property
    def spoken(self) -> bool:
        """Whether it is a turn of the user's voice, whose words come from the recogniser."""
        item = self.item
        return (
            isinstance(item, Message)
            and item.role == "user"
            and any(isinstance(part, InputAudio) for part in item.content)
        )


class ConversationOrder(Rule):
    """The chain: items stand where `previous_item_id` says, are added once and done once, and only existing ones are named."""

    law = "order 3"

    def __init__(self, ledgers: Ledgers) -> None:
        self.order: list[ItemId] = []
        self.items: dict[ItemId, ItemRecord] = {}
        self.deleted: set[ItemId] = set()
        self.changes = 0
        """Grows with everything that changes what a prompt would hold: items added, deleted, truncated."""
        self._ledgers = ledgers
        self._asked: ItemCreateRequested | None = None
        self._committed: InputCommitted | None = None

    def before(self, step: Step) -> None:
        self._asked = step.event if isinstance(step.event, ItemCreateRequested) else None

    def hears(self) -> Hearing:
        return {
            InputCommitted: self._on_committed,
            ItemAdded: self._on_added,
            ItemDone: self._on_done,
            ItemDeleted: self._on_deleted,
            ItemTruncated: self._on_truncated,
            ItemRetrieved: self._on_retrieved,
        }

    def after(self, step: Step) -> None:
        if self._committed is not None:
            self.fail(f"{self._committed.item_id} was committed, never added", "order 4.2")

    def finish(self, quiet: bool) -> None:
        for held in self.items.values():
            self.require(held.done or not quiet, f"item {held.item.id} was added to the conversation, never done", "3")

    def before_of(self, item: ItemId) -> ItemId | None:
        """The id of the item that stands before `item`, None for the first."""
        place = self.order.index(item)
        return self.order[place - 1] if place else None

    def _on_committed(self, told: InputCommitted) -> None:
        self.require(self._committed is None, f"committed {told.item_id} before the last commit's item", "order 4.2")
        self.require(
            told.item_id not in self.items, f"{told.item_id} committed, but is in the conversation", "order 4.2"
        )
        self._committed = told

    def _on_added(self, told: ItemAdded) -> None:
        item, previous = told.item, told.previous_item_id
        self.require(item.id not in self.items, f"item {item.id} added twice")
        self.require(len(self.order) < MAX_ITEMS, f"more than {MAX_ITEMS} items", "11")
        last = self.order[-1] if self.order else None
        expected: str | None = last
        if self._committed is not None:
            self._check_committed(told, self._committed)
        elif self._asked is not None:
            asked = self._asked
            self.require(asked.item.id in ("", item.id), f"the client's id {asked.item.id} became {item.id}")
            if asked.previous_item_id is not None:
                expected = None if asked.previous_item_id == "root" else asked.previous_item_id
            self._asked = None  # items that follow from it, such as the call that it approves, stand last
        self.require(previous == expected, f"item {item.id} added after {previous}, it stands after {expected}")
        if previous is None:
            self.order.insert(0, item.id)
        else:
            self.require(previous in self.items, f"previous_item_id {previous} is not in the conversation")
            self.order.insert(self.order.index(previous) + 1, item.id)
        self.items[item.id] = ItemRecord(item, previous)
        self.changes += 1

    def _check_committed(self, told: ItemAdded, committed: InputCommitted) -> None:
        item = told.item
        self.require(item.id == committed.item_id, f"committed {committed.item_id}, then added {item.id}", "order 4.2")
        same = told.previous_item_id == committed.previous_item_id
        self.require(
            same, f"committed after {committed.previous_item_id}, added after {told.previous_item_id}", "order 4.2"
        )
        audio = isinstance(item, Message) and item.role == "user" and len(item.content) == 1
        self.require(
            audio and isinstance(item, Message) and isinstance(item.content[0], InputAudio),
            f"committed {item}",
            "order 4.2",
        )
        self._committed = None

    def _on_done(self, told: ItemDone) -> None:
        held = self.items.get(told.item.id)
        if held is None:
            self.fail(f"conversation.item.done of {told.item.id}, which is not in the conversation")
        self.require(not held.done, f"conversation.item.done of {told.item.id} twice", "3")
        places = (held.previous, self.before_of(told.item.id))
        self.require(
            told.previous_item_id in places, f"{told.item.id} done after {told.previous_item_id}, stands after {places}"
        )
        from_response = self._ledgers.makes(told.item.id)
        of_server = isinstance(told.item, McpCall | McpListTools) and type(told.item) is type(held.item)
        if not from_response and not of_server:
            self.require(
                told.item == held.item, f"item differs in added and done: {held.item} / {told.item}", "order 4.2"
            )
            self.require(told.item.status != "in_progress", f"item {told.item.id} done in progress", "order 4.2")
        if isinstance(held.item, FunctionCall | FunctionCallOutput):
            self.require(type(told.item) is type(held.item), f"item {told.item.id} changed its kind")
        if (from_response or of_server) and told.item != held.item:
            self.changes += 1
        held.item = told.item
        held.done = True

    def _on_deleted(self, told: ItemDeleted) -> None:
        self.require(told.item_id in self.items, f"deleted {told.item_id}, which is not in the conversation", "13")
        self.order.remove(told.item_id)
        del self.items[told.item_id]
        self.deleted.add(told.item_id)
        self.changes += 1

    def _on_truncated(self, told: ItemTruncated) -> None:
        self.require(told.item_id in self.items, f"truncated {told.item_id}, which is not in the conversation", "13")
        self.items[told.item_id].truncated_ms = told.audio_end_ms
        self.changes += 1

    def _on_retrieved(self, told: ItemRetrieved) -> None:
        self.require(told.item.id in self.items, f"retrieved {told.item.id}, which is not in the conversation", "13")
