"""Forwarded requests: those of OpenAI's text APIs, handed on as they are to what is behind a language model: an endpoint, or a library that
answers as an endpoint does. Optional for its engines.

Laws:
- The engine puts its own model, key and options into the request; nothing else of it changes. A field that a library would pass over is
  refused by name (`ForwardRefused`). The client's key never reaches an engine.
- No key of the engine's, and no header of the answer but what `ForwardedHead` says, comes back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from parley.engines.ports.engine import EngineError, EngineRefused

TextApi = Literal["chat", "responses"]
"""`POST /chat/completions` and `POST /responses` of OpenAI's API."""


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """One request. `fields` are those of its JSON body, each as JSON text; `stream`: it asks for server-sent events."""

    api: TextApi
    fields: Mapping[str, bytes]
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ForwardedHead:
    """The beginning of an answer, before its bytes. `streamed`: they are server-sent events, and one JSON document otherwise."""

    streamed: bool


class ForwardFailed(EngineError):
    """The endpoint failed, or takes no request now: `retry_after_s` is how long it asks to wait (0: it does not say)."""

    def __init__(self, message: str, remedy: str = "", *, code: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message, remedy, code=code)
        self.retry_after_s = retry_after_s


class ForwardRefused(EngineRefused):
    """The endpoint refuses this request with this `status` (4xx); `param` names the field, as far as it says so."""

    def __init__(self, message: str, *, status: int, code: str, param: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.param = param


@runtime_checkable
class ForwardsRequests(Protocol):
    """A language model whose endpoint speaks OpenAI's text APIs."""

    @property
    def apis(self) -> frozenset[TextApi]:
        """Those that requests can be forwarded to now."""
        ...

    def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardedHead | bytes]:
        """The answer: its head once its first bytes are there, then the bytes as they come. Closing the iterator closes the
        endpoint's request. Raises `ForwardRefused`, `ForwardFailed` and other `EngineError`s, before the head or after it."""
        ...


def text_apis(engine: object) -> frozenset[TextApi]:
    """The text APIs that requests can be forwarded to through this engine."""
    return engine.apis if isinstance(engine, ForwardsRequests) else frozenset()
