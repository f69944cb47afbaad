"""Which web pages may talk to the server: those of this machine, its own page, and those its owner allows.

A page is the server's own where its origin is the `Host` that its request was sent to, or `server.public_url`.

Laws: a request without `Origin` does not come from a browser and is not judged here. A foreign page can make its name point at this machine
(DNS rebinding) and is then its own page too. So a `Host` that is a name counts only where a key is required, which such a page does not
have; an IP address cannot be made to point elsewhere, and counts without a key.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable

from parley.server.refusals import Refusal

LOOPBACK = r"https?://(localhost|([a-z0-9-]+\.)+localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?"

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
"""Browsers leave them out of `Origin`; a `Host` header may have them."""


class OriginRule:
    """`pattern` matches (in full) every allowed origin but the own page's; `*` in the list allows all.

    `public_url` is the address that clients use ("": none). `key_required` says whether this server requires a key now; `tls` that it
    ends TLS itself, so that its own page is one of https.
    """

    __slots__ = ("_compiled", "_key_required", "_schemes", "everyone", "pattern")

    def __init__(
        self,
        allowed: Iterable[str],
        public_url: str = "",
        *,
        tls: bool = False,
        key_required: Callable[[], bool] = lambda: False,
    ) -> None:
        allowed = (*allowed, public_url) if public_url else tuple(allowed)
        self.everyone = "*" in allowed
        named = [re.escape(origin.rstrip("/").lower()) for origin in allowed]
        self.pattern = ".*" if self.everyone else "(?i:" + "|".join([LOOPBACK, *named]) + ")"
        self._compiled = re.compile(self.pattern)
        self._key_required = key_required
        # Without TLS here, a proxy may have ended it: its page is one of https too.
        self._schemes = ("https",) if tls else ("http", "https")

    def refusal(self, origin: str | None, host: str | None) -> Refusal | None:
        """Why a page of `origin` may not send a request to `host` (the header `Host`); None where it may."""
        if origin is None or self._compiled.fullmatch(origin):
            return None
        own = host is not None and self._is_own(origin, host)
        if own and (_is_address(origin) or self._key_required()):
            return None
        shown = origin if len(origin) <= 200 else origin[:200] + "…"
        advice = (
            "A server that requires no key takes its own page at localhost and at IP addresses, but not at a name, which a foreign page "
            "could have as well: open it by its IP address, or let its owner make a key (parley keys add NAME) or set server.public_url "
            "(PARLEY_PUBLIC_URL) to this address."
            if own
            else "Its owner can allow them with server.allowed_origins (PARLEY_ALLOWED_ORIGINS), or with server.public_url "
            "(PARLEY_PUBLIC_URL) where they are the server's own behind a reverse proxy."
        )
        return Refusal(403, "origin_not_allowed", f"Pages of {shown} may not use this server. {advice}")

    def _is_own(self, origin: str, host: str) -> bool:
        scheme, _, place = origin.lower().partition("://")
        return (
            place != ""
            and scheme in self._schemes
            and place == host.strip().lower().removesuffix(_DEFAULT_PORTS[scheme])
        )


def _is_address(origin: str) -> bool:
    """Whether the host of this origin is an IP address."""
    place = origin.partition("://")[2]
    host = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
