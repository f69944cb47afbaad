"""Builds a response's prompt: once, immutable, when everything it needs is known.

Laws: the response's own options override the session's settings; of a reply, the prompt holds only the words that
were heard.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from parley.core.decisions.tool_checks import check_choice
from parley.core.regions.attempt import Attempt, Plan
from parley.core.regions.context import PromptBudget, Shown, fit, text_tokens, tokens_of
from parley.core.regions.heard_turns import heard_turns
from parley.core.regions.prompt_audio import with_sound, without_sound
from parley.core.regions.response import Response
from parley.core.regions.summaries import Summary
from parley.core.regions.tool_offer import Offer, offer
from parley.core.state import State
from parley.core.words.effects import AbandonSummary, StartGeneration
from parley.core.words.ids import ItemId
from parley.core.words.items import Item, is_empty
from parley.core.words.work import OriginalSpeech, Prompt, Reply, ResponseParams, Translation, Utterance, Work


@dataclass(frozen=True, slots=True)
class PromptFrame:
    """Everything of a prompt but its items, and the budget that they have."""

    instructions: str
    offered: Offer
    summary: Summary | None
    budget: PromptBudget
    parallel_tool_calls: bool | None
    max_output_tokens: int | None
    reasoning_effort: str
    temperature: float | None

    @property
    def covered(self) -> Collection[ItemId]:
        """The items that the summary stands for."""
        return () if self.summary is None else self.summary.covered

    def prompt(self, items: tuple[Item, ...]) -> Prompt:
        """The prompt with these items."""
        return Prompt(
            self.instructions,
            items,
            self.offered.tools,
            self.offered.choice,
            self.parallel_tool_calls,
            self.max_output_tokens,
            self.reasoning_effort,
            self.temperature,
            "" if self.summary is None else self.summary.text,
        )


class PromptBuilder:
    """Owns the making of attempts. Shares the session's state."""

    def __init__(self, state: State) -> None:
        self.st = state

    def draft(self, plan: Plan, extra: tuple[Item, ...]) -> Attempt:
        """Build the work of the plan as of now; `extra` items come after the conversation's. Raises `PeerError` if a prompt
        cannot fit."""
        attempt = self._reply(plan, extra) if plan.given is None else self._given(plan, plan.given)
        self.st.attempts.add(attempt)
        return attempt

    def _given(self, plan: Plan, work: Translation | Utterance | OriginalSpeech) -> Attempt:
        assert not isinstance(work, OriginalSpeech), "audio that is passed on is not generated"
        st, tokens = self.st, text_tokens(len(work.text))
        # What interprets somebody is no turn of a dialogue.
        spoken = isinstance(work, Utterance) and st.capabilities.conversational
        heard = heard_turns(st.conversation.entries()) if spoken else ()
        return Attempt(st.ids.attempt(), work, Shown(()), tokens, 0, st.now, plan, {}, heard)

    def _reply(self, plan: Plan, extra: tuple[Item, ...]) -> Attempt:
        st = self.st
        frame = self.frame(plan.params, summarized=plan.entries is None)
        said = extra
        if not st.capabilities.audio:
            extra = tuple(map(without_sound, extra))
        if plan.entries is None:
            entries = st.conversation.entries()
            shown = st.conversation.shown(frame.budget, extra, frame.covered)
        else:
            entries = list(plan.entries)
            views = (view for entry in entries if not is_empty(view := entry.view()))
            shown = fit((*views, *extra), frame.budget)
        items = with_sound(shown.items, entries) if st.capabilities.audio else shown.items
        prompted = {item.id for item in shown.items}
        heard_ms = sum(entry.audio_ms for entry in entries if entry.item.id in prompted)
        tokens = frame.budget.fixed_tokens + sum(map(tokens_of, shown.items))
        work = Reply(frame.prompt(items))
        heard = heard_turns(entries, said) if st.capabilities.conversational else ()
        return Attempt(st.ids.attempt(), work, shown, tokens, heard_ms, st.now, plan, frame.offered.by_name, heard)

    def frame(self, params: ResponseParams, *, summarized: bool = True) -> PromptFrame:
        """Everything of a prompt but its items; `summarized`: the conversation's summary is in it. Raises `PeerError` for a choice of
        tools that is not possible."""
        st, settings = self.st, self.st.settings
        sources = settings.tools if params.tools is None else params.tools
        choice = settings.tool_choice if params.tool_choice is None else params.tool_choice
        check_choice(choice, sources, "response")
        offered = offer(st.tools.tools(), sources, choice)
        instructions = settings.instructions if params.instructions is None else params.instructions
        summary = st.summaries.current(st.conversation.entry) if summarized else None
        fixed = text_tokens(
            len(instructions)
            + sum(len(tool.name) + len(tool.description) + len(tool.parameters) for tool in offered.tools)
            + (0 if summary is None else len(summary.text))
        )
        return PromptFrame(
            instructions,
            offered,
            summary,
            PromptBudget(fixed, st.owner.context_tokens, settings.truncation),
            settings.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls,
            settings.max_output_tokens if params.max_output_tokens is None else params.max_output_tokens or None,
            settings.reasoning_effort if params.reasoning_effort is None else params.reasoning_effort,
            settings.temperature if params.temperature is None else params.temperature,
        )

    def language(self, heard: str = "") -> str:
        """What is spoken (BCP 47), "" where it is not known: `heard` in this turn, else heard before, else configured."""
        st, transcription = self.st, self.st.settings.transcription
        return heard or st.heard_language or (transcription.language if transcription else "") or st.owner.language

    def _spoken(self, work: Work, language: str) -> str:
        """What this work is spoken in."""
        match work:
            case Translation():
                return work.to_language
            case Utterance() if work.language:
                return work.language
            case _:
                return self.language(language)

    def generate(self, attempt: Attempt, response: Response | None, language: str = "") -> None:
        """Start an attempt at the work; `response` None: it is held, under the session's own settings. `language` is what the turn was
        heard in, where that is known already."""
        st, settings, work = self.st, self.st.settings, attempt.work
        if isinstance(work, Reply) and (delayed := st.summaries.delay()) is not None:
            st.do(AbandonSummary(delayed.id))
        st.do(
            StartGeneration(
                attempt.id,
                work,
                response.modality if response else settings.modality,
                response.voice if response else settings.voice,
                settings.speed * attempt.speed,
                response.format if response else settings.output_format,
                self._spoken(work, language),
                response=response.id if response else None,
                tight=attempt.speed > 1.0,
                heard=attempt.heard,
            )
        )
