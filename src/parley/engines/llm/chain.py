"""Several language models in order: `llm = ["openai:gpt-5-mini", "ollama:qwen3"]` (see `engines.fallback`)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping

from parley.engines.fallback import ChainMember, Fallback, FallbackLimits, read_members
from parley.engines.ports import LLM, ChatEvent, ChatRequest, LanguageModel


def create(model: str, options: Mapping[str, object]) -> ModelChain:
    """`model` names the engines, separated by commas; options: see `fallback.read_members`."""
    members, limits = read_members(LLM, model, options)
    return ModelChain(members, limits)


class ModelChain(Fallback[LanguageModel]):
    """A `LanguageModel` whose replies come from the first engine that begins one."""

    def __init__(
        self,
        members: list[ChainMember[LanguageModel]],
        limits: FallbackLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(LLM, members, limits, clock)

    def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Stream one reply (see the port)."""
        return self.stream(lambda engine: engine.reply(request))
