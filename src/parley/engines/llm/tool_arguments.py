"""Arguments for a tool call made without a model: from the tool's JSON Schema and from what was said.

Laws: pure and deterministic; a value satisfies its `default`, `const`, `enum`, type and bounds, in that order. Optional
properties are left out unless the schema gives them a default. What a schema says beyond that (patterns, conditions) is not
attempted.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_MAX_DEPTH: Final = 8
"""Of nested objects; a schema that refers to itself would never end."""

_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


def arguments_for(parameters: str, said: str) -> str:
    """JSON text of the arguments; `{}` for a schema that is no JSON object."""
    try:
        schema = json.loads(parameters)
    except ValueError:
        return "{}"
    value = _value(schema if isinstance(schema, dict) else {}, said, 0)
    return json.dumps(value if isinstance(value, dict) else {}, ensure_ascii=False)


def _value(schema: dict[str, Any], said: str, depth: int) -> Any:
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return next((choice for choice in choices if str(choice).lower() in said.lower()), choices[0])
    for key in ("anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        if isinstance(options, list) and options and isinstance(options[0], dict) and depth < _MAX_DEPTH:
            return _value(options[0], said, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    match kind:
        case "string":
            return said
        case "integer" | "number":
            return _number(schema, said, whole=kind == "integer")
        case "boolean":
            return True
        case "array":
            return _array(schema, said, depth)
        case "null":
            return None
        case _:
            return _object(schema, said, depth)


def _number(schema: dict[str, Any], said: str, whole: bool) -> float:
    found = _NUMBER.search(said)
    value = float(found.group()) if found else 0.0
    if isinstance(schema.get("minimum"), (int, float)):
        value = max(value, schema["minimum"])
    if isinstance(schema.get("maximum"), (int, float)):
        value = min(value, schema["maximum"])
    return round(value) if whole or value == int(value) else value


def _array(schema: dict[str, Any], said: str, depth: int) -> list[Any]:
    items = schema.get("items")
    if depth >= _MAX_DEPTH or not isinstance(items, dict) or not schema.get("minItems"):
        return []
    return [_value(items, said, depth + 1)] * min(int(schema["minItems"]), 16)


def _object(schema: dict[str, Any], said: str, depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    if depth >= _MAX_DEPTH or not isinstance(properties, dict):
        return {}
    required = schema.get("required") or ()
    return {
        name: _value(part, said, depth + 1)
        for name, part in properties.items()
        if isinstance(part, dict) and (name in required or "default" in part)
    }
