"""Chooses a language model: the configured endpoint, else a server found on this machine, else a model that `parley models pull` put here,
else the built-in responder.

Laws:
- What was configured is used or fails with its remedy: a wrong key or URL is never papered over by the responder.
- Looking for local servers takes at most `PROBE_TIMEOUT_S`, all ports at once; Parley's own server is never taken for a model.
- Ollama is asked through its own API, which cuts no conversation silently; other servers, and Ollama where `extra_body` is set, through the
  chat-completions API.
- `notice` says in one sentence what was chosen, and how to change it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from parley.engines.llm import llama, llama_files
from parley.engines.llm.endpoint_model import OpenAIConfig
from parley.engines.llm.llama import LlamaModel
from parley.engines.llm.ollama import OllamaConfig, OllamaModel
from parley.engines.llm.openai import CHAT, OpenAIModel, read_chat_config
from parley.engines.llm.responder import HOW_TO_CONNECT, Responder
from parley.engines.openai_api.client import EndpointClient
from parley.engines.openai_api.errors import models_named
from parley.engines.openai_api.models import is_chat_model, models_of
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChatEvent,
    ChatRequest,
    EngineError,
    EngineInfo,
    EngineUnavailable,
    ForwardedHead,
    ForwardRequest,
    ForwardsRequests,
    TextApi,
    text_apis,
)

logger = logging.getLogger(__name__)

USUAL_PORTS: Final = {11434: "Ollama", 1234: "LM Studio", 8080: "llama.cpp", 8000: "vLLM"}
PROBE_TIMEOUT_S: Final = 0.7
"""A server on this machine answers within a few ms unless it is busy; start-up should not wait longer for absent ones."""

_CHANGE: Final = "Choose another with --llm openai:MODEL and --llm-base-url."


def create(model: str, options: Mapping[str, object]) -> AutoModel:
    """`auto`; the options of `openai`, and `ports` (local ports to look at, separated by commas)."""
    reader = OptionReader("llm auto", options)
    ports = _ports(reader.text("ports"))
    configured = bool(options.get("base_url") or os.environ.get("PARLEY_LLM_BASE_URL"))
    config = read_chat_config(model, reader)
    reader.close()
    return AutoModel(config, configured, ports)


def _ports(text: str) -> Mapping[int, str]:
    if not text:
        return USUAL_PORTS
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"llm auto: ports must be numbers separated by commas, not {text!r}.") from None
    return {number: USUAL_PORTS.get(number, f"the server on port {number}") for number in numbers}


@dataclass(frozen=True, slots=True)
class LocalServer:
    """An OpenAI-compatible server found on this machine, and the chat models it lists. `is_ollama`: it has Ollama's own API too."""

    name: str
    base_url: str
    models: tuple[str, ...]
    is_ollama: bool = False


class AutoModel:
    """A `LanguageModel` that stands for the one it chose when it was opened."""

    def __init__(self, config: OpenAIConfig, configured: bool, ports: Mapping[int, str] = USUAL_PORTS) -> None:
        self._config = config
        self._configured = configured
        self._ports = ports
        self._chosen: OpenAIModel | OllamaModel | LlamaModel | Responder | None = None
        self._failures: list[str] = []
        self._local: list[LocalServer] = []
        self.notice = ""

    @property
    def info(self) -> EngineInfo:
        if self._chosen is not None:
            return self._chosen.info
        return EngineInfo(
            stage="llm",
            name="auto",
            summary="The configured endpoint, else a local server on its usual port, else a model in the folder of models, else the "
            "built-in responder.",
            needs=("httpx2",),
        )

    @property
    def makeshift(self) -> bool:
        """Whether the built-in responder stands in for a language model."""
        return isinstance(self._chosen, Responder)

    async def open(self) -> None:
        self._failures.clear()
        if self._configured or (self._config.model and self._config.endpoint.api_key):
            self._chosen = await self._open_configured()
        else:
            self._chosen = await self._open_local() or await self._open_embedded() or self._responder()

    async def close(self) -> None:
        chosen, self._chosen = self._chosen, None
        if chosen is not None:
            await chosen.close()

    def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        if self._chosen is None:
            raise EngineUnavailable("The language model is not open.", code="not_open")
        return self._chosen.reply(request)

    @property
    def apis(self) -> frozenset[TextApi]:
        """Those of the model that was chosen."""
        return text_apis(self._chosen)

    def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardedHead | bytes]:
        """Hand a request on (see `ForwardsRequests`)."""
        if not isinstance(self._chosen, ForwardsRequests):
            raise EngineUnavailable("The language model forwards no requests.", code="not_open")
        return self._chosen.forward(request)

    async def _open_configured(self) -> OpenAIModel:
        engine = OpenAIModel(self._config)
        await engine.open()
        self.notice = f"The language model is {engine.model} at {engine.shown_url}. {_CHANGE}"
        return engine

    async def _open_local(self) -> OpenAIModel | OllamaModel | None:
        self._local = await find_local_servers(self._ports)
        for server in self._local:
            wanted = self._config.model
            if wanted and wanted.removesuffix(":latest") not in {
                name.removesuffix(":latest") for name in server.models
            }:
                continue
            engine = self._engine_at(server, wanted or server.models[0])
            try:
                await engine.open()
            except EngineError as error:
                logger.warning("%s was found, but cannot be used: %s", server.name, error)
                self._failures.append(f"{server.name} was found, but cannot be used: {error.message}")
                continue
            if isinstance(engine, OllamaModel):
                self.notice = f"{engine.notice} Choose another with --llm ollama:MODEL."
            else:
                self.notice = f"The language model is {engine.model} of {server.name} on this machine. {_CHANGE}"
            return engine
        return None

    def _engine_at(self, server: LocalServer, model: str) -> OpenAIModel | OllamaModel:
        config = self._config
        # (a key in the environment is for another server)
        endpoint = replace(config.endpoint, base_url=server.base_url, api_key="")
        if not server.is_ollama or config.extra_body:
            return OpenAIModel(replace(config, endpoint=endpoint, model=model))
        return OllamaModel(
            OllamaConfig(
                endpoint=replace(endpoint, base_url=server.base_url.removesuffix("/v1")),
                model=model,
                timeout_s=config.timeout_s,
                token_timeout_s=config.token_timeout_s,
                temperature=config.temperature,
                warm_up=config.warm_up,
            )
        )

    async def _open_embedded(self) -> LlamaModel | None:
        """The largest model for llama.cpp in the folder of models. One that was named is an endpoint's."""
        here = () if self._config.model else await asyncio.to_thread(llama_files.installed_models)
        for model in here:
            engine = llama.create(model, {"temperature": self._config.temperature})
            try:
                await engine.open()
            except EngineError as error:
                logger.warning("llama:%s is here, but cannot be used: %s", model, error)
                self._failures.append(f"llama:{model} is here, but cannot be used: {error}")
                continue
            self.notice = (
                f"{engine.notice} Choose another with --llm llama:PATH.gguf, or --llm openai:MODEL and --llm-base-url."
            )
            return engine
        return None

    def _responder(self) -> Responder:
        if self._config.model:
            wanted = self._config.model
            there = "; ".join(f"{server.name} {models_named(wanted, server.models)}" for server in self._local)
            raise EngineUnavailable(
                f"No server with the model {wanted!r} was found on this machine, and no key is set."
                + (f" {there}" if there else ""),
                code="model_not_found",
                remedy="Name its endpoint: --llm-base-url, or set OPENAI_API_KEY for OpenAI's.",
            )
        key = os.environ.get("OPENAI_API_KEY") or self._config.endpoint.api_key
        how = "An API key is set, but no model: name one with --llm openai:MODEL." if key else HOW_TO_CONNECT
        self.notice = " ".join(["No language model was found: the built-in responder answers.", *self._failures, how])
        return Responder()


async def find_local_servers(ports: Mapping[int, str]) -> list[LocalServer]:
    """The servers on this machine's `ports` that list a chat model, in the order of the ports; Parley's own left out."""
    found = await asyncio.gather(*(_probe(port, name) for port, name in ports.items()))
    return [server for server in found if server is not None]


async def _probe(port: int, name: str) -> LocalServer | None:
    root = f"http://127.0.0.1:{port}"
    client = await asyncio.to_thread(
        lambda: EndpointClient(root, {}, CHAT, connect_timeout_s=PROBE_TIMEOUT_S, proxies=False)
    )
    try:
        health, answer, version = await asyncio.gather(
            _get_json(client, "/health"), _get_json(client, "/v1/models"), _get_json(client, "/api/version")
        )
    finally:
        await client.close()
    if isinstance(health, dict) and "parley" in health:
        return None
    models = tuple(model for model in models_of(answer) or () if is_chat_model(model))
    is_ollama = isinstance(version, dict) and isinstance(version.get("version"), str)
    return LocalServer(name, f"{root}/v1", models, is_ollama) if models else None


async def _get_json(client: EndpointClient, path: str) -> object:
    """The JSON at a path; None for whatever else there may be."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await client.get_json(path)
    except Exception:  # noqa: BLE001 - a port of this machine may answer anything
        return None
