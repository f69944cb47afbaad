"""Which server a key is sent to.

Laws: pure but for `read_key`, which reads the environment; no message has a key in it. A key goes to the server it was given for:
- a key among an engine's options goes to the `base_url` of the same options, or to the engine's own server where they name none;
- `PARLEY_STAGE_API_KEY` goes to the server that `PARLEY_STAGE_BASE_URL` names, or to OpenAI where that is not set;
- `OPENAI_API_KEY` goes to OpenAI, over https.
Servers are the same where scheme, host and port are; OpenAI's regions count as one server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from parley.engines.options import OptionReader

OPENAI_URL: Final = "https://api.openai.com/v1"
OPENAI_KEY: Final = "OPENAI_API_KEY"


def base_url_variable(stage: str) -> str:
    """The variable that names the endpoint of a stage."""
    return f"PARLEY_{stage.upper()}_BASE_URL"


def key_variable(stage: str) -> str:
    """The variable that holds the key for the endpoint of a stage."""
    return f"PARLEY_{stage.upper()}_API_KEY"


def key_setting(stage: str) -> str:
    """The option that holds the key for the endpoint of a stage."""
    return f"{stage}_options.api_key"


def origin(url: str) -> tuple[str, str, int | None]:
    """The scheme, the host and the port; the host is "" for what is no URL, or what parsers of URLs read differently."""
    if "\\" in url:
        return "", "", None
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None


def check_url(url: str, setting: str, example: str) -> str:
    """The URL without a slash at its end. Raises `ValueError` for one that cannot be read, without quoting it: it may hold a password."""
    try:
        wrong = "its port is 0" if urlsplit(url).port == 0 else ""
    except ValueError:
        wrong = "its host or port cannot be read"
    if any(letter <= " " for letter in url):
        wrong = "it holds white space"
    if wrong:
        raise ValueError(f"{setting} is not a URL that can be used: {wrong}. One is {example}.")
    return url.rstrip("/")


def server_name(url: str) -> str:
    """The host, and the port where the URL names one, for messages."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2] or url or "its own server"


def same_server(url: str, other: str) -> bool:
    """Whether a key for one of two base URLs may be sent to the other."""
    return (origin(url) == origin(other) and origin(url)[1] != "") or (_is_openai(url) and _is_openai(other))


def environment_url(stage: str, environ: Mapping[str, str]) -> str:
    """The base URL that the environment names, else OpenAI's: the one that `PARLEY_STAGE_API_KEY` is for."""
    return environ.get(base_url_variable(stage), "").strip() or OPENAI_URL


def read_key(reader: OptionReader, stage: str) -> tuple[str, str]:
    """The key among the options (`api_key`, or `api_key_env`: the variable that holds it) and its name for messages; "" twice for none.

    The key alone is "" where the variable is not set.
    """
    key, variable = reader.text("api_key"), reader.text("api_key_env")
    if variable and not key:
        return os.environ.get(variable, "").strip(), variable
    if key and key == os.environ.get(key_variable(stage), "").strip():
        return key, key_variable(stage)  # (as the configuration hands it on)
    return key, key_setting(stage) if key else ""


def environment_key(stage: str, base_url: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The key in the environment that is for `base_url`, "" for none, and which setting holds or would hold it."""
    variable, home = key_variable(stage), environment_url(stage, environ)
    usable = [variable] if same_server(base_url, home) else []
    if _is_openai(base_url):
        usable.append(OPENAI_KEY)
    for name in usable:
        if key := environ.get(name, "").strip():
            return key, name
    if usable:
        return "", usable[-1]
    beside = f"{key_setting(stage)} or api_key_env, beside base_url"
    withheld = f" ({variable} is for {server_name(home)})" if environ.get(variable, "").strip() else ""
    return "", beside + withheld


def _is_openai(url: str) -> bool:
    scheme, host, port = origin(url)
    return scheme == "https" and host.endswith(".openai.com") and port == 443
