"""A function as the language model.

Laws: the pieces of a reply are passed on as they come; closing the reply closes the function's generator.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatRequest,
    EngineError,
    TextDelta,
    ToolCallDelta,
)
from parley.library.functions import FunctionEngine, called, pieces_of
from parley.library.history import ChatDict, as_dict


@dataclass(frozen=True, slots=True)
class CallFunction:
    """Yield (or return) this from your function to call one of the session's tools."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


Written = str | CallFunction
Answer = Written | Iterable[Written] | AsyncIterator[Written]
ReplyFunction = Callable[[list[ChatDict]], Answer | Awaitable[Answer]]
"""From the chat messages so far to the reply: a string, or an iterator (or generator) of pieces; either may be asynchronous."""


class FunctionModel(FunctionEngine):
    """A function that meets the `LanguageModel` port."""

    stage = "llm"
    _calls = 0

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Call the function; yields its pieces as they come."""
        messages = [as_dict(message) for message in request.messages]
        made = 0
        async with aclosing(pieces_of(await called(self.function, messages), (str, CallFunction))) as pieces:
            async for piece in pieces:
                match piece:
                    case str():
                        yield TextDelta(piece)
                    case CallFunction(name, arguments):
                        self._calls += 1
                        written = json.dumps(dict(arguments), ensure_ascii=False)
                        yield ToolCallDelta(made, f"call_{self._calls}", name, written)
                        made += 1
                    case _:
                        raise EngineError(
                            f"{self.name} gave a {type(piece).__name__}.",
                            code="invalid_reply",
                            remedy="A reply consists of strings and CallFunction.",
                        )
        yield ChatEnd("tool_calls" if made else "stop")
