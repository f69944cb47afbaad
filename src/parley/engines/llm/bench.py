"""A language model of fixed latency, for measuring everything around it: one sentence, the same every time.

Laws:
- The first token comes `first_token_ms` after the request, each further one `token_ms` later (0: all at once).
- The sentence is a single clause, so that one reply is one request to the synthesiser.
- Usage is its own count of words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from parley.engines.options import OptionReader
from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineInfo, TextDelta, TokenUsage

SENTENCE: Final = "This is the answer of the bench."


def create(model: str, options: Mapping[str, object]) -> BenchModel:
    """`bench`; options `first_token_ms` (200), `token_ms` (0), `text` (the sentence)."""
    reader = OptionReader("llm bench", options)
    engine = BenchModel(
        first_token_ms=reader.number("first_token_ms", 200, 0, 60_000),
        token_ms=reader.number("token_ms", 0, 0, 10_000),
        text=reader.text("text", SENTENCE),
    )
    reader.close()
    return engine


class BenchModel:
    """A `LanguageModel` that costs nothing and takes exactly as long as its options say."""

    def __init__(self, first_token_ms: float, token_ms: float, text: str) -> None:
        self._first_s = first_token_ms / 1000
        self._token_s = token_ms / 1000
        words = text.split()
        self._tokens = tuple(word if i == 0 else f" {word}" for i, word in enumerate(words))

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="llm",
            name="bench",
            measuring=True,
            summary=f"A fixed sentence of fixed latency, for benchmarks (first token after {self._first_s * 1000:g} ms).",
            deterministic=True,
        )

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """The sentence, whatever was asked; cut at `max_tokens` words."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._first_s
        tokens = self._tokens if request.max_tokens is None else self._tokens[: request.max_tokens]
        for token in tokens:
            delay = due - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            yield TextDelta(token)
            due += self._token_s
        usage = TokenUsage(sum(len(message.text.split()) for message in request.messages), len(tokens))
        yield ChatEnd("stop" if len(tokens) == len(self._tokens) else "length", usage)
