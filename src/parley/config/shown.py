"""What may be shown of the effective configuration: each setting with its source, and no secret.

Laws: pure. A secret is shown only as set or not set; a URL without the user and password in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from parley.config.layers import KeyPath, flatten
from parley.config.replaced_stages import left_out_of
from parley.config.schema import ConfigSchema
from parley.config.values import Setting
from parley.engines.ports import stages

_SECRET = re.compile(r"(^|_)(keys?|token|secret|password|credential|headers|authorization)$", re.IGNORECASE)
_PATHS = frozenset({"tls_key"})
"""Settings that look like secrets and are paths."""


def explain(settings: ConfigSchema, places: Mapping[KeyPath, str], keys: tuple[str, ...]) -> list[Setting]:
    """The settings in the order of the documentation. `keys` are those that open the server, wherever they come from."""
    values = settings.model_dump()
    values["server"]["api_keys"] = keys
    values["pipelines"] = {name: _stages_first(table) for name, table in values["pipelines"].items()}
    optional = {stage.name for stage in stages() if not stage.default}
    left_out = {name: left_out_of(section) for name, section in settings.pipelines.items()}
    shown = []
    for key, value in flatten(values):
        if key[0] == "pipelines" and key[-1] in left_out[key[1]]:
            continue
        if key[-1].endswith("_options") and not value:
            continue
        if key[0] == "pipelines" and not value and key not in places and key[-1] in optional:
            continue
        source = places.get(key, "default")
        shown.append(Setting(".".join(key), mask(key, value, source), source))
    return shown


def _stages_first(table: Mapping[str, object]) -> dict[str, object]:
    """A pipeline's settings in the order of the documentation."""
    keys = [key for stage in stages() for key in (stage.name, f"{stage.name}_options")]
    return {key: table[key] for key in dict.fromkeys([*keys, *table])}


def mask(key: KeyPath, value: object, source: str) -> object:
    """`value` as it may be shown: secrets only as set or not set, URLs without the user and password in them."""
    if any(_SECRET.search(part) and part not in _PATHS for part in (key[2:] if key[0] == "pipelines" else key)):
        return f"set (from {source})" if value and source else "set" if value else "not set"
    if isinstance(value, str) and "://" in value and "@" in value:
        parts = urlsplit(value)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return value
