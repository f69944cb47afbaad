"""Hands a request of OpenAI's text APIs on to an endpoint, and gives its answer as it comes.

Laws:
- The answer is JSON or server-sent events; anything else (a web page) is a failure, as no browser may get it from this server.
- Bytes are neither collected nor changed, except that the endpoint's secrets are blotted out, even where a piece ends in one.
- The answer begins within `first_s`; `next_s` is the longest pause in it. A document that is made as a whole may take `WHOLE_S`.
- An error's words come through, bounded and without secrets. The status comes through where the request is at fault; that the
  owner's key, model or URL is wrong is a failure of the endpoint, never the client's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final

import msgspec

from parley.engines.openai_api.answer import not_what_was_asked
from parley.engines.openai_api.client import EndpointClient
from parley.engines.openai_api.errors import Endpoint, NothingMoreCame, StatusError, failure_of, without_secrets
from parley.engines.ports import (
    EngineUnavailable,
    ForwardedHead,
    ForwardFailed,
    ForwardRefused,
    ForwardRequest,
    TextApi,
)

PATHS: Final[Mapping[TextApi, str]] = {"chat": "/chat/completions", "responses": "/responses"}

WHOLE_S: Final = 600.0
"""For an answer that is not streamed: what OpenAI's own clients wait for one."""

MAX_MESSAGE_CHARS: Final = 4096
"""Of an endpoint's error: what is wrong in a schema may take a page."""

_CLIENTS_FAULT: Final = frozenset({400, 409, 413, 415, 422})
_KINDS: Final = {"text/event-stream": True, "application/json": False}


def body_of(request: ForwardRequest, model: str, extra: Mapping[str, object]) -> bytes:
    """The JSON that is sent: the client's fields, the owner's over them, and the pipeline's model."""
    fields: dict[str, object] = {name: msgspec.Raw(text) for name, text in request.fields.items()}
    return msgspec.json.encode({**fields, **extra, "model": model})


async def forwarded(
    client: EndpointClient, path: str, body: bytes, endpoint: Endpoint, *, first_s: float, next_s: float
) -> AsyncGenerator[ForwardedHead | bytes, None]:
    """The answer to a post of `body` (see `ForwardsRequests.forward`)."""
    try:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(first_s):
                answer = await stack.enter_async_context(client.post(path, body))
                streamed = _KINDS.get(answer.content_type.partition(";")[0].strip().lower())
                if streamed is None:
                    raise not_what_was_asked(await answer.beginning(), "JSON", endpoint, "something else")
                slices = await stack.enter_async_context(aclosing(answer.slices()))
                piece: bytes | None = await anext(slices, None)
            blot = SecretBlotter(endpoint.secrets)
            yield ForwardedHead(streamed)
            while piece is not None:
                if shown := blot.feed(piece):
                    yield shown
                try:
                    async with asyncio.timeout(next_s):
                        piece = await anext(slices, None)
                except TimeoutError:
                    raise NothingMoreCame(next_s) from None
            if rest := blot.end():
                yield rest
    except StatusError as error:
        raise _status_error(error, endpoint) from None
    except Exception as error:  # noqa: BLE001 - the engine boundary
        raise failure_of(error, endpoint).error from None


def _status_error(error: StatusError, endpoint: Endpoint) -> Exception:
    if error.status in _CLIENTS_FAULT:
        said = _said(error.body)
        message = without_secrets(
            str(said.get("message") or f"The endpoint refused the request (HTTP {error.status})."), endpoint
        )
        code, param = said.get("code") or said.get("type") or "invalid_request", said.get("param")
        return ForwardRefused(
            message[:MAX_MESSAGE_CHARS],
            status=error.status,
            code=without_secrets(str(code), endpoint)[:100],
            param=without_secrets(param, endpoint)[:200] if isinstance(param, str) else None,
        )
    failure = failure_of(error, endpoint)
    known = failure.error
    if isinstance(known, EngineUnavailable):
        return known
    return ForwardFailed(known.message, known.remedy, code=known.code, retry_after_s=failure.retry_after_s or 0.0)


def _said(body: Any) -> Mapping[str, Any]:
    """The error of an answer, in whichever of the usual shapes it is."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return {"message": body} if isinstance(body, str) and not body.lstrip().startswith("<") else {}
    for found in (body.get("error"), body.get("detail")):
        if isinstance(found, dict):
            return found
        if found:
            return {"message": found}
    return body


class SecretBlotter:
    """Replaces secrets in bytes by asterisks, however the bytes are cut into pieces. `feed()` the pieces, then `end()`."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets if secret]
        self._held = b""
        """The end of what was fed, where a secret may begin in it."""

    def feed(self, piece: bytes) -> bytes:
        """What may be shown by now."""
        data = self._held + piece
        for secret in self._secrets:
            data = data.replace(secret, b"*" * len(secret))
        kept = max((_overlap(data, secret) for secret in self._secrets), default=0)
        self._held = data[len(data) - kept :]
        return data[: len(data) - kept]

    def end(self) -> bytes:
        """The rest."""
        held, self._held = self._held, b""
        return held


def _overlap(data: bytes, secret: bytes) -> int:
    """The length of the longest beginning of `secret`, less than the whole, that `data` ends in."""
    return next((n for n in range(min(len(secret) - 1, len(data)), 0, -1) if data.endswith(secret[:n])), 0)
