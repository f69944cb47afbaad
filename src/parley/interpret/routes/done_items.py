"""The items of sentences and outputs that are done with: which to delete now, and which errors are only those of deletions.

Laws: pure. An item is deleted once. The words of a sentence may still come after its translation, so that its item is kept until then,
or until the conversation must be empty.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from parley.interpret.routes.sentences import SpokenSentence

REMEMBERED: Final = 256
"""Deletions whose error, if one comes, is still recognised."""


class DoneItems:
    """Call `sentence()` and `outputs()` for what is done with; delete what `due()` returns, and call `deleting()` for each."""

    def __init__(self) -> None:
        self._sentences: list[SpokenSentence] = []
        self._outputs: list[str] = []
        self._events: deque[str] = deque(maxlen=REMEMBERED)
        self._items: deque[str] = deque(maxlen=REMEMBERED)

    def sentence(self, sentence: SpokenSentence) -> None:
        self._sentences.append(sentence)

    def outputs(self, items: list[str]) -> None:
        """Items of the assistant in the conversation."""
        self._outputs.extend(items)

    def due(self, *, all_of_them: bool) -> list[str]:
        """The items to delete now, each once. `all_of_them`: those as well whose words have not come."""
        ready = [one for one in self._sentences if one.item_id and (one.heard or all_of_them)]
        self._sentences = [one for one in self._sentences if one not in ready]
        outputs, self._outputs = self._outputs, []
        return list(dict.fromkeys([one.item_id for one in ready] + outputs))

    def deleting(self, item_id: str, event_id: str) -> None:
        self._items.append(item_id)
        self._events.append(event_id)

    def knows(self, event_id: str, message: str) -> bool:
        """Whether an error with this event id, or with none and this message, is that of a deletion."""
        return event_id in self._events if event_id else any(item in message for item in self._items)
