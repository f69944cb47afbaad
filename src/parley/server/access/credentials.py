"""Where a request carries its credential: an API key or a client secret."""

from __future__ import annotations

from collections.abc import Sequence

KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""How a browser, which cannot set headers on a WebSocket, hands over its key."""


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
