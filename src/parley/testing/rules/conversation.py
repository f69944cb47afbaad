"""An independent model of the conversation: its items, their order, and the known text of each.

Laws kept here: the order of protocol 4.2 and 4.4 (committed, item.added, item.done of one id), and the chain: every `previous_item_id`
names the item that stands before it. A transcript counts as known once the recogniser has given it.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.events import ItemCreateRequested
from parley.core.words.ids import ItemId
from parley.core.words.items import FunctionCall, FunctionCallOutput, InputAudio, Item, McpCall, McpListTools, Message
from parley.core.words.limits import MAX_ITEMS
from parley.core.words.notices import InputCommitted, ItemAdded, ItemDeleted, ItemDone, ItemRetrieved, ItemTruncated
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.response_lifecycle import ResponseLifecycle


@dataclass(slots=True)
class ItemRecord:
    """One item of the conversation as the notices so far describe it."""

    item: Item
    previous: ItemId | None
    done: bool = False
    truncated_ms: int | None = None

    @property
    def spoken(self) -> bool:
        """Whether it is a spoken turn of the user, whose text comes from the recogniser."""
        item = self.item
        return (
            isinstance(item, Message)
            and item.role == "user"
            and any(isinstance(part, InputAudio) for part in item.content)
        )


class ConversationOrder(Rule):
    """The chain: items stand where `previous_item_id` says, are added once and done once, and notices name only existing ones."""

    law = "order 3"

    def __init__(self, responses: ResponseLifecycle) -> None:
        self.order: list[ItemId] = []
        self.items: dict[ItemId, ItemRecord] = {}
        self.deleted: set[ItemId] = set()
        self.changes = 0
        """The number of changes to what a prompt would hold: items added, deleted, truncated."""
        self._responses = responses
        self._asked: ItemCreateRequested | None = None
        self._committed: InputCommitted | None = None

    def before(self, step: Step) -> None:
        self._asked = step.event if isinstance(step.event, ItemCreateRequested) else None

    def effect_handlers(self) -> Handlers:
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
            self.fail(f"{self._committed.item_id} was committed and never added", "order 4.2")

    def finish(self, quiet: bool) -> None:
        for held in self.items.values():
            self.require(
                held.done or not quiet, f"item {held.item.id} was added to the conversation and never done", "3"
            )

    def before_of(self, item: ItemId) -> ItemId | None:
        """The id of the item that stands before `item`, None for the first."""
        place = self.order.index(item)
        return self.order[place - 1] if place else None

    def _on_committed(self, notice: InputCommitted) -> None:
        self.require(self._committed is None, f"committed {notice.item_id} before the last commit's item", "order 4.2")
        self.require(
            notice.item_id not in self.items, f"{notice.item_id} committed, but is in the conversation", "order 4.2"
        )
        self._committed = notice

    def _on_added(self, notice: ItemAdded) -> None:
        item, previous = notice.item, notice.previous_item_id
        self.require(item.id not in self.items, f"item {item.id} added twice")
        self.require(len(self.order) < MAX_ITEMS, f"more than {MAX_ITEMS} items", "11")
        last = self.order[-1] if self.order else None
        expected: str | None = last
        if self._committed is not None:
            self._check_committed(notice, self._committed)
        elif self._asked is not None:
            asked = self._asked
            self.require(asked.item.id in ("", item.id), f"the client's id {asked.item.id} became {item.id}")
            if asked.previous_item_id is not None:
                expected = None if asked.previous_item_id == "root" else asked.previous_item_id
            self._asked = None  # items that follow from it, such as the call that it approves, are appended
        self.require(previous == expected, f"item {item.id} added after {previous}, it stands after {expected}")
        if previous is None:
            self.order.insert(0, item.id)
        else:
            self.require(previous in self.items, f"previous_item_id {previous} is not in the conversation")
            self.order.insert(self.order.index(previous) + 1, item.id)
        self.items[item.id] = ItemRecord(item, previous)
        self.changes += 1

    def _check_committed(self, notice: ItemAdded, committed: InputCommitted) -> None:
        item = notice.item
        self.require(item.id == committed.item_id, f"committed {committed.item_id}, then added {item.id}", "order 4.2")
        same = notice.previous_item_id == committed.previous_item_id
        self.require(
            same, f"committed after {committed.previous_item_id}, added after {notice.previous_item_id}", "order 4.2"
        )
        audio = isinstance(item, Message) and item.role == "user" and len(item.content) == 1
        self.require(
            audio and isinstance(item, Message) and isinstance(item.content[0], InputAudio),
            f"committed {item}",
            "order 4.2",
        )
        self._committed = None

    def _on_done(self, notice: ItemDone) -> None:
        held = self.items.get(notice.item.id)
        if held is None:
            self.fail(f"conversation.item.done of {notice.item.id}, which is not in the conversation")
        self.require(not held.done, f"conversation.item.done of {notice.item.id} twice", "3")
        places = (held.previous, self.before_of(notice.item.id))
        self.require(
            notice.previous_item_id in places,
            f"{notice.item.id} done after {notice.previous_item_id}, stands after {places}",
        )
        from_response = self._responses.makes(notice.item.id)
        of_server = isinstance(notice.item, McpCall | McpListTools) and type(notice.item) is type(held.item)
        if not from_response and not of_server:
            self.require(
                notice.item == held.item, f"item differs in added and done: {held.item} / {notice.item}", "order 4.2"
            )
            self.require(notice.item.status != "in_progress", f"item {notice.item.id} done in progress", "order 4.2")
        if isinstance(held.item, FunctionCall | FunctionCallOutput):
            self.require(type(notice.item) is type(held.item), f"item {notice.item.id} changed its kind")
        if (from_response or of_server) and notice.item != held.item:
            self.changes += 1
        held.item = notice.item
        held.done = True

    def _on_deleted(self, notice: ItemDeleted) -> None:
        self.require(notice.item_id in self.items, f"deleted {notice.item_id}, which is not in the conversation", "13")
        self.order.remove(notice.item_id)
        del self.items[notice.item_id]
        self.deleted.add(notice.item_id)
        self.changes += 1

    def _on_truncated(self, notice: ItemTruncated) -> None:
        of = self._responses.items.get(notice.item_id)
        if of is not None and of[0].filler:
            return  # it is played to the listener, and is in no conversation
        self.require(
            notice.item_id in self.items, f"truncated {notice.item_id}, which is not in the conversation", "13"
        )
        self.items[notice.item_id].truncated_ms = notice.audio_end_ms
        self.changes += 1

    def _on_retrieved(self, notice: ItemRetrieved) -> None:
        self.require(
            notice.item.id in self.items, f"retrieved {notice.item.id}, which is not in the conversation", "13"
        )
