"""One engine's endpoint: its settings, its client while the engine is open, and which models it has.

Laws:
- A key goes to the server it was given for (see `keys`).
- A proxy from the environment is not used for servers on this machine.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from parley.engines.addresses import is_loopback
from parley.engines.openai_api.client import EndpointClient
from parley.engines.openai_api.errors import Endpoint, shown
from parley.engines.openai_api.keys import OPENAI_URL, check_url, environment_key, environment_url, read_key
from parley.engines.openai_api.models import find_models
from parley.engines.openai_api.service import Service
from parley.engines.options import OptionReader
from parley.engines.ports import EngineUnavailable

MIN_SECRET_CHARS: Final = 4
"""A shorter one is part of other words."""

WARM_UP_S: Final = 110.0
"""How long a first request may take that makes a server load its model; `parley doctor` gives an engine 120 s."""


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Where an endpoint is and how to reach it. `key_setting` names the setting that holds the key, for messages; `needs_key`: it must."""

    base_url: str = OPENAI_URL
    api_key: str = field(default="", repr=False)
    key_setting: str = ""
    needs_key: bool = False
    connect_timeout_s: float = 5.0
    headers: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def is_openai(self) -> bool:
        return is_openai(self.base_url)

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold: the key, the values of headers, and the password in the URL."""
        parts = urlsplit(self.base_url)
        found = (self.api_key, *map(str, self.headers.values()), parts.password or "", parts.username or "")
        return tuple(sorted((one for one in found if len(one) >= MIN_SECRET_CHARS), key=len, reverse=True))

    def endpoint(self, service: Service, model: str, models: Sequence[str] = ()) -> Endpoint:
        """What messages are written from."""
        return Endpoint(self.base_url, model, service, self.api_key, self.key_setting, models, self.secrets)

    def request_headers(self) -> dict[str, str]:
        """The headers of a request, the key among them.

        Raises `EngineUnavailable` where the variable for the key is not set, and for what HTTP cannot carry.
        """
        if self.needs_key and not self.api_key:
            raise EngineUnavailable(
                f"The option api_key_env names {self.key_setting}, which is not set.",
                f"Set {self.key_setting} to the key for {shown(self.base_url)}, or remove the option.",
                code="invalid_api_key",
            )
        headers = {name: str(value) for name, value in self.headers.items()}
        if self.api_key and "authorization" not in map(str.lower, headers):
            headers["authorization"] = f"Bearer {self.api_key}"
        if not all(one.isascii() and one.isprintable() for pair in headers.items() for one in pair):
            raise EngineUnavailable(
                f"The API key or a header for {shown(self.base_url)} holds characters that HTTP cannot carry.",
                code="invalid_api_key",
                remedy=f"Correct {self.key_setting} or the option headers."
                if self.api_key
                else "Correct the option headers.",
            )
        return headers

    def new_client(self, service: Service) -> EndpointClient:
        """Make a client, which blocks for a few ms. Raises as `request_headers()`."""
        return EndpointClient(
            self.base_url,
            self.request_headers(),
            service,
            connect_timeout_s=self.connect_timeout_s,
            secrets=self.secrets,
            proxies=not self.is_local,
        )


def read_endpoint(reader: OptionReader, service: Service) -> EndpointConfig:
    """Options `base_url`, `api_key`, `api_key_env` (the variable that holds it), `connect_timeout_s`, `headers`.

    What the options do not name is the environment's, as far as it is for the same server (see `keys`).
    """
    base_url = reader.text("base_url")
    key, setting = read_key(reader, service.stage)
    needs_key = bool(setting)
    if not setting:
        base_url = base_url or environment_url(service.stage, os.environ)
        key, setting = environment_key(service.stage, base_url, os.environ)
    return EndpointConfig(
        base_url=check_url(base_url or OPENAI_URL, f"{service.stage}_options.base_url", service.example_url),
        api_key=key,
        key_setting=setting,
        needs_key=needs_key,
        connect_timeout_s=reader.number("connect_timeout_s", 5, 0.01, 600),
        headers=reader.table("headers"),
    )


def is_openai(base_url: str) -> bool:
    return (urlsplit(base_url).hostname or "").endswith((".openai.com", ".openai.azure.com"))


class EndpointConnection:
    """The endpoint of one engine. `open()` it, use `client`, `close()` it.

    `model` is the model's name, "" until `open()` or the engine has found one; `models` is what the server listed, empty where it has no
    list.
    """

    def __init__(self, config: EndpointConfig, service: Service, model: str = "") -> None:
        self.config = config
        self.model = model
        self.models: tuple[str, ...] = ()
        self._service = service
        self._client: EndpointClient | None = None

    @property
    def endpoint(self) -> Endpoint:
        """What messages are written from."""
        return self.config.endpoint(self._service, self.model, self.models)

    @property
    def client(self) -> EndpointClient:
        """Raises `EngineUnavailable` (`not_open`)."""
        if self._client is None:
            raise EngineUnavailable(f"{self._service.title} is not open.", code="not_open")
        return self._client

    @property
    def unlisted(self) -> bool:
        """Whether the server lists models, and this one is not among them."""
        known = {name.removesuffix(":latest") for name in self.models}
        return bool(known) and self.model.removesuffix(":latest") not in known

    def check_settings(self) -> None:
        """Raises `EngineUnavailable` for what OpenAI would refuse, before anything is sent."""
        if not self.config.is_openai:
            return
        if not self.config.api_key:
            raise EngineUnavailable(
                f"OpenAI wants an API key for {self.model or 'its models'}.",
                code="invalid_api_key",
                remedy=f"Set {self.config.key_setting}, or name another endpoint with {self._service.base_url_flag}.",
            )
        if not self.model:
            raise self.no_model("No model is named.")

    async def open(self) -> list[str] | None:
        """Make the client and ask for the list of models, None where there is none; nothing is asked of any model.

        Raises `EngineUnavailable` with the remedy where the endpoint cannot be used; the connection is closed then.
        """
        client = self._client = await asyncio.to_thread(self.config.new_client, self._service)
        try:
            listed = await find_models(client, self.endpoint)
        except BaseException:
            await self.close()
            raise
        self.config = replace(self.config, base_url=client.base_url)
        self.models = tuple(listed or ())
        return listed

    def choose_model(self) -> None:
        """Where no model is named, take the server's only one. Raises `EngineUnavailable` where it has none or several."""
        if self.model:
            return
        if len(self.models) != 1:
            lists = f"lists {', '.join(self.models[:8])}" if self.models else "lists none"
            raise self.no_model(f"No model is named, and the server at {self.endpoint.shown_url} {lists}.")
        self.model = self.models[0]

    async def close(self) -> None:
        """Close every connection; idempotent."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def no_model(self, what: str) -> EngineUnavailable:
        """The error where no model is named and none was found."""
        return EngineUnavailable(what, code="model_not_found", remedy=f"Name one: {self._service.model_flag}")


async def models_at(config: EndpointConfig, service: Service) -> list[str] | None:
    """The models that an endpoint lists; None where it has no list. Raises `EngineUnavailable` where it cannot be used."""
    connection = EndpointConnection(config, service)
    try:
        return await connection.open()
    finally:
        await connection.close()
