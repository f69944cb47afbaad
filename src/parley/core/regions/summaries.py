"""What the model has written for the older items of the conversation, and what it is writing now.

Laws: a summary stands for its items only while all of them are in the conversation as the model saw them: one that was deleted, or cut to
what was heard, takes the summary with it. At most one is written at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parley.core.regions.entry import Entry
from parley.core.words.ids import ItemId, SummaryId
from parley.core.words.items import Item
from parley.core.words.limits import MAX_SUMMARY_DELAYS

Lookup = Callable[[ItemId], Entry | None]


@dataclass(frozen=True, slots=True)
class Summary:
    """`text` stands for the `covered` items, which are as the model saw them."""

    text: str
    covered: Mapping[ItemId, Item]

    def holds(self, entry: Lookup) -> bool:
        """Whether each item is still in the conversation, unchanged."""
        return all((now := entry(id)) is not None and now.view() == seen for id, seen in self.covered.items())


@dataclass(frozen=True, slots=True)
class RunningSummary:
    """The model is writing it: of at most `characters`, for these items."""

    id: SummaryId
    covered: Mapping[ItemId, Item]
    characters: int
    deadline_ns: int


class Summaries:
    """The region."""

    def __init__(self) -> None:
        self.running: RunningSummary | None = None
        self.considered: int | None = None
        """The version of the conversation for which it was last decided whether to sum up."""
        self._latest: Summary | None = None
        self._delays = 0

    def current(self, entry: Lookup) -> Summary | None:
        """The summary, if it still holds; one that does not is forgotten."""
        if self._latest is not None and not self._latest.holds(entry):
            self._latest = None
        return self._latest

    def consider(self, version: int) -> None:
        self.considered = version

    def begin(self, running: RunningSummary) -> None:
        self.running = running

    def end(self, summary: SummaryId) -> RunningSummary | None:
        """The summary is written, or never will be; None for one that is not awaited."""
        running = self.running
        if running is None or running.id != summary:
            return None
        self.running = None
        self._delays = 0
        return running

    def keep(self, summary: Summary) -> None:
        self._latest = summary

    def delay(self) -> RunningSummary | None:
        """A reply needs the model: the summary to abandon, which is begun again later. None where none is written, or has been delayed
        often enough."""
        running = self.running
        if running is None or self._delays == MAX_SUMMARY_DELAYS:
            return None
        self._delays += 1
        self.running = self.considered = None
        return running

    def deadline_ns(self) -> int | None:
        return None if self.running is None else self.running.deadline_ns

    def clear(self) -> None:
        self.running = self._latest = None
