"""The checks of `parley doctor` on how others reach the server. They read settings and ask nothing of the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from parley.cli.checks import Check
from parley.invocation import command

if TYPE_CHECKING:
    from parley.config import Config
    from parley.server.reach import Place

HTTPS = "docs/deployment.md has Caddy, nginx, Tailscale and certificates of one's own."


def check_reach(config: Config) -> Iterator[Check]:
    """Who can connect, whether they need a key, and each address of a machine that others reach: whether its page is admitted there."""
    from parley.config import ConfigError
    from parley.server.app import access_of

    server = config.server
    try:
        key = ", without a key" if access_of(server).open else ", with a key"
    except ConfigError:  # the check of the keys says so
        key = ""
    host = f"[{server.host}]" if ":" in server.host else server.host
    who = "other machines" if server.exposed else "this machine only"
    yield Check("reached by", True, f"{who}, at {host}:{server.port}{key}")
    for place in _places(config):
        name = f"page at {place.url}"
        if place.admitted:
            yield Check(name, True, "admitted")
        else:
            remedy = place.refusal
            if key == ", without a key":
                remedy = f"Make a key ({command('keys', 'add', 'NAME')}), or set server.public_url (PARLEY_PUBLIC_URL={place.url})."
            yield Check(name, False, "refused to browsers on other machines", remedy, required=False)


def check_microphone(config: Config) -> Check | None:
    """Whether a browser on another machine may use its microphone; None where other machines do not reach the server."""
    if not config.server.exposed:
        return None
    safe = [place.url for place in _places(config) if place.microphone] or (
        ["https"] if config.server.tls_cert is not None else []
    )
    if safe:
        return Check("microphone in browsers", True, f"allowed: the page comes over https ({', '.join(safe)})")
    return Check(
        "microphone in browsers",
        False,
        "refused by browsers on other machines: they give it to pages of https and of localhost only",
        f"Set server.tls_cert and server.tls_key, or serve through a proxy with TLS and name it in server.public_url. {HTTPS}",
        required=False,
    )


def _places(config: Config) -> list[Place]:
    from parley.config import ConfigError
    from parley.server.app import access_of, origins_of
    from parley.server.reach import places

    try:
        return places(config.server, origins_of(config.server, access_of(config.server)), config.server.port)
    except ConfigError:  # a key file that cannot be used
        return []
