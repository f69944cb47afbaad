"""Several language models in order: `llm = ["openai:gpt-5-mini", "ollama:qwen3"]` (see `engines.fallback`)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping

from parley.engines.fallback import ChainMember, Fallback, FallbackLimits, read_members
from parley.engines.ports import (
    LLM,
    ChatEvent,
    ChatRequest,
    EngineUnavailable,
    ForwardedHead,
    ForwardRequest,
    ForwardsRequests,
    LanguageModel,
    TextApi,
    text_apis,
)


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

    @property
    def apis(self) -> frozenset[TextApi]:
        """Those that one of the engines has."""
        return frozenset().union(*(text_apis(member.engine) for member in self.members if member.is_open))

    def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardedHead | bytes]:
        """Hand a request on to the first engine that has its API (see `ForwardsRequests`). An answer that is not streamed begins when it is
        complete: no other engine is asked because it takes its time."""
        return self.stream(
            lambda engine: _forwarded(engine, request),
            lambda engine: request.api in text_apis(engine),
            limited=request.stream,
        )


def _forwarded(engine: LanguageModel, request: ForwardRequest) -> AsyncIterator[ForwardedHead | bytes]:
    if not isinstance(engine, ForwardsRequests):
        raise EngineUnavailable(f"The engine {engine.info.name} forwards no requests.", code="not_open")
    return engine.forward(request)
