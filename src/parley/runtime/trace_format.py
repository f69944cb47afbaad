"""The core's values as JSON values and back, for traces.

Laws: every dataclass carries its name under `$`, so that any event can be read again without knowing where it stood; sequences are
tuples, as everywhere in the core; `summary` replaces bytes by their length and digest, which is all that comparing needs;
credentials are never written.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import ModuleType
from typing import Any

from parley.core.policy import policy
from parley.core.words import (
    errors,
    events,
    filler_phrases,
    interpreting,
    items,
    pipeline_events,
    settings,
    summary_events,
    work,
)
from parley.core.words.settings import AudioFormat, Credentials

Plain = None | bool | int | float | str | list[Any] | dict[str, Any]

DIGEST_BYTES = 8
"""Enough to distinguish two chunks of audio; a trace needs no protection against forgery by its owner."""


def _dataclasses(*modules: ModuleType) -> dict[str, type]:
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and is_dataclass(value)
    }


_READABLE = _dataclasses(
    events, summary_events, pipeline_events, items, settings, interpreting, filler_phrases, errors, work, policy
)
_HIDDEN = "hidden:"
_MARKS_KEY = secrets.token_bytes(16)
_FIELDS: dict[type, tuple[str, ...]] = {}


def to_plain(value: object, *, summary: bool = False) -> Plain:
    """`value` as JSON values. Raises `TypeError` for what no event or effect holds."""
    match value:
        case Credentials():
            return {
                "$": "Credentials",
                "authorization": _hidden(value.authorization),
                "headers": [[name, _hidden(secret)] for name, secret in value.headers],
            }
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            if summary:
                digest = hashlib.blake2b(value, digest_size=DIGEST_BYTES).hexdigest()
                return {"$bytes": len(value), "digest": digest}
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        case tuple() | list():
            return [to_plain(one, summary=summary) for one in value]
        case Enum():
            return {"$format": value.value}
        case Mapping():
            return {str(key): to_plain(one, summary=summary) for key, one in value.items()}
    kind = type(value)
    names = _FIELDS.get(kind)
    if names is None:
        if not is_dataclass(value):
            raise TypeError(f"a trace cannot hold a {kind.__name__}")
        names = _FIELDS[kind] = tuple(field.name for field in fields(value))
    plain: dict[str, Any] = {"$": kind.__name__}
    for name in names:
        plain[name] = to_plain(getattr(value, name), summary=summary)
    return plain


def _hidden(secret: str) -> str:
    """A mark in a secret's place: equal secrets have equal marks, so that the session decides alike when it is replayed."""
    if not secret or secret.startswith(_HIDDEN):
        return secret
    return _HIDDEN + hashlib.blake2b(secret.encode(), key=_MARKS_KEY, digest_size=DIGEST_BYTES).hexdigest()


def from_plain(plain: Plain) -> Any:
    """The value that `to_plain` wrote without `summary`. Raises `ValueError` for anything else."""
    if isinstance(plain, list):
        return tuple(from_plain(one) for one in plain)
    if not isinstance(plain, dict):
        return plain
    if "$bytes" in plain:
        data = plain["$bytes"]
        if not isinstance(data, str):
            raise ValueError("these bytes were not recorded, only their digest")
        return base64.b64decode(data, validate=True)
    if "$format" in plain:
        return AudioFormat(plain["$format"])
    name = plain.get("$")
    values = {key: from_plain(one) for key, one in plain.items() if key != "$"}
    if name is None:
        return values
    known = _READABLE.get(name)
    if known is None:
        raise ValueError(f"it holds a {name!r}, which this version does not know")
    try:
        return known(**values)
    except TypeError as error:
        raise ValueError(f"its {name} is not this version's: {error}") from error
