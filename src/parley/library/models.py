"""A plain function as the language model, and what stands for an engine that a pipeline goes without.

Laws: a plain function runs in a thread, an asynchronous one on the event loop; closing the reply closes the function's generator; what
it raises is the reply's failure, with its message.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatRequest,
    EngineError,
    EngineInfo,
    PauseContext,
    SpeechChunk,
    SpeechRequest,
    Stage,
    TextDelta,
    ToolCallDelta,
)
from parley.library.history import ChatDict, as_dict

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallTool:
    """Yield (or return) this from your function to call one of the session's tools."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


Written = str | CallTool
Answer = Written | Iterable[Written] | AsyncIterator[Written]
ReplyFunction = Callable[[list[ChatDict]], Answer | Awaitable[Answer]]
"""From the chat messages so far to the reply: a string, or an iterator (or generator) of pieces; either may be asynchronous."""

_END = object()


class FunctionModel:
    """A function that meets the `LanguageModel` port."""

    def __init__(self, function: ReplyFunction) -> None:
        self._function = function
        self._calls = 0

    @property
    def info(self) -> EngineInfo:
        name = getattr(self._function, "__name__", type(self._function).__name__)
        return EngineInfo("llm", name, "a function of your own")

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Ask the function; its pieces are told as they come."""
        messages = [as_dict(message) for message in request.messages]
        called = 0
        pieces = self._pieces(messages)
        try:
            async for piece in pieces:
                match piece:
                    case str():
                        yield TextDelta(piece)
                    case CallTool(name, arguments):
                        self._calls += 1
                        written = json.dumps(dict(arguments), ensure_ascii=False)
                        yield ToolCallDelta(called, f"call_{self._calls}", name, written)
                        called += 1
                    case _:
                        raise EngineError(
                            f"{self.info.name}() gave a {type(piece).__name__}.",
                            code="invalid_reply",
                            mend="A reply is made of strings and CallTool.",
                        )
        finally:
            await pieces.aclose()
        yield ChatEnd("tool_calls" if called else "stop")

    async def _pieces(self, messages: list[ChatDict]) -> AsyncGenerator[Any, None]:
        try:
            async for piece in self._asked(messages):
                yield piece
        except EngineError:
            raise
        except Exception as error:
            logger.exception("%s() failed", self.info.name)
            raise EngineError(
                f"{self.info.name}() raised {type(error).__name__}: {error}", code="function_failed"
            ) from error

    async def _asked(self, messages: list[ChatDict]) -> AsyncGenerator[Any, None]:
        function = self._function
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            answer: Any = function(messages)
        else:
            answer = await asyncio.to_thread(function, messages)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, str | CallTool):
            yield answer
        elif hasattr(answer, "__aiter__"):
            try:
                async for piece in answer:
                    yield piece
            finally:
                if hasattr(answer, "aclose"):
                    await answer.aclose()
        elif hasattr(answer, "__iter__"):
            pieces = _ThreadedPieces(answer)
            try:
                while (piece := await asyncio.to_thread(pieces.next)) is not _END:
                    yield piece
            finally:
                # Not awaited: a cancelled reply waits for nobody, and a thread may still be making a piece.
                asyncio.get_running_loop().run_in_executor(None, pieces.close)
        else:
            yield answer


class _ThreadedPieces:
    """A plain iterator that threads step through, one at a time; it is closed after the step under way."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._iterator = iter(pieces)
        self._one_at_a_time = threading.Lock()

    def next(self) -> Any:
        with self._one_at_a_time:
            return next(self._iterator, _END)

    def close(self) -> None:
        with self._one_at_a_time:
            close = getattr(self._iterator, "close", None)
            if close is not None:
                close()


class Absent:
    """Stands where a pipeline was told to go without; says so to whoever asks it all the same."""

    def __init__(self, stage: Stage) -> None:
        self._stage: Stage = stage

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(self._stage, "none", "left out of this pipeline", sample_rate=16_000)

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def _missing(self) -> EngineError:
        return EngineError(
            f"This pipeline was made with {self._stage}=None.",
            code="no_engine",
            mend=f"Give it a {self._stage} engine.",
        )

    async def judge(self, pause: PauseContext) -> float:
        raise self._missing()

    def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        raise self._missing()

    def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        raise self._missing()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return None
