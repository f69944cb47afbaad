"""A language model behind an OpenAI-compatible endpoint, whichever of its APIs streams the replies.

Laws:
- Closing the iterator of `reply()` (or cancelling its task) closes the HTTP request, so that the server stops computing.
- Retries happen only before anything of the reply has come (see `openai_api.retries`).
- Reasoning is never yielded. Errors name the endpoint and the remedy, never the key.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from parley.engines.llm.reply_stream import ReplyReader, TimeLimits, read_reply
from parley.engines.openai_api.connection import EndpointConfig, EndpointConnection, read_endpoint
from parley.engines.openai_api.errors import failure_of, model_not_found
from parley.engines.openai_api.forwarding import PATHS, WHOLE_S, body_of, forwarded
from parley.engines.openai_api.models import is_chat_model
from parley.engines.openai_api.retries import retried
from parley.engines.openai_api.server_events import ServerEvent
from parley.engines.openai_api.service import Service
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineUnavailable,
    ForwardedHead,
    ForwardRequest,
    TextApi,
)

logger = logging.getLogger(__name__)


class ReportingReader(ReplyReader[ServerEvent], Protocol):
    """A reader that says what of a reply it did not understand."""

    @property
    def unread(self) -> tuple[str, ...]: ...


R = TypeVar("R", bound=ReportingReader)

MAX_REPORTED: Final = 100
"""Kinds of things in the server's streams that are named in the log."""


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    """All of it optional but the model, which `open()` finds out where the server has only one."""

    endpoint: EndpointConfig
    model: str = ""
    timeout_s: float = 60.0
    token_timeout_s: float = 20.0
    temperature: float | None = None
    reasoning_effort: str = ""
    extra_body: Mapping[str, object] = field(default_factory=dict)
    images: bool = True
    audio: bool = False
    warm_up: bool = True


def read_config(model: str, reader: OptionReader, service: Service) -> OpenAIConfig:
    """The options of `read_endpoint`, `timeout_s` (to the first token), `token_timeout_s` (between tokens), `temperature`,
    `extra_body`, `images`, `warm_up` (one token at start-up, so that a local server loads the model; only asked of servers on
    this machine)."""
    return OpenAIConfig(
        model=model,
        endpoint=read_endpoint(reader, service),
        timeout_s=reader.number("timeout_s", 60, 0.01, 3600),
        token_timeout_s=reader.number("token_timeout_s", 20, 0.01, 3600),
        temperature=reader.optional_number("temperature", 0, 5),
        extra_body=reader.table("extra_body"),
        images=reader.flag("images", True),
        warm_up=reader.flag("warm_up", True),
    )


class EndpointModel(ABC, Generic[R]):
    """One model at one endpoint, shared by all sessions. A subclass streams the replies."""

    probe_tokens = 1
    """The fewest tokens of a reply that the API can be asked for."""

    api: TextApi
    """The API that streams the replies, whose fields `extra_body` has."""

    def __init__(self, config: OpenAIConfig, service: Service) -> None:
        self._config = config
        self._connection = EndpointConnection(config.endpoint, service, config.model)
        self._service = service
        self._reported: set[str] = set()

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
        endpoint = self._connection.endpoint
        attempts = retried(
            self._service.title, lambda: self._stream(request), lambda error: failure_of(error, endpoint)
        )
        async with aclosing(attempts) as events:
            async for event in events:
                yield event

    @property
    def apis(self) -> frozenset[TextApi]:
        """OpenAI's server has both; of others, one is known."""
        return frozenset(PATHS) if self._config.endpoint.is_openai else frozenset({self.api})

    def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardedHead | bytes]:
        """Hand a request on (see `ForwardsRequests`)."""
        config, connection = self._config, self._connection
        body = body_of(request, self.model, config.extra_body if request.api == self.api else {})
        return forwarded(
            connection.client,
            PATHS[request.api],
            body,
            connection.endpoint,
            first_s=config.timeout_s if request.stream else WHOLE_S,
            next_s=config.token_timeout_s,
        )

    @abstractmethod
    def _reader(self, request: ChatRequest) -> R:
        """What reads the events of one reply."""

    @abstractmethod
    async def _send(self, request: ChatRequest, stack: AsyncExitStack) -> AsyncGenerator[ServerEvent, None]:
        """Begin the stream of one reply, which `stack` closes; raises anything."""

    def _learn(self, event: ChatEvent, reader: R) -> None:
        """What an event of a reply tells about the next reply."""

    async def _stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """One HTTP request for one reply; raises anything."""
        reader = self._reader(request)
        limits = TimeLimits(self._config.timeout_s, self._config.token_timeout_s)
        try:
            async with aclosing(read_reply(partial(self._send, request), reader, limits)) as events:
                async for event in events:
                    self._learn(event, reader)
                    yield event
        finally:
            self._report(reader.unread)

    def _report(self, unread: Iterable[str]) -> None:
        """Log what of a reply was not understood; each kind once, as every reply may hold it."""
        for what in unread:
            if what not in self._reported and len(self._reported) < MAX_REPORTED:
                self._reported.add(what)
                logger.warning("The language model at %s sent what Parley does not read: %s", self.shown_url, what)

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
        request = ChatRequest((ChatMessage("user", "Hi"),), max_tokens=self.probe_tokens)
        try:
            async with aclosing(self.reply(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, ChatEnd):
                        break
        except EngineError as error:
            if unlisted and error.code in ("model_not_found", "invalid_request", "invalid_base_url"):
                raise model_not_found(self._connection.endpoint) from error
            raise EngineUnavailable(error.message, code=error.code, remedy=error.remedy) from error
