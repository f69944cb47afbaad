"""Which names of the server requests may be sent to: a check of `Host` against DNS rebinding.

A foreign page whose name resolves to this machine is same-origin with itself, so its GET requests carry no `Origin`; only their `Host`
names the foreign site. On a loopback address the server therefore answers to the names of this machine, to `server.allowed_hosts` and to
the host of `server.public_url`. On other addresses, whose names it cannot know, it checks only where `allowed_hosts` is set.

Laws: a request without `Host` does not come from a browser and passes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from parley.config import is_loopback
from parley.server.refusals import Refusal


class HostRule:
    """`bound` is the address that the server listens on; `allowed` has further names, without ports; `public_url` is the address that
    clients use ("": none)."""

    __slots__ = ("_allowed", "_checked")

    def __init__(self, bound: str, allowed: Iterable[str], public_url: str = "") -> None:
        named = {_name(host) for host in allowed}
        self._allowed = named | {_name(bound)} | ({_name(urlsplit(public_url).netloc)} if public_url else set())
        self._checked = is_loopback(bound) or bool(named)

    def refusal(self, host: str | None) -> Refusal | None:
        """Why a request with this `Host` header is not answered; None where it is."""
        if host is None or not self._checked or self._is_ours(_name(host)):
            return None
        shown = host if len(host) <= 200 else host[:200] + "…"
        return Refusal(
            403,
            "host_not_allowed",
            f"This server does not answer to the host name {shown!r}. Use 127.0.0.1 or localhost; "
            "its owner can allow other names with server.allowed_hosts (PARLEY_ALLOWED_HOSTS), and the address that a reverse proxy "
            "serves with server.public_url (PARLEY_PUBLIC_URL).",
        )

    def _is_ours(self, name: str) -> bool:
        return name in self._allowed or name.endswith(".localhost") or is_loopback(name)


def _name(host: str) -> str:
    """The host of a `Host` header or of an address, without its port, brackets and final dot, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.partition(":")[0].removesuffix(".")
    return host
