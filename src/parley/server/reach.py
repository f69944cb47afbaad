"""The addresses at which people reach the server, and what they meet there: whether its page is admitted, whether a microphone is.

Laws: nothing is sent; what this machine's addresses are is asked of its own routing table.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from parley.config import ServerConfig, is_loopback
from parley.invocation import command
from parley.server.access.hosts import HostRule
from parley.server.access.origins import OriginRule

EVERYWHERE: Final = ("0.0.0.0", "::", "")

_FAR: Final = {
    socket.AF_INET: ("192.0.2.1", "10.255.255.254", "172.31.255.254", "192.168.255.254"),
    socket.AF_INET6: ("2001:db8::1", "fd00:ffff::1"),
}
"""Addresses of documentation and of private networks: the route to each shows an address of this machine. Nothing is sent to them."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address of the server, for browsers: its URL without a path, and why its page is refused there ("": it is admitted)."""

    url: str
    refusal: str = ""

    @property
    def admitted(self) -> bool:
        return not self.refusal

    @property
    def microphone(self) -> bool:
        """Whether browsers hand out the microphone to a page of this address."""
        return self.url.startswith("https:") or is_loopback(urlsplit(self.url).hostname or "")


HTTPS: Final = "docs/deployment.md has Caddy, nginx, Tailscale and certificates of your own"


def url_at(server: ServerConfig, host: str, port: int) -> str:
    """The server's URL under that address of this machine."""
    scheme = "http" if server.tls_cert is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def own_url(server: ServerConfig, port: int) -> str:
    """The URL for this machine itself, or for the one address that the server listens on."""
    host = server.host.strip("[]")
    return url_at(server, "127.0.0.1" if host in EVERYWHERE else host, port)


def places(server: ServerConfig, origins: OriginRule, port: int) -> list[Place]:
    """Where other machines reach the server, `server.public_url` first; empty where none do."""
    if not server.exposed:
        return []
    urls = [server.public_url] if server.public_url else []
    if not is_loopback(server.host):
        urls += [url_at(server, address, port) for address in _addresses(server.host.strip("[]"))]
    hosts = HostRule(server.host, server.allowed_hosts, server.public_url)
    return [_place(url, hosts, origins) for url in dict.fromkeys(urls)]


def how_to_admit(place: Place, *, key_required: bool) -> str:
    """What lets browsers on other machines into the page of this place. Where a key is required, the page at this machine's own addresses
    is admitted already."""
    if key_required:
        return place.refusal
    make = command("keys", "add", "NAME")
    return f"To let browsers in, make a key ({make}), or set server.public_url (PARLEY_PUBLIC_URL={place.url})."


def _place(url: str, hosts: HostRule, origins: OriginRule) -> Place:
    host = urlsplit(url).netloc
    refusal = hosts.refusal(host) or origins.refusal(url, host)
    return Place(url, refusal.message if refusal is not None else "")


def _addresses(host: str) -> list[str]:
    """The addresses of this machine that others reach a server at which listens on `host`."""
    if host not in EVERYWHERE:
        return [host]
    families = (socket.AF_INET,) if host == "0.0.0.0" else (socket.AF_INET, socket.AF_INET6)
    found = dict.fromkeys(address for family in families for far in _FAR[family] if (address := _towards(family, far)))
    return [address for address in found if _reachable(address)]


def _towards(family: socket.AddressFamily, far: str) -> str:
    """This machine's address on the way to `far`; "" where there is no way."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((far, 9))  # of a datagram socket: it chooses a route, and sends nothing
        return str(probe.getsockname()[0])
    return ""


def _reachable(address: str) -> bool:
    one = ipaddress.ip_address(address)
    return not (one.is_loopback or one.is_unspecified or one.is_link_local)
