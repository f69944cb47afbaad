"""A language model behind any OpenAI-compatible chat endpoint: OpenAI, Ollama, vLLM, llama.cpp, LM Studio and their like.

Laws:
- Closing the iterator of `reply()` (or cancelling its task) closes the HTTP request, so that the server stops computing.
- Retries happen only before anything of the reply has come: at most `MAX_RETRIES`, after 0.25 and 0.5 s or what the server asks for
  if that is short. What the server refuses in a request (`stream_options`, the name of the token limit) is learnt once.
- Time limits run on what the model makes, not on bytes: signs of life and empty pieces renew none.
- Reasoning is never yielded. Errors name the endpoint and the remedy, never the key.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from parley.engines.addresses import is_loopback
from parley.engines.llm.openai_errors import (
    Endpoint,
    Failure,
    NothingMoreCame,
    StatusError,
    failure_of,
    model_not_found,
)
from parley.engines.llm.openai_http import EndpointClient
from parley.engines.llm.openai_models import find_models, is_chat_model
from parley.engines.llm.openai_request import ChatDialect, request_body
from parley.engines.llm.openai_stream import StreamReader
from parley.engines.llm.server_events import ServerEvent
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

OPENAI_URL: Final = "https://api.openai.com/v1"
MAX_RETRIES: Final = 2
FIRST_PAUSE_S: Final = 0.25
MAX_PAUSE_S: Final = 2.0
"""A server that asks for a longer pause gets none: a user is waiting for the answer, and an error reaches them sooner."""

USAGE_WAIT_S: Final = 1.0
"""How long the usage may lag behind the end of the text."""

MAX_REPORTED: Final = 100
"""Kinds of things in the server's streams that are named in the log."""

_UNOPENED_REASONERS: Final = ("deepseek-r1", "deepseek-reasoner", "qwq", "-thinking")
"""Models whose templates are known to swallow the opening <think>. The first reply shows whether that is so."""


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    """All of it optional but the model, which `open()` finds out where the server has only one."""

    model: str = ""
    base_url: str = OPENAI_URL
    api_key: str = field(default="", repr=False)
    key_setting: str = "PARLEY_LLM_API_KEY"
    connect_timeout_s: float = 5.0
    timeout_s: float = 60.0
    token_timeout_s: float = 20.0
    temperature: float | None = None
    extra_body: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, object] = field(default_factory=dict, repr=False)
    images: bool = True
    warm_up: bool = True


def create(model: str, options: Mapping[str, object]) -> OpenAIModel:
    """`openai:MODEL`; options: see `read_config`."""
    reader = OptionReader("llm openai", options)
    config = read_config(model, reader)
    reader.close()
    return OpenAIModel(config)


def read_config(model: str, reader: OptionReader) -> OpenAIConfig:
    """Options `base_url`, `api_key`, `api_key_env` (the variable that holds it), `connect_timeout_s`, `timeout_s` (to the first
    token), `token_timeout_s` (between tokens), `temperature`, `extra_body`, `headers`, `images`, `warm_up` (one token at
    start-up, so that a local server loads the model; only asked of servers on this machine)."""
    base_url = (reader.text("base_url") or os.environ.get("PARLEY_LLM_BASE_URL", "") or OPENAI_URL).rstrip("/")
    key, variable = reader.text("api_key"), reader.text("api_key_env")
    # OpenAI's own key goes to OpenAI only.
    setting = variable or ("OPENAI_API_KEY" if is_openai(base_url) else "PARLEY_LLM_API_KEY")
    if not key:
        key = os.environ.get(setting, "") or ("" if variable else os.environ.get("PARLEY_LLM_API_KEY", ""))
    return OpenAIConfig(
        model=model,
        base_url=base_url,
        api_key=key.strip(),
        key_setting=setting,
        connect_timeout_s=reader.number("connect_timeout_s", 5, 0.01, 600),
        timeout_s=reader.number("timeout_s", 60, 0.01, 3600),
        token_timeout_s=reader.number("token_timeout_s", 20, 0.01, 3600),
        temperature=reader.optional_number("temperature", 0, 5),
        extra_body=reader.table("extra_body"),
        headers=reader.table("headers"),
        images=reader.flag("images", True),
        warm_up=reader.flag("warm_up", True),
    )


def is_openai(base_url: str) -> bool:
    return (urlsplit(base_url).hostname or "").endswith((".openai.com", ".openai.azure.com"))


class OpenAIModel:
    """One model at one endpoint, shared by all sessions."""

    def __init__(self, config: OpenAIConfig) -> None:
        self._config = config
        self._model = config.model
        self._client: EndpointClient | None = None
        self._models: tuple[str, ...] = ()
        self._dialect = ChatDialect("max_completion_tokens" if is_openai(config.base_url) else "max_tokens")
        self._reasoning_opened = any(name in config.model.lower() for name in _UNOPENED_REASONERS)
        self._reasoning_seen = False
        self._reported: set[str] = set()

    @property
    def info(self) -> EngineInfo:
        endpoint = self._endpoint()
        named = f"{self._model or 'a model'} at {endpoint.shown_url}"
        return EngineInfo(
            stage="llm",
            name="openai",
            summary=f"Any OpenAI-compatible chat endpoint: {named}.",
            needs=("httpx2",),
            images=self._config.images,
        )

    @property
    def model(self) -> str:
        return self._model

    @property
    def shown_url(self) -> str:
        """The endpoint without any password in it."""
        return self._endpoint().shown_url

    @property
    def models(self) -> tuple[str, ...]:
        """What the server listed when the engine was opened (empty where it has no list)."""
        return self._models

    async def open(self) -> None:
        """Connect, check the key, the URL and the model. Raises `EngineUnavailable` with the remedy."""
        if is_openai(self._config.base_url):
            if not self._config.api_key:
                raise EngineUnavailable(
                    f"OpenAI wants an API key for {self._model or 'its models'}.",
                    code="invalid_api_key",
                    remedy=f"Set {self._config.key_setting}, or name another endpoint with --llm-base-url.",
                )
            if not self._model:
                raise EngineUnavailable(
                    "No model is named.", code="model_not_found", remedy="Name one: --llm openai:MODEL"
                )
        try:
            await self._check(await self.connect())
        except BaseException:
            await self.close()
            raise

    async def connect(self) -> list[str] | None:
        """The part of `open()` that asks for the list of models, and nothing of any model. Call `close()` after it."""
        client = self._client = await asyncio.to_thread(self._new_client)
        listed = await find_models(client, self._endpoint())
        self._config = replace(self._config, base_url=client.base_url)
        return listed

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Stream one reply (see the port). Raises `EngineError`s with the codes listed there."""
        pause_s = FIRST_PAUSE_S
        for attempt in range(MAX_RETRIES + 1):
            begun = False
            try:
                async with aclosing(self._stream(request)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except Exception as error:  # noqa: BLE001 - the engine boundary: everything becomes an EngineError
                failure = failure_of(error, self._endpoint())
                if begun or not self._may_retry(failure, attempt):
                    raise failure.error from None  # (the cause may repeat a key)
                wait_s = max(pause_s, failure.retry_after_s or 0)
                logger.info("Asking the language model again in %.2f s: %s", wait_s, failure.error.message)
            await asyncio.sleep(wait_s)
            pause_s *= 2

    def _may_retry(self, failure: Failure, attempt: int) -> bool:
        after = failure.retry_after_s
        return attempt < MAX_RETRIES and after is not None and after <= MAX_PAUSE_S

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
        if self._client is None:
            raise EngineUnavailable("The language model is not open.", code="not_open")
        dialect = self._dialect
        tried = {dialect}
        while True:
            body: dict[str, object] = {**request_body(request, self._model, dialect), "stream": True}
            if request.temperature is None and self._config.temperature is not None:
                body["temperature"] = self._config.temperature
            body |= self._config.extra_body
            try:
                events = await stack.enter_async_context(self._client.stream("/chat/completions", body))
            except StatusError as error:
                changed = dialect.without(str(error.body)) if error.status in (400, 422) else None
                if changed is None or changed in tried:
                    raise
                dialect = changed
                tried.add(dialect)
            else:
                self._dialect = dialect
                return events

    def _new_client(self) -> EndpointClient:
        config = self._config
        headers = {name: str(value) for name, value in config.headers.items()}
        if config.api_key and "authorization" not in map(str.lower, headers):
            headers["authorization"] = f"Bearer {config.api_key}"
        try:
            return EndpointClient(
                config.base_url,
                headers,
                connect_timeout_s=config.connect_timeout_s,
                key=config.api_key,
                # A proxy from the environment is not for servers on this machine.
                proxies=not is_loopback(urlsplit(config.base_url).hostname or ""),
            )
        except UnicodeEncodeError:
            raise EngineUnavailable(
                f"The API key or a header for {self.shown_url} holds characters that HTTP cannot carry.",
                code="invalid_api_key",
                remedy=f"Correct {config.key_setting} or the option headers.",
            ) from None

    async def _check(self, listed: list[str] | None) -> None:
        self._models = tuple(listed or ())
        if not self._model:
            chat = [name for name in self._models if is_chat_model(name)]
            if not chat:
                raise EngineUnavailable(
                    f"No model is named, and the server at {self._endpoint().shown_url} lists none.",
                    code="model_not_found",
                    remedy="Name one: --llm openai:MODEL",
                )
            self._model = chat[0]
        known = {name.removesuffix(":latest") for name in self._models}
        unlisted = bool(known) and self._model.removesuffix(":latest") not in known
        if unlisted or (self._config.warm_up and is_loopback(urlsplit(self._config.base_url).hostname or "")):
            await self._probe(unlisted)

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
                raise model_not_found(self._endpoint()) from error
            raise EngineUnavailable(error.message, code=error.code, remedy=error.remedy) from error

    def _endpoint(self) -> Endpoint:
        config = self._config
        return Endpoint(config.base_url, self._model, config.api_key, config.key_setting, self._models)


async def models_at(config: OpenAIConfig) -> list[str] | None:
    """The models that an endpoint lists; None where it has no list. Raises `EngineUnavailable` where it cannot be used."""
    engine = OpenAIModel(config)
    try:
        return await engine.connect()
    finally:
        await engine.close()
