"""A language model of Ollama through its own API, which sets the size of the context and says when a prompt does not fit.

Laws:
- A prompt is never cut silently: each request sets `num_ctx` (one value while the engine is open, as another one reloads the model), and
  asks Ollama to refuse a longer prompt (`truncate`, `shift`). `notice` says so where an Ollama is too old to be asked.
- Closing the iterator of `reply()` (or cancelling its task) closes the HTTP request, so that Ollama stops computing.
- Retries happen only before anything of the reply has come (see `openai_api.retries`).
- Thinking is off unless it is asked for, and never yielded.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Final

from parley.engines.llm.ollama_errors import no_thinking, ollama_failure
from parley.engines.llm.ollama_request import ModelTraits, Think, request_body, traits_of
from parley.engines.llm.ollama_stream import LineReader, OllamaReader
from parley.engines.llm.reply_stream import TimeLimits, read_reply
from parley.engines.openai_api.client import EndpointClient
from parley.engines.openai_api.connection import EndpointConfig
from parley.engines.openai_api.errors import Endpoint, Failure
from parley.engines.openai_api.forwarding import PATHS, WHOLE_S, body_of, forwarded
from parley.engines.openai_api.keys import check_url, key_setting, read_key
from parley.engines.openai_api.models import is_chat_model, models_of
from parley.engines.openai_api.retries import retried
from parley.engines.openai_api.service import Service
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChatEvent,
    ChatRequest,
    EngineError,
    EngineInfo,
    EngineUnavailable,
    ForwardedHead,
    ForwardRequest,
    TextApi,
)

logger = logging.getLogger(__name__)

OLLAMA: Final = Service(
    stage="llm",
    title="Ollama",
    api="Ollama API",
    answer="reply",
    input="conversation",
    first="the first token",
    idle_option="token_timeout_s",
    example_url="http://127.0.0.1:11434",
    too_long="Raise num_ctx in llm_options, or lower the pipeline's context_tokens.",
    engine="ollama",
)

OLLAMA_URL: Final = "http://127.0.0.1:11434"

DEFAULT_NUM_CTX: Final = 16_384
"""Twice the pipeline's default `context_tokens`: the core counts tokens roughly, and the reply stands in the same window."""

CHECK_TIMEOUT_S: Final = 5.0
"""For the version, the list of models and the description of one, at start-up."""

LOAD_TIMEOUT_S: Final = 300.0
"""For loading a model at start-up: tens of GB from a disk."""

REFUSES_SINCE: Final = (0, 13)
"""The version from which `truncate` and `shift` are known to be read by `/api/chat`."""

RESPONSES_SINCE: Final = (0, 13, 3)
"""The version from which Ollama has `/v1/responses`."""

_DURATION: Final = re.compile(r"-?(\d+(\.\d+)?(ms|s|m|h))+")


@dataclass(frozen=True, slots=True)
class OllamaConfig:
    """`num_ctx` None: see `OllamaModel`. `keep_alive` None leaves it to Ollama."""

    endpoint: EndpointConfig
    model: str = ""
    num_ctx: int | None = None
    keep_alive: str | float | None = None
    think: Think = False
    timeout_s: float = 60.0
    token_timeout_s: float = 20.0
    temperature: float | None = None
    extra_body: Mapping[str, object] = field(default_factory=dict)
    warm_up: bool = True


def create(model: str, options: Mapping[str, object]) -> OllamaModel:
    """`ollama:MODEL`; options: see `read_config`."""
    reader = OptionReader("llm ollama", options)
    config = read_config(model, reader)
    reader.close()
    return OllamaModel(config)


def read_config(model: str, reader: OptionReader) -> OllamaConfig:
    """Options `base_url`, `num_ctx` (tokens of prompt and reply together), `keep_alive` (seconds, or text such as "30m"; below 0:
    for ever), `think` (false, true, "low", "medium", "high"), `temperature`, `timeout_s` (to the first token), `token_timeout_s` (between
    tokens), `connect_timeout_s`, `api_key` or `api_key_env` (for a server behind a proxy), `headers`, `extra_body`, `warm_up` (load
    the model at start-up)."""
    key, setting = read_key(reader, "llm")
    base_url = reader.text("base_url") or OLLAMA_URL
    base_url = check_url(base_url, "llm_options.base_url", OLLAMA.example_url).removesuffix("/v1")
    num_ctx = reader.optional_number("num_ctx", 256, 10_000_000)
    return OllamaConfig(
        endpoint=EndpointConfig(
            base_url=base_url if "://" in base_url else f"http://{base_url}",
            api_key=key,
            key_setting=setting or key_setting("llm"),
            needs_key=bool(setting),
            connect_timeout_s=reader.number("connect_timeout_s", 5, 0.01, 600),
            headers=reader.table("headers"),
        ),
        model=model,
        num_ctx=None if num_ctx is None else int(num_ctx),
        keep_alive=_keep_alive(reader.scalar("keep_alive")),
        think=_think(reader.scalar("think", "false")),
        timeout_s=reader.number("timeout_s", 60, 0.01, 3600),
        token_timeout_s=reader.number("token_timeout_s", 20, 0.01, 3600),
        temperature=reader.optional_number("temperature", 0, 5),
        extra_body=reader.table("extra_body"),
        warm_up=reader.flag("warm_up", True),
    )


class OllamaModel:
    """One model of one Ollama, shared by all sessions.

    Without the option `num_ctx`, the context is what the model's own Modelfile sets, else `DEFAULT_NUM_CTX`, and never more than the
    model was made for.
    """

    def __init__(self, config: OllamaConfig) -> None:
        self._config = config
        self._model = config.model
        self._models: tuple[str, ...] = ()
        self._client: EndpointClient | None = None
        self._traits = ModelTraits()
        self._num_ctx = config.num_ctx or DEFAULT_NUM_CTX
        self._version: tuple[int, ...] = ()
        self.notice = ""
        """What the owner should know once the engine is open."""

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="llm",
            model=self.model,
            name="ollama",
            summary=f"Ollama's own API: {self.model or 'a model'} at {self.shown_url}.",
            needs=("httpx2",),
            images=self._traits.sees,
            tools=not self._traits.lacks("tools"),
        )

    @property
    def model(self) -> str:
        return self._model

    @property
    def shown_url(self) -> str:
        """The address without any password in it."""
        return self._endpoint().shown_url

    @property
    def num_ctx(self) -> int:
        """Tokens of the prompt and the reply together."""
        return self._num_ctx

    async def open(self) -> None:
        """Check the server, the model and the options, and load the model. Raises `EngineUnavailable` with the remedy."""
        try:
            client = self._client = await asyncio.to_thread(self._config.endpoint.new_client, OLLAMA)
            await self._check(client)
            if self._config.warm_up:
                await self._load(client)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Stream one reply (see the port). Raises `EngineError`s: those of the port, `out_of_memory`, `server_overloaded`,
        `tools_unsupported`, `tool_choice_unsupported`, `images_unsupported`."""
        async with aclosing(retried(OLLAMA.title, lambda: self._stream(request), self._failure)) as events:
            async for event in events:
                yield event

    @property
    def apis(self) -> frozenset[TextApi]:
        """Ollama's own OpenAI-compatible ones."""
        return frozenset(PATHS) if self._version >= RESPONSES_SINCE else frozenset({"chat"})

    def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardedHead | bytes]:
        """Hand a request on (see `ForwardsRequests`). These APIs of Ollama's take no `num_ctx`: its context is the one that Ollama or
        the Modelfile sets, and `extra_body`, which has fields of Ollama's own API, is left out."""
        config, client = self._config, self._client
        if client is None:
            raise EngineUnavailable("Ollama is not open.", code="not_open")
        return forwarded(
            client,
            "/v1" + PATHS[request.api],
            body_of(request, self.model, {}),
            self._endpoint(),
            first_s=config.timeout_s if request.stream else WHOLE_S,
            next_s=config.token_timeout_s,
        )

    def _stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        config, client = self._config, self._client
        if client is None:
            raise EngineUnavailable("Ollama is not open.", code="not_open")
        if request.temperature is None and config.temperature is not None:
            request = replace(request, temperature=config.temperature)
        body = request_body(request, self.model, self._traits, self._num_ctx, config.think)
        body = self._with_owner_options(body)

        async def begin(stack: AsyncExitStack) -> AsyncGenerator[bytes, None]:
            return await stack.enter_async_context(aclosing(_lines(client, body)))

        limits = TimeLimits(config.timeout_s, config.token_timeout_s)
        return read_reply(begin, OllamaReader(request), limits)

    def _with_owner_options(self, body: dict[str, object]) -> dict[str, object]:
        """`body` with `keep_alive` and `extra_body`, whose `options` are added to those of the request."""
        config = self._config
        if config.keep_alive is not None:
            body["keep_alive"] = config.keep_alive
        extra = dict(config.extra_body)
        options, own = extra.pop("options", None), body.get("options")
        if isinstance(options, Mapping) and isinstance(own, Mapping):
            body["options"] = {**own, **options}
        return body | extra

    def _failure(self, error: BaseException) -> Failure:
        return ollama_failure(error, self._endpoint(), self._num_ctx)

    def _endpoint(self) -> Endpoint:
        """What messages are written from."""
        return self._config.endpoint.endpoint(OLLAMA, self._model, self._models)

    # --- opening ---

    async def _check(self, client: EndpointClient) -> None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                version = _version(await client.get_json("/api/version"))
                self._models = tuple(models_of(await client.get_json("/api/tags")) or ())
                self._model = self._model or self._first_model()
                shown = await _posted(client, "/api/show", {"model": self._model})
        except TimeoutError:
            raise EngineUnavailable(
                f"Ollama at {self.shown_url} did not describe its models within {CHECK_TIMEOUT_S:g} s.",
                "Is it overloaded, or is --llm-base-url something else?",
                code="timeout",
            ) from None
        except Exception as error:  # noqa: BLE001 - the engine boundary
            raise self._unavailable(error) from None
        self._set_up(traits_of(shown), version)

    def _set_up(self, traits: ModelTraits, version: tuple[int, ...]) -> None:
        config, most = self._config, traits.context_length
        if config.num_ctx is not None and most is not None and config.num_ctx > most:
            raise EngineUnavailable(
                f"The model {self.model!r} of Ollama takes {most} tokens, and num_ctx is {config.num_ctx}.",
                f"Set num_ctx to at most {most}.",
                code="invalid_engine_option",
            )
        if config.think and traits.lacks("thinking"):
            raise no_thinking(self.model)
        wanted = config.num_ctx or traits.own_num_ctx or DEFAULT_NUM_CTX
        self._version = version
        self._traits, self._num_ctx = traits, min(wanted, most or wanted)
        self.notice = f"The language model is {self.model} of Ollama at {self.shown_url}, with a context of {self._num_ctx} tokens."
        if version < REFUSES_SINCE:
            found = ".".join(map(str, version))
            self.notice += (
                f" Ollama {found} cuts a longer conversation without saying so: update it, or keep the pipeline's "
                f"context_tokens well below {self._num_ctx}."
            )
            logger.warning("Ollama %s cuts what exceeds num_ctx (%d) silently; update it.", found, self._num_ctx)

    def _first_model(self) -> str:
        chat = [name for name in self._models if is_chat_model(name)]
        if not chat:
            raise EngineUnavailable(
                f"No model is named, and Ollama at {self.shown_url} has none.",
                "Get one, such as `ollama pull qwen3:4b-instruct`, and name it: --llm ollama:qwen3:4b-instruct",
                code="model_not_found",
            )
        return chat[0]

    async def _load(self, client: EndpointClient) -> None:
        """Load the model with the context it will have: a request without messages does."""
        body: dict[str, object] = {"model": self.model, "messages": [], "options": {"num_ctx": self._num_ctx}}
        body = {**self._with_owner_options(body), "stream": False}
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_S):
                await _posted(client, "/api/chat", body)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> EngineUnavailable:
        failed: EngineError = self._failure(error).error
        return EngineUnavailable.of(failed)


async def _posted(client: EndpointClient, path: str, body: Mapping[str, object]) -> object:
    async with client.post(path, body) as answer:
        return await answer.json()


async def _lines(client: EndpointClient, body: Mapping[str, object]) -> AsyncGenerator[bytes, None]:
    """The lines of one reply."""
    reader = LineReader()
    async with client.post("/api/chat", body) as answer, aclosing(answer.slices()) as slices:
        async for piece in slices:
            for line in reader.feed(piece):
                yield line
        for line in reader.end():
            yield line


def _version(answer: object) -> tuple[int, ...]:
    """The numbers of a version; a development build ("0.0.0") counts as new. Raises `EngineUnavailable` for no Ollama's."""
    text = answer.get("version") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        raise EngineUnavailable("no version", code="invalid_base_url")
    numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
    return REFUSES_SINCE if not any(numbers) else numbers


def _keep_alive(text: str) -> str | float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        if _DURATION.fullmatch(text):
            return text
    raise ValueError(f"llm ollama: keep_alive must be seconds, or a time such as 30m or 1h30m, not {text!r}.")


def _think(text: str) -> Think:
    match text.lower():
        case "false" | "no" | "off" | "0":
            return False
        case "true" | "yes" | "on" | "1":
            return True
        case "low" | "medium" | "high" as level:
            return level
        case _:
            raise ValueError(f"llm ollama: think must be false, true, low, medium or high, not {text!r}.")
