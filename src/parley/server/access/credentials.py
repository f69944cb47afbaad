"""Where a request carries its credential: an API key or a client secret."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers

KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""Prefix of the subprotocol in which a browser, which cannot set headers on a WebSocket, sends its key."""


def key_of_request(headers: Headers) -> str | None:
    """The key in an HTTP request's `Authorization: Bearer` header. Several lines are one list (RFC 9110, section 5.3), so two keys make
    one that is unknown."""
    return presented_key(", ".join(headers.getlist("authorization")))


def presented_key(authorization: str | None, subprotocols: Sequence[str] = ()) -> str | None:
    """The key in an `Authorization: Bearer` header, else in the subprotocols; None where there is none.

    Other schemes are for proxies: a browser repeats its Basic credentials with each request.
    """
    scheme, _, key = (authorization or "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    for subprotocol in subprotocols:
        if subprotocol.startswith(KEY_SUBPROTOCOL):
            return subprotocol.removeprefix(KEY_SUBPROTOCOL)
    return None
