"""How a response's prompt is made: once, frozen, when everything it needs is known.

Laws: what the response itself asks for goes over the session's settings; the prompt holds the words that were heard
and nothing more.
"""

from __future__ import annotations

from parley.core.conversation import audio_ms, is_empty, text_tokens, tokens_of
from parley.core.effects import Prompt, StartGeneration
from parley.core.generation import Attempt, Plan
from parley.core.items import Item, McpListTools
from parley.core.mcp_offer import offer
from parley.core.response import Response
from parley.core.state import State


class Drafting:
    """Owns the making of attempts. Shares the session's state."""

    def __init__(self, state: State) -> None:
        self.st = state

    def draft(self, plan: Plan, extra: tuple[Item, ...], *, guess: bool = False) -> Attempt:
        """Freeze the prompt that the plan amounts to now. Raises `PeerError` if it cannot fit."""
        st, params, settings = self.st, plan.params, self.st.settings
        sources = settings.tools if params.tools is None else params.tools
        choice = settings.tool_choice if params.tool_choice is None else params.tool_choice
        told = {
            label: listing.entry.item.tools
            for label, listing in st.servers.items()
            if isinstance(listing.entry.item, McpListTools)
        }
        offered = offer(told, sources, choice)
        instructions = settings.instructions if params.instructions is None else params.instructions
        limit = settings.max_output_tokens if params.max_output_tokens is None else params.max_output_tokens or None
        fixed = text_tokens(
            len(instructions)
            + sum(len(tool.name) + len(tool.description) + len(tool.parameters) for tool in offered.tools)
        )
        if plan.entries is None:
            items = st.conversation.prompt_items(
                settings.truncation, st.conduct.context_tokens, fixed, extra, settle=not guess
            )
            entries = st.conversation.entries()
        else:
            items = (*(view for entry in plan.entries if not is_empty(view := entry.view())), *extra)
            entries = list(plan.entries)
        parallel = settings.parallel_tool_calls if params.parallel_tool_calls is None else params.parallel_tool_calls
        effort = settings.reasoning_effort if params.reasoning_effort is None else params.reasoning_effort
        prompt = Prompt(instructions, items, offered.tools, offered.choice, parallel, limit, effort)
        shown = {item.id for item in items}
        heard_ms = sum(audio_ms(entry) for entry in entries if entry.item.id in shown)
        tokens = fixed + sum(map(tokens_of, items))
        attempt = Attempt(st.ids.attempt(), prompt, tokens, heard_ms, st.now, plan, offered.mcp)
        st.attempts[attempt.id] = attempt
        return attempt

    def generate(self, attempt: Attempt, response: Response | None) -> None:
        """Have the engines work on it; `response` None: it is held, under the session's own settings."""
        settings = self.st.settings
        self.st.do(
            StartGeneration(
                attempt.id,
                attempt.prompt,
                response.modality if response else settings.modality,
                response.voice if response else settings.voice,
                settings.speed,
                response.format if response else settings.output_format,
                settings.transcription.language if settings.transcription else "",
            )
        )
