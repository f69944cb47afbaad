"""Builds a response's prompt: once, immutable, when everything it needs is known.

Laws: the response's own options override the session's settings; of a reply, the prompt holds only the words that
were heard.
"""

from __future__ import annotations

from parley.core.decisions.tool_checks import check_choice
from parley.core.regions.attempt import Attempt, Plan
from parley.core.regions.context import PromptBudget, Shown, fit, text_tokens, tokens_of
from parley.core.regions.prompt_audio import with_sound
from parley.core.regions.response import Response
from parley.core.regions.tool_offer import offer
from parley.core.state import State
from parley.core.words.effects import StartGeneration
from parley.core.words.items import Item, is_empty
from parley.core.words.work import Prompt, Reply, Translation, Utterance


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

    def _given(self, plan: Plan, work: Translation | Utterance) -> Attempt:
        tokens = text_tokens(len(work.text))
        return Attempt(self.st.ids.attempt(), work, Shown(()), tokens, 0, self.st.now, plan, {})

    def _reply(self, plan: Plan, extra: tuple[Item, ...]) -> Attempt:
        st, params, settings = self.st, plan.params, self.st.settings
        sources = settings.tools if params.tools is None else params.tools
        choice = settings.tool_choice if params.tool_choice is None else params.tool_choice
        check_choice(choice, sources, "response")
        offered = offer(st.tools.tools(), sources, choice)
        instructions = settings.instructions if params.instructions is None else params.instructions
        limit = settings.max_output_tokens if params.max_output_tokens is None else params.max_output_tokens or None
        fixed = text_tokens(
            len(instructions)
            + sum(len(tool.name) + len(tool.description) + len(tool.parameters) for tool in offered.tools)
        )
        budget = PromptBudget(fixed, st.owner.context_tokens, settings.truncation)
        if plan.entries is None:
            entries = st.conversation.entries()
            shown = st.conversation.shown(budget, extra)
        else:
            entries = list(plan.entries)
            shown = fit((*(view for entry in entries if not is_empty(view := entry.view())), *extra), budget)
        parallel = settings.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls
        effort = settings.reasoning_effort if params.reasoning_effort is None else params.reasoning_effort
        temperature = settings.temperature if params.temperature is None else params.temperature
        items = with_sound(shown.items, entries) if st.capabilities.audio else shown.items
        prompt = Prompt(instructions, items, offered.tools, offered.choice, parallel, limit, effort, temperature)
        prompted = {item.id for item in shown.items}
        heard_ms = sum(entry.audio_ms for entry in entries if entry.item.id in prompted)
        tokens = fixed + sum(map(tokens_of, shown.items))
        return Attempt(st.ids.attempt(), Reply(prompt), shown, tokens, heard_ms, st.now, plan, offered.by_name)

    def generate(self, attempt: Attempt, response: Response | None, language: str = "") -> None:
        """Start an attempt at the work; `response` None: it is held, under the session's own settings. `language` is what the turn was
        heard in, where that is known already."""
        st, settings = self.st, self.st.settings
        wanted = settings.transcription.language if settings.transcription else ""
        spoken = language or st.heard_language or wanted or st.owner.language
        if isinstance(attempt.work, Translation):
            spoken = attempt.work.to_language
        st.do(
            StartGeneration(
                attempt.id,
                attempt.work,
                response.modality if response else settings.modality,
                response.voice if response else settings.voice,
                settings.speed,
                response.format if response else settings.output_format,
                spoken,
                response=response.id if response else None,
            )
        )
