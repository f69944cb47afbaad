"""Who can reach a server with these settings, and that others do not reach it without a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parley.config.errors import ConfigError
from parley.engines.addresses import is_loopback

if TYPE_CHECKING:
    from parley.config.layers import KeyPath
    from parley.config.schema import ServerSection


def exposed(host: str, public_url: str) -> bool:
    """Whether other machines can reach a server that listens on `host`, or through the proxy that serves `public_url` ("": none)."""
    return not is_loopback(host) or (bool(public_url) and not is_loopback(urlsplit(public_url).hostname or ""))


def check_exposure(server: ServerSection, keys: bool, places: Mapping[KeyPath, str]) -> None:
    """Raises `ConfigError` where others reach the server and no key is required; `keys` says whether there are any."""
    if keys or server.insecure or not exposed(server.host, server.public_url):
        return
    key, value = ("host", server.host) if not is_loopback(server.host) else ("public_url", server.public_url)
    raise ConfigError(
        f"{places.get(('server', key), 'default')}: server.{key} {value} can be reached from other machines, "
        "and no API key is set.",
        remedy="Make a key (`parley keys add NAME`) or set one (--api-key, or PARLEY_API_KEY, or server.api_key_env), "
        + ("listen on 127.0.0.1" if key == "host" else "remove that setting")
        + ", or serve everyone with --insecure.",
    )
