"""Compaction: the model sums up the older items of a long conversation before they exceed its context.

Laws: the client's items stay as they are, only prompts show the summary in their place; what the client's own system messages say, the
question, what is still heard and a call without its outcome stay word for word. A reply never waits for a summary: it is begun when no
model works, and abandoned for a reply up to `MAX_SUMMARY_DELAYS` times. One that fails changes nothing, and the next is begun when the
conversation has grown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from parley.core.decisions.heard import HeardSpeech
from parley.core.decisions.prompt import PromptBuilder
from parley.core.regions.context import CHARACTERS_PER_TOKEN, PromptBudget, fit, older, shortened, tokens_of
from parley.core.regions.summaries import RunningSummary, Summary
from parley.core.state import State
from parley.core.words.effects import AbandonSummary, Summarize
from parley.core.words.errors import PeerError
from parley.core.words.events import Summarized, SummaryFailed
from parley.core.words.ids import ItemId, SummaryId
from parley.core.words.item_texts import bond
from parley.core.words.items import Item, Message, is_empty
from parley.core.words.limits import (
    COMPACT_ABOVE,
    KEPT_BY_COMPACTION,
    MAX_SUMMARY_TOKENS,
    MIN_SUMMARY_CHARACTERS,
    SUMMARY_SHARE,
    SUMMARY_WAIT_NS,
)
from parley.core.words.settings import Truncation
from parley.core.words.work import Prompt, ResponseParams

_CHARACTERS_PER_WORD = 6
_WRITTEN_FOR_EACH_KEPT = 4
"""Tokens that the model may write for each of its summary: some reason first."""

_WITHOUT_CALLS = ResponseParams(tool_choice="none")


class Compaction:
    """Owns every decision about summaries. Shares the session's state."""

    def __init__(self, state: State, prompts: PromptBuilder, heard: HeardSpeech) -> None:
        self.st = state
        self.prompts = prompts
        self.heard = heard

    def consider(self) -> None:
        """Begin a summary if the conversation has grown too long, and no model works for this session."""
        st = self.st
        if not st.owner.compaction or st.summaries.running is not None or not self._idle():
            return
        if st.summaries.considered == st.conversation.version:
            return
        st.summaries.consider(st.conversation.version)
        self._begin()

    def _idle(self) -> bool:
        st = self.st
        if st.settings.kind != "realtime" or st.winding_down:
            return False
        return not (st.attempts.alive or st.pending.turns or st.work.waiting or st.tools.calls)

    def _begin(self) -> None:
        st = self.st
        frame = self.prompts.frame(_WITHOUT_CALLS)
        room, before = frame.budget.for_items, frame.summary
        covered = {} if before is None else dict(before.covered)
        uncovered = [entry for entry in st.conversation.entries() if entry.item.id not in covered]
        views = [view for entry in uncovered if not is_empty(view := entry.view())]
        if sum(map(tokens_of, views)) <= COMPACT_ABOVE * room:
            return
        old = older(views, int(KEPT_BY_COMPACTION * room))
        fresh = self._final(old)
        characters = max(
            MIN_SUMMARY_CHARACTERS, CHARACTERS_PER_TOKEN * min(MAX_SUMMARY_TOKENS, int(SUMMARY_SHARE * room))
        )
        tokens = characters // CHARACTERS_PER_TOKEN
        if sum(map(tokens_of, fresh)) <= tokens:
            return
        try:
            shown = fit(old, PromptBudget(frame.budget.fixed_tokens, st.owner.context_tokens, Truncation()))
        except PeerError:
            return  # the instructions and tools leave no room
        prompt = replace(frame.prompt(shown.items), max_output_tokens=_WRITTEN_FOR_EACH_KEPT * tokens)
        covered.update((item.id, item) for item in fresh)
        self._start(RunningSummary(st.ids.summary(), covered, characters, st.now + SUMMARY_WAIT_NS), prompt)

    def _start(self, running: RunningSummary, prompt: Prompt) -> None:
        st = self.st
        st.summaries.begin(running)
        words = running.characters // _CHARACTERS_PER_WORD
        st.do(Summarize(running.id, prompt, words, st.settings.modality, self.prompts.language()))

    def _final(self, items: Sequence[Item]) -> list[Item]:
        """Those that a summary may stand for: they change no more, and are no instructions."""
        st = self.st
        shared = Counter(map(bond, items))
        changing: set[ItemId] = {entry.item.id for entry in st.conversation.entries() if entry.awaiting}
        changing.update(self.heard.played_so_far())
        return [
            item
            for item in items
            if item.id not in changing
            and not (isinstance(item, Message) and item.role == "system")
            and (bond(item) is None or shared[bond(item)] > 1)
        ]

    # --- its outcome ---------------------------------------------------------------------------------------------------------

    def handle(self, event: Summarized | SummaryFailed) -> None:
        """Keep the summary if what it stands for is still as the model saw it."""
        st = self.st
        running = st.summaries.end(event.summary)
        if running is None:
            st.late += 1
            return
        st.summaries.consider(st.conversation.version)
        text = event.text.strip() if isinstance(event, Summarized) else ""
        summary = Summary(shortened(text, running.characters), running.covered)
        if text and summary.holds(st.conversation.entry):
            st.summaries.keep(summary)

    def abandon(self, summary: SummaryId) -> None:
        """Go on without a summary for which the shell has stopped waiting."""
        st = self.st
        if st.summaries.end(summary) is None:
            st.late += 1
            return
        st.summaries.consider(st.conversation.version)
        st.do(AbandonSummary(summary))

    def fail_overdue(self) -> None:
        running = self.st.summaries.running
        if running is not None and self.st.now >= running.deadline_ns:
            self.abandon(running.id)

    def drop(self) -> None:
        """Abandon what is being written: its model is no longer the session's."""
        running = self.st.summaries.running
        if running is not None:
            self.abandon(running.id)
