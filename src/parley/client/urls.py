"""Complete URLs of Realtime servers from what people write, and the limit on what a client accepts from them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from parley.errors import ParleyError

MAX_MESSAGE_BYTES = 32 * 2**20
"""Servers cut audio into far smaller messages; a larger one is an error, and must not fill the memory."""


class UnusableUrl(ParleyError):
    """The URL cannot be dialled."""


def realtime_url(url: str, model: str | None) -> str:
    """Complete a server's URL: `/v1/realtime` where it has no path, `model` where one is asked for; raises
    UnusableUrl."""
    parts = urlsplit(url)
    path = parts.path if parts.path not in ("", "/") else "/v1/realtime"
    query = dict(parse_qsl(parts.query))
    if model is not None:
        query["model"] = model
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    whole = urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))
    try:
        parse_uri(whole)
    except InvalidURI as error:
        raise UnusableUrl(f"{url} is not a WebSocket URL.", "Write it like ws://127.0.0.1:8765.") from error
    return whole
