"""Who may come in: API keys, compared in constant time.

Laws: every configured key is compared each time, by digest, so that time tells nothing; a key is never logged nor echoed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from parley.server.refusals import Refusal

KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""How a browser, which cannot set headers on a WebSocket, hands over its key."""


def presented_key(authorization: str | None, subprotocols: Sequence[str] = ()) -> str | None:
    """The key in an `Authorization: Bearer` header, else in the subprotocols; None where there is none."""
    if authorization is not None:
        scheme, _, key = authorization.strip().partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None
    for subprotocol in subprotocols:
        if subprotocol.startswith(KEY_SUBPROTOCOL):
            return subprotocol.removeprefix(KEY_SUBPROTOCOL)
    return None


class KeyRing:
    """The keys that open the server; an empty ring lets everybody in."""

    __slots__ = ("_digests",)

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def refusal(self, key: str | None) -> Refusal | None:
        """Why `key` does not open the server; None where it does."""
        if not self._digests:
            return None
        if not key:
            return Refusal(
                401,
                "invalid_api_key",
                "No API key was given. Send it as 'Authorization: Bearer KEY', "
                f"or from a browser as the WebSocket subprotocol '{KEY_SUBPROTOCOL}KEY'.",
            )
        digest = _digest(key)
        fits = False
        for known in self._digests:
            fits |= hmac.compare_digest(known, digest)
        return None if fits else Refusal(401, "invalid_api_key", "The API key is not one of this server's keys.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
