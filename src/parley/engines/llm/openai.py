"""A language model behind any OpenAI-compatible chat endpoint: OpenAI, Ollama, vLLM, llama.cpp, LM Studio and their like.

Laws:
- Closing the iterator of `reply()` (or cancelling its task) closes the HTTP request, so that the server stops computing.
- Retries happen only before anything of the reply has come (see `openai_api.retries`). What the server refuses in a request
  (`stream_options`, the name of the token limit) is learnt once.
- Time limits run on what the model makes, not on bytes: signs of life and empty pieces renew none.
- Reasoning is never yielded. Errors name the endpoint and the remedy, never the key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Final

from parley.engines.llm.openai_request import ChatDialect, request_body
from parley.engines.llm.openai_stream import StreamReader
from parley.engines.openai_api.connection import EndpointConfig, EndpointConnection, read_endpoint
from parley.engines.openai_api.errors import NothingMoreCame, StatusError, failure_of, model_not_found
from parley.engines.openai_api.models import is_chat_model
from parley.engines.openai_api.retries import Retries
from parley.engines.openai_api.server_events import ServerEvent
from parley.engines.openai_api.service import Service
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineInfo,
    EngineUnavailable,
)

logger = logging.getLogger(__name__)

CHAT: Final = Service(
    stage="llm",
    title="The language model",
    api="chat-completions API",
    answer="reply",
    input="conversation",
    first="the first token",
    idle_option="token_timeout_s",
    example_url="http://localhost:11434/v1",
    too_long="Lower the pipeline's context_tokens, or use a model with a larger context.",
)

USAGE_WAIT_S: Final = 1.0
"""How long the usage may lag behind the end of the text."""

MAX_REPORTED: Final = 100
"""Kinds of things in the server's streams that are named in the log."""

_UNOPENED_REASONERS: Final = ("deepseek-r1", "deepseek-reasoner", "qwq", "-thinking")
"""Models whose templates are known to swallow the opening <think>. The first reply shows whether that is so."""


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    """All of it optional but the model, which `open()` finds out where the server has only one."""

    endpoint: EndpointConfig
    model: str = ""
    timeout_s: float = 60.0
    token_timeout_s: float = 20.0
    temperature: float | None = None
    extra_body: Mapping[str, object] = field(default_factory=dict)
    images: bool = True
    warm_up: bool = True


def create(model: str, options: Mapping[str, object]) -> OpenAIModel:
    """`openai:MODEL`; options: see `read_config`."""
    reader = OptionReader("llm openai", options)
    config = read_config(model, reader)
    reader.close()
    return OpenAIModel(config)


def read_config(model: str, reader: OptionReader) -> OpenAIConfig:
    """The options of `read_endpoint`, `timeout_s` (to the first token), `token_timeout_s` (between tokens), `temperature`,
    `extra_body`, `images`, `warm_up` (one token at start-up, so that a local server loads the model; only asked of servers on
    this machine)."""
    return OpenAIConfig(
        model=model,
        endpoint=read_endpoint(reader, CHAT),
        timeout_s=reader.number("timeout_s", 60, 0.01, 3600),
        token_timeout_s=reader.number("token_timeout_s", 20, 0.01, 3600),
        temperature=reader.optional_number("temperature", 0, 5),
        extra_body=reader.table("extra_body"),
        images=reader.flag("images", True),
        warm_up=reader.flag("warm_up", True),
    )


class OpenAIModel:
    """One model at one endpoint, shared by all sessions."""

    def __init__(self, config: OpenAIConfig) -> None:
        self._config = config
        self._connection = EndpointConnection(config.endpoint, CHAT, config.model)
        self._dialect = ChatDialect("max_completion_tokens" if config.endpoint.is_openai else "max_tokens")
        self._reasoning_opened = any(name in config.model.lower() for name in _UNOPENED_REASONERS)
        self._reasoning_seen = False
        self._reported: set[str] = set()

    @property
    def info(self) -> EngineInfo:
        named = f"{self.model or 'a model'} at {self.shown_url}"
        return EngineInfo(
            stage="llm",
            name="openai",
            summary=f"Any OpenAI-compatible chat endpoint: {named}.",
            needs=("httpx2",),
            images=self._config.images,
        )

    @property
    def model(self) -> str:
        return self._connection.model

    @property
    def shown_url(self) -> str:
        """The endpoint without any password in it."""
        return self._connection.endpoint.shown_url

    @property
    def models(self) -> tuple[str, ...]:
        """What the server listed when the engine was opened (empty where it has no list)."""
        return self._connection.models

    async def open(self) -> None:
        """Connect, check the key, the URL and the model. Raises `EngineUnavailable` with the remedy."""
        self._connection.check_settings()
        try:
            await self._connection.open()
            await self._check()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._connection.close()

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Stream one reply (see the port). Raises `EngineError`s with the codes listed there."""
        retries = Retries(CHAT.title)
        while True:
            begun = False
            try:
                async with aclosing(self._stream(request)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except Exception as error:  # noqa: BLE001 - the engine boundary: everything becomes an EngineError
                wait_s = retries.pause_after(failure_of(error, self._connection.endpoint), begun=begun)
            await asyncio.sleep(wait_s)

    async def _stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """One HTTP request; raises whatever `EndpointClient` and `StreamReader` raise."""
        config, loop = self._config, asyncio.get_running_loop()
        reader = StreamReader(request, self._reasoning_opened)
        deadline = loop.time() + config.timeout_s
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(deadline):
                events = await self._send(request, stack)
            while not reader.done:
                made, was_finished = reader.progress, reader.finished
                try:
                    async with asyncio.timeout_at(deadline):
                        event = await anext(events, None)
                except TimeoutError:
                    if reader.finished:  # only the usage is missing
                        break
                    raise (NothingMoreCame(config.token_timeout_s) if made else TimeoutError()) from None
                if event is None:
                    break
                for answer in reader.read(event):
                    yield answer
                # Reckoned after the yield: a listener who takes his time is not the server's fault.
                if reader.finished and not was_finished:
                    deadline = loop.time() + USAGE_WAIT_S
                elif reader.progress > made and not reader.finished:
                    deadline = loop.time() + config.token_timeout_s
            self._report(reader)
            try:
                for answer in reader.end():
                    self._learn_reasoning(answer, reader)
                    yield answer
            finally:
                if reader.done:
                    await anext(events, None)  # leaves the connection clean

    def _report(self, reader: StreamReader) -> None:
        """Log what of a reply was not understood; each kind once, as every reply may hold it."""
        for what in reader.unread:
            if what not in self._reported and len(self._reported) < MAX_REPORTED:
                self._reported.add(what)
                logger.warning("The language model at %s sent what Parley does not read: %s", self.shown_url, what)

    def _learn_reasoning(self, event: ChatEvent, reader: StreamReader) -> None:
        """Whether the next reply is to be taken for reasoning until a closing tag comes."""
        if reader.reasoning_unopened:
            self._reasoning_opened = self._reasoning_seen = True
        elif isinstance(event, ChatEnd) and event.reason == "stop" and not self._reasoning_seen:
            self._reasoning_opened = False  # unlike other models of its name

    async def _send(self, request: ChatRequest, stack: AsyncExitStack) -> AsyncGenerator[ServerEvent, None]:
        """Begin the stream, which `stack` closes; repeats the request in another form where the server refuses a field."""
        client = self._connection.client
        dialect = self._dialect
        tried = {dialect}
        while True:
            body: dict[str, object] = {**request_body(request, self.model, dialect), "stream": True}
            if request.temperature is None and self._config.temperature is not None:
                body["temperature"] = self._config.temperature
            body |= self._config.extra_body
            try:
                events = await stack.enter_async_context(client.stream("/chat/completions", body))
            except StatusError as error:
                changed = dialect.without(str(error.body)) if error.status in (400, 422) else None
                if changed is None or changed in tried:
                    raise
                dialect = changed
                tried.add(dialect)
            else:
                self._dialect = dialect
                return events

    async def _check(self) -> None:
        connection = self._connection
        if not connection.model:
            chat = [name for name in connection.models if is_chat_model(name)]
            if not chat:
                raise connection.no_model(f"No model is named, and the server at {self.shown_url} lists none.")
            connection.model = chat[0]
        if connection.unlisted or (self._config.warm_up and connection.config.is_local):
            await self._probe(connection.unlisted)

    async def _probe(self, unlisted: bool) -> None:
        """Ask for one token: loads a local model, and shows whether one that isn't listed is there all the same."""
        request = ChatRequest((ChatMessage("user", "Hi"),), max_tokens=1)
        try:
            async with aclosing(self.reply(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, ChatEnd):
                        break
        except EngineError as error:
            if unlisted and error.code in ("model_not_found", "invalid_request", "invalid_base_url"):
                raise model_not_found(self._connection.endpoint) from error
            raise EngineUnavailable(error.message, code=error.code, remedy=error.remedy) from error
