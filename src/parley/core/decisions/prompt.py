"""How a response's prompt is made: once, frozen, when everything it needs is known.

Laws: what the response itself asks for goes over the session's settings; the prompt holds the words that were heard
and nothing more.
"""

from __future__ import annotations

from parley.core.decisions.tool_checks import check_choice
from parley.core.regions.attempt import Attempt, Plan
from parley.core.regions.context import Room, fit, text_tokens, tokens_of
from parley.core.regions.mcp_offer import offer
from parley.core.regions.response import Response
from parley.core.state import State
from parley.core.words.effects import StartGeneration
from parley.core.words.items import Item, McpListTools, is_empty
from parley.core.words.work import Prompt, Reply


class PromptBuilder:
    """Owns the making of attempts. Shares the session's state."""

    def __init__(self, state: State) -> None:
        self.st = state

    def draft(self, plan: Plan, extra: tuple[Item, ...]) -> Attempt:
        """Freeze the prompt that the plan amounts to now. Raises `PeerError` if it cannot fit."""
        st, params, settings = self.st, plan.params, self.st.settings
        sources = settings.tools if params.tools is None else params.tools
        choice = settings.tool_choice if params.tool_choice is None else params.tool_choice
        told = {
            label: listing.entry.item.tools
            for label, listing in st.servers.items()
            if isinstance(listing.entry.item, McpListTools)
        }
        check_choice(choice, sources, "response")
        offered = offer(told, sources, choice)
        instructions = settings.instructions if params.instructions is None else params.instructions
        limit = settings.max_output_tokens if params.max_output_tokens is None else params.max_output_tokens or None
        fixed = text_tokens(
            len(instructions)
            + sum(len(tool.name) + len(tool.description) + len(tool.parameters) for tool in offered.tools)
        )
        room = Room(fixed, st.owner.context_tokens, settings.truncation)
        if plan.entries is None:
            entries = st.conversation.entries()
            shown = st.conversation.shown(room, extra)
        else:
            entries = list(plan.entries)
            shown = fit((*(view for entry in entries if not is_empty(view := entry.view())), *extra), room)
        parallel = settings.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls
        effort = settings.reasoning_effort if params.reasoning_effort is None else params.reasoning_effort
        prompt = Prompt(instructions, shown.items, offered.tools, offered.choice, parallel, limit, effort)
        prompted = {item.id for item in shown.items}
        heard_ms = sum(entry.audio_ms for entry in entries if entry.item.id in prompted)
        tokens = fixed + sum(map(tokens_of, shown.items))
        attempt = Attempt(st.ids.attempt(), prompt, shown, tokens, heard_ms, st.now, plan, offered.mcp)
        st.attempts[attempt.id] = attempt
        return attempt

    def generate(self, attempt: Attempt, response: Response | None) -> None:
        """Have the engines work on it; `response` None: it is held, under the session's own settings."""
        settings = self.st.settings
        self.st.do(
            StartGeneration(
                attempt.id,
                Reply(attempt.prompt),
                response.modality if response else settings.modality,
                response.voice if response else settings.voice,
                settings.speed,
                response.format if response else settings.output_format,
                settings.transcription.language if settings.transcription else "",
                response=response.id if response else None,
            )
        )
