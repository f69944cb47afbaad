"""The checks of `parley doctor` on how others reach the server. They read settings and ask nothing of the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from parley.cli.checks import Check

if TYPE_CHECKING:
    from parley.config import Config
    from parley.server.reach import Place


def check_reach(config: Config) -> Iterator[Check]:
    """Who can connect, whether they need a key, and each address of a machine that others reach: whether its page is admitted there."""
    from parley.config import ConfigError
    from parley.server.app import access_of
    from parley.server.reach import how_to_admit

    server = config.server
    key_required: bool | None = None
    with contextlib.suppress(ConfigError):  # the check of the keys says so
        key_required = not access_of(server).open
    key = {True: ", with a key", False: ", without a key", None: ""}[key_required]
    host = f"[{server.host}]" if ":" in server.host else server.host
    who = "other machines" if server.exposed else "this machine only"
    yield Check("reached by", True, f"{who}, at {host}:{server.port}{key}")
    for place in _places(config):
        name = f"page at {place.url}"
        if place.admitted:
            yield Check(name, True, "admitted")
        else:
            remedy = how_to_admit(place, key_required=key_required is not False)
            yield Check(name, False, "refused to browsers on other machines", remedy, required=False)


def check_microphone(config: Config) -> Check | None:
    """Whether a browser on another machine may use its microphone; None where other machines do not reach the server."""
    from parley.server.reach import HTTPS

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
        f"Set server.tls_cert and server.tls_key, or serve through a proxy with TLS and name it in server.public_url. {HTTPS}.",
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
