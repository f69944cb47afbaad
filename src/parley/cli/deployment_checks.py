"""The checks of `parley doctor` on how others reach the server. They read settings and ask nothing of the network."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from parley.cli.checks import Check

if TYPE_CHECKING:
    from parley.config import Config

HTTPS = "docs/deployment.md has Caddy, nginx, Tailscale and certificates of one's own."


def check_reach(config: Config) -> Check:
    """Who can connect, at which address, and whether they need a key."""
    from parley.config import ConfigError
    from parley.server.app import access_of

    server = config.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    seen = f"{'other machines' if server.exposed else 'this machine only'}, at {host}:{server.port}"
    if server.public_url:
        seen += f" and {server.public_url}"
    with suppress(ConfigError):  # the check of the keys says so
        seen += ", without a key" if access_of(server).open else ", with a key"
    return Check("reached by", True, seen)


def check_pages(config: Config) -> Check | None:
    """Whether a browser on another machine may use its microphone; None where there is none."""
    server = config.server
    if not server.exposed:
        return None
    if server.tls_cert is not None or server.public_url.startswith("https:"):
        return Check("microphone in browsers", True, "allowed: the page comes over https")
    return Check(
        "microphone in browsers",
        False,
        "refused by browsers on other machines: they give it to pages of https and of localhost only",
        f"Set server.tls_cert and server.tls_key, or serve through a proxy with TLS and name it in server.public_url. {HTTPS}",
        required=False,
    )
