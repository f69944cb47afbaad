"""What a tool's output says in words, made without a model.

Laws: pure; JSON is data, and its marks are not read aloud: an object's `message` is a sentence made to be spoken, other data is read as
names and values. What is not JSON is a sentence already.
"""

from __future__ import annotations

import json
from typing import Any, Final

MESSAGE: Final = "message"
"""The member of an object that holds a sentence beside the data."""

_MAX_DEPTH: Final = 4
"""Of nested data that can be followed by ear."""

_UNSPOKEN: Final = "The tool answered with data."


def in_words(output: str) -> str:
    """A sentence for the output."""
    try:
        data = json.loads(output)
    except ValueError:
        return f"The tool answered: {output.strip() or 'nothing'}."
    except RecursionError:
        return _UNSPOKEN
    if isinstance(data, dict) and isinstance(said := data.get(MESSAGE), str) and said.strip():
        return said.strip() if said.strip()[-1] in ".?!…" else f"{said.strip()}."
    if _depth(data) > _MAX_DEPTH:
        return _UNSPOKEN
    return f"The tool answered: {_listed(data) or 'nothing'}."


def _depth(data: Any) -> int:
    """How deeply nested; one more than `_MAX_DEPTH` stands for all that is deeper."""
    level, depth = [data], 0
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [inner for outer in level if isinstance(outer, (dict, list)) for inner in _members(outer)]
    return depth


def _members(data: dict[str, Any] | list[Any]) -> list[Any]:
    return list(data.values()) if isinstance(data, dict) else data


def _listed(data: Any) -> str:
    match data:
        case dict():
            return ", ".join(f"{name.replace('_', ' ')} {_listed(value)}" for name, value in data.items())
        case list():
            return ", ".join(map(_listed, data))
        case str():
            return data
        case _:
            return json.dumps(data)
