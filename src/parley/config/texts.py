"""The kinds of text that settings take: addresses, keys, names, languages.

Laws: a fault is said in words and says what the setting takes; no value that may be a secret is in it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, StringConstraints

from parley.engines.stt.language_names import TAGS


def matching(pattern: str, takes: str) -> AfterValidator:
    """Takes texts that match `pattern` in full; `takes` says in words what that is."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(f"it takes {takes}")
        return text

    return AfterValidator(check)


def split(value: object) -> object:
    """Environment variables and flags give lists as `a,b`."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _switch(value: object) -> object:
    """TOML's true and false, and the environment's words for them, mean on and off."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return {"true": "on", "1": "on", "yes": "on", "false": "off", "0": "off", "no": "off"}.get(value.lower(), value)
    return value


def _bare(value: object) -> object:
    """`[::1]`, as in a URL, is the address ::1."""
    return value.strip().strip("[]") if isinstance(value, str) else value


Host = Annotated[str, BeforeValidator(_bare), StringConstraints(min_length=1)]


def _no_client_secret(key: str) -> str:
    if key.startswith("ek_"):
        raise ValueError("a key must not begin with 'ek_', as client secrets do")
    return key


Key = Annotated[str, matching(r"[!-~]+", "a key of ASCII characters without spaces"), AfterValidator(_no_client_secret)]
Keys = Annotated[tuple[Key, ...], BeforeValidator(split)]
Origin = Annotated[
    str, matching(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+", "origins such as https://app.example.com, without a path, or *")
]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(split)]
HostName = Annotated[
    str, matching(r"\[[0-9A-Fa-f:.]+\]|[^\s/:*\[\]]+", "host names such as voice.example.com, without a port")
]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(split)]


def _origin(url: str) -> str:
    """The address of a server as browsers write it in `Origin`: lower case, without a default port and a final slash."""
    if not url:
        return url
    fault = ValueError("it must be a scheme, a host and perhaps a port, such as https://voice.example.com")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise fault from None
    if parts.scheme not in ("http", "https") or not host or not host.isascii() or re.search(r"[\s%*]", host):
        raise fault
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise fault
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if port in (None, {"http": 80, "https": 443}[parts.scheme]) else f":{port}")


PublicUrl = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_origin)]
McpServer = Annotated[str, matching(r"\*|https?://[^\s]+", "URLs that begin with http:// or https://, or *")]
McpServers = Annotated[tuple[McpServer, ...], BeforeValidator(split)]


def _long_enough(key: str) -> str:
    if key and not (32 <= len(key) <= 512 and key.isascii() and key.isprintable()):
        raise ValueError("it must have 32 to 512 printable ASCII characters; `openssl rand -hex 32` makes one")
    return key


SecretKey = Annotated[str, AfterValidator(_long_enough)]
Switch = Annotated[Literal["off", "on"], BeforeValidator(_switch)]


def joined(value: object) -> object:
    """A list of engines in TOML, as the environment and flags give it."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value


EngineName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
OptionalEngineName = Annotated[str, StringConstraints(strip_whitespace=True)]
Options = dict[str, JsonValue]
Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Terms = dict[Term, Term]
Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Phrases = Annotated[tuple[Phrase, ...], Field(max_length=100)]
_TAG = re.compile(r"([A-Za-z]{2,3}|x)(-[A-Za-z0-9]{2,8})*")


def _tag(text: str) -> str:
    if _TAG.fullmatch(text) is None:
        known = TAGS.get(text.strip().lower())
        meant = f"; {text.strip()} is {known}" if known else ""
        raise ValueError(f"{text[:40]!r} is not the tag of a language, such as en, de or pt-BR{meant}")
    return text


LanguageTag = Annotated[str, AfterValidator(_tag)]
Language = Annotated[str, AfterValidator(lambda text: text and _tag(text))]
"""A tag, or "" for none."""

EngineNames = Annotated[tuple[EngineName, ...], BeforeValidator(split)]
WebAddress = Annotated[str, matching(r"(https?://[^\s]+)?", "a URL that begins with http:// or https://")]
HostAddress = Annotated[
    str, matching(r"(https?://[^\s/?#]+)?", "a URL such as https://voice.example.com, without a path")
]
Token = Annotated[str, matching(r"[!-~]*", "ASCII characters without spaces")]


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("it must be a UUID; `uuidgen` makes one") from None


CallUuid = Annotated[str, AfterValidator(_uuid)]
CallUuids = Annotated[tuple[CallUuid, ...], BeforeValidator(split)]
Volume = Annotated[float, Field(ge=0, le=1)]
