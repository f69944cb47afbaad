"""A conversation as the items of a Realtime session, and what has to change there so that it is the conversation that is wanted.

Laws: pure. After the changes the session holds exactly the wanted items, in their order: what is there is kept, cut to what was heard, or
deleted; what is not there is created behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from parley.engines.ports import ChatMessage

_HISTORY: Final = "The conversation so far:"


@dataclass(frozen=True, slots=True)
class WantedItem:
    """An item as the conversation has it. `text` is a message's, a call's arguments or an output; `heard_ms` as in `ChatMessage`."""

    kind: Literal["message", "call", "output"]
    text: str
    role: str = ""
    call_id: str = ""
    name: str = ""
    heard_ms: int | None = field(default=None, compare=False)

    def wire(self, item_id: str, assistant_part: str) -> dict[str, Any]:
        """The item of a `conversation.item.create`."""
        match self.kind:
            case "message":
                part = assistant_part if self.role == "assistant" else "input_text"
                content = [{"type": part, "text": self.text}]
                return {"id": item_id, "type": "message", "role": self.role, "content": content}
            case "call":
                return {
                    "id": item_id,
                    "type": "function_call",
                    "call_id": self.call_id,
                    "name": self.name,
                    "arguments": self.text,
                }
            case "output":
                return {"id": item_id, "type": "function_call_output", "call_id": self.call_id, "output": self.text}


@dataclass(slots=True)
class HeldItem:
    """An item that the session has. `audio_ms` is how much of its speech came (0: it is no speech), `cut_ms` where it was cut."""

    id: str
    item: WantedItem
    audio_ms: float = 0.0
    cut_ms: int | None = None

    def say(self, text: str) -> None:
        """The model has written more of it."""
        item = self.item
        self.item = WantedItem(item.kind, item.text + text, item.role, item.call_id, item.name)

    def cut(self, to: WantedItem, at_ms: int) -> None:
        """It is cut there."""
        self.item, self.cut_ms = to, at_ms

    def is_(self, wanted: WantedItem) -> bool:
        """Whether it is this item, or becomes it by a cut."""
        mine = self.item
        if (mine.kind, mine.role, mine.call_id) != (wanted.kind, wanted.role, wanted.call_id):
            return False
        if mine.kind == "call" or mine.text.strip() == wanted.text.strip():
            return True
        return bool(self.audio_ms and wanted.text.strip()) and mine.text.strip().startswith(wanted.text.strip())

    def cut_at(self, wanted: WantedItem) -> int | None:
        """Where it has to be cut to be the wanted item, in ms of its audio; None: it is that already."""
        whole, heard = len(self.item.text.strip()), len(wanted.text.strip())
        if not self.audio_ms or heard == whole:
            return None
        at_ms = int(self.audio_ms * heard / whole) if wanted.heard_ms is None else wanted.heard_ms
        end_ms = self.audio_ms if self.cut_ms is None else self.cut_ms
        return max(0, min(at_ms, int(end_ms) - 1))


@dataclass(frozen=True, slots=True)
class HistoryPlan:
    """What has to be done, in this order: delete and cut what is there (`kept` remains), then create the rest."""

    deleted: tuple[HeldItem, ...]
    cuts: tuple[tuple[HeldItem, WantedItem, int], ...]
    kept: tuple[HeldItem, ...]
    created: tuple[WantedItem, ...]


def planned(held: Sequence[HeldItem], wanted: Sequence[WantedItem]) -> HistoryPlan:
    """How the items that are held become those that are wanted."""
    kept: list[HeldItem] = []
    deleted: list[HeldItem] = []
    cuts: list[tuple[HeldItem, WantedItem, int]] = []
    at = 0
    for want in wanted:
        found = next((place for place in range(at, len(held)) if held[place].is_(want)), None)
        if found is None:
            break
        deleted += held[at:found]
        item = held[found]
        if (cut_ms := item.cut_at(want)) is not None:
            cuts.append((item, want, cut_ms))
        kept.append(item)
        at = found + 1
    return HistoryPlan((*deleted, *held[at:]), tuple(cuts), tuple(kept), tuple(wanted[len(kept) :]))


def conversation_of(messages: Sequence[ChatMessage]) -> tuple[str, tuple[WantedItem, ...]]:
    """The instructions, which are the system's messages at the beginning, and the items after them."""
    first = next((at for at, message in enumerate(messages) if message.role != "system"), len(messages))
    instructions = "\n\n".join(message.text for message in messages[:first] if message.text)
    items: list[WantedItem] = []
    for message in messages[first:]:
        if message.role == "tool":
            items.append(WantedItem("output", message.text, call_id=message.call_id))
            continue
        if message.text:
            items.append(WantedItem("message", message.text, message.role, heard_ms=message.heard_ms))
        items += [WantedItem("call", call.arguments, "", call.call_id, call.name) for call in message.tool_calls]
    return instructions, tuple(items)


def told(instructions: str, items: Sequence[WantedItem]) -> str:
    """The instructions with the conversation written out, for a server that keeps none."""
    lines = [f"{item.role or item.kind}: {item.text}" for item in items]
    return "\n\n".join(filter(None, (instructions, "\n".join((_HISTORY, *lines)) if lines else "")))
