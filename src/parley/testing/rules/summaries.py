"""Compaction: when the model sums a conversation up, and what its summaries may stand for.

Laws kept here: each summary that is begun ends once; it is begun while no model works for the session; what it sums up was heard; and a
prompt shows a summary only while every message that went into it is in the conversation.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.effects import AbandonSummary, StartGeneration, Summarize
from parley.core.words.events import Summarized, SummaryFailed
from parley.core.words.ids import ItemId, SummaryId
from parley.core.words.items import Message
from parley.core.words.work import Reply
from parley.testing.rules.attempts import AttemptLifecycle
from parley.testing.rules.base import Handlers, Rule
from parley.testing.rules.conversation import ConversationOrder
from parley.testing.rules.heard_text import OnlyHeardIsKept


@dataclass(frozen=True, slots=True)
class _Written:
    """A summary, and the messages that went into it, directly or by an earlier summary."""

    text: str
    messages: frozenset[ItemId]


class SummarizedMessages(Rule):
    """A summary is made of messages that are in the conversation, and shown for as long as they are."""

    law = "summaries"

    def __init__(
        self, attempts: AttemptLifecycle, conversation: ConversationOrder, heard_text: OnlyHeardIsKept, compaction: bool
    ) -> None:
        self._attempts = attempts
        self._conversation = conversation
        self._heard_text = heard_text
        self._compaction = compaction
        self._running: Summarize | None = None
        self._begun: set[SummaryId] = set()
        self._written: list[_Written] = []

    def event_handlers(self) -> Handlers:
        return {Summarized: self._summarized, SummaryFailed: self._failed}

    def effect_handlers(self) -> Handlers:
        return {Summarize: self._begin, AbandonSummary: self._abandon, StartGeneration: self._start}

    def _begin(self, effect: Summarize) -> None:
        self.require(self._compaction, "a conversation is summed up although compaction is off")
        self.require(effect.summary not in self._begun, f"summary {effect.summary} is begun twice")
        self.require(self._running is None, f"summary {effect.summary} is begun while another is written")
        working = [attempt.id for attempt in self._attempts.by_id.values() if attempt.alive and not attempt.filler]
        self.require(not working, f"summary {effect.summary} is begun while the model works on {working}")
        self._check_summary(effect.prompt.summary)
        for item in effect.prompt.items:
            if isinstance(item, Message) and item.role == "assistant":
                self._heard_text.check(item, "is summed up")
        self._begun.add(effect.summary)
        self._running = effect

    def _abandon(self, effect: AbandonSummary) -> None:
        running = self._running
        self.require(
            running is not None and running.summary == effect.summary,
            f"summary {effect.summary} was abandoned and is not being written",
        )
        self._running = None

    def _summarized(self, event: Summarized) -> None:
        running = self._running
        if running is None or running.summary != event.summary:
            return
        self._running = None
        before = next((one for one in reversed(self._written) if self._is(one, running.prompt.summary)), None)
        messages = {
            item.id for item in running.prompt.items if isinstance(item, Message) and item.role in ("user", "assistant")
        }
        self._written.append(
            _Written(event.text.strip(), frozenset(messages | (before.messages if before is not None else set())))
        )

    def _failed(self, event: SummaryFailed) -> None:
        if self._running is not None and self._running.summary == event.summary:
            self._running = None

    def _start(self, effect: StartGeneration) -> None:
        if isinstance(effect.work, Reply):
            self._check_summary(effect.prompt.summary)

    def _check_summary(self, shown: str) -> None:
        if not shown:
            return
        standing = [one for one in self._written if self._is(one, shown)]
        self.require(bool(standing), f"a prompt shows a summary that nothing has written: {shown!r}")
        here = self._conversation.items
        gone = [[message for message in one.messages if message not in here] for one in standing]
        self.require(not all(gone), f"a prompt shows a summary of messages that were deleted: {gone}")

    def _is(self, written: _Written, shown: str) -> bool:
        """Whether `shown` is this summary: whole, or its beginning and end."""
        return bool(shown) and (shown == written.text or written.text.startswith(shown[:60]))

    def finish(self, quiet: bool) -> None:
        self.require(self._running is None, f"a summary never ended: {self._running}")
