"""The items of a session that a client remembers: their words, and of a reply how much of its sound came and was heard.

Laws: the newest `ITEMS_KEPT` are kept; older ones can no longer be cut. Does not know: events, devices.
"""

from __future__ import annotations

from dataclasses import dataclass

ITEMS_KEPT = 200
"""An hour of quick talk."""


@dataclass(slots=True)
class SessionItem:
    """An item's words, and for the assistant's: the response, and how much of its audio came."""

    response_id: str = ""
    text: str = ""
    final: bool = False
    received_ms: float = 0.0
    heard_ms: int | None = None

    def cut(self) -> tuple[str, str]:
        """The words in the part of the audio that was heard, if all letters take equal time, and the rest. A word cut short counts as not
        heard."""
        share = (self.heard_ms or 0) / max(1.0, self.received_ms)
        if share >= 1.0:
            return self.text, ""
        end = round(len(self.text) * max(0.0, share))
        end = max(self.text.rfind(" ", 0, end + 1), 0)
        return self.text[:end], self.text[end:]


class SessionItems:
    """The items, by their ids."""

    def __init__(self) -> None:
        self._items: dict[str, SessionItem] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def find(self, item_id: str) -> SessionItem | None:
        """None: it is not kept."""
        return self._items.get(item_id)

    def of(self, item_id: str, response_id: str = "") -> SessionItem:
        """The item, which is new where it is not kept; `response_id` is then its response."""
        item = self._items.get(item_id)
        if item is None:
            while len(self._items) >= ITEMS_KEPT:
                del self._items[next(iter(self._items))]
            item = self._items[item_id] = SessionItem(response_id)
        return item
