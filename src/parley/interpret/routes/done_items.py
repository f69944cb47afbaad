"""The items of sentences and outputs that are done with: which to delete now, and which errors are only those of deletions.

Laws: pure. An item is deleted once. The words of a sentence may still come after its translation, so that its item is kept until then,
or until the conversation must be empty.
"""

from __future__ import annotations

from typing import Final

from parley.interpret.routes.sentences import SpokenSentence

REMEMBERED: Final = 256
"""Deletions without an answer whose error, if one comes, is still recognised: some servers answer none."""


class DoneItems:
    """Call `sentence()` and `outputs()` for what is done with; delete what `due()` returns, and call `deleting()` for each."""

    def __init__(self) -> None:
        self._sentences: list[SpokenSentence] = []
        self._outputs: list[str] = []
        self._deleting: dict[str, str] = {}
        """The item of each deletion that has not been answered, by the event that asked for it."""

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
        """A deletion is sent."""
        self._deleting[event_id] = item_id
        while len(self._deleting) > REMEMBERED:
            del self._deleting[next(iter(self._deleting))]

    def deleted(self, item_id: str) -> None:
        """The server has deleted an item."""
        self._deleting = {event: item for event, item in self._deleting.items() if item != item_id}

    def fails(self, event_id: str, message: str, *, gone: bool) -> bool:
        """Whether an error is that of a deletion: by the id of its event; without one, by the item in its message, or because it says that
        an item is `gone`, and servers answer in order."""
        if not event_id:
            named = (event for event, item in self._deleting.items() if item in message)
            event_id = next(named, next(iter(self._deleting), "") if gone else "")
        return self._deleting.pop(event_id, None) is not None
