"""A language model in this process that translates as the translating server does, and drifts when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineInfo, EngineRefused, TextDelta
from tests.engines.translating_server import ANSWER, QUOTED, in_pieces, translation

MOST_CHARACTERS: Final = 12_000
"""Of a prompt: a longer one is refused, as by a model whose context is full."""


class TranslatingModel:
    """A `LanguageModel`. `drift(times)` has it answer as an assistant so often."""

    info = EngineInfo(
        stage="llm", name="translating", summary="Words of Afrikaans for the words of a text.", streams=True
    )

    def __init__(self) -> None:
        self._left = 0

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def drift(self, times: int) -> str:
        self._left = times
        return ANSWER

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        if sum(len(message.text) for message in request.messages) > MOST_CHARACTERS:
            raise EngineRefused("The prompt is too long.", "Shorten it.", code="context_length_exceeded")
        said = request.messages[-1].text
        quoted = QUOTED.search(said)
        drifts, self._left = self._left > 0, max(0, self._left - 1)
        written = ANSWER if drifts else translation(said if quoted is None else quoted.group(1))
        for piece in in_pieces(written):
            yield TextDelta(piece)
        yield ChatEnd("stop")
