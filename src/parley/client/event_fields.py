"""Members of a server's event, of the type that is needed.

Laws: pure; never raises; a member that is missing or of another type counts as empty.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def object_of(event: Json, name: str) -> Json:
    """The member as an object; {} where it is none."""
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def text_of(event: Json, name: str) -> str:
    """The member as text; "" where it is none."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def number_of(event: Json, name: str) -> float:
    """The member as a number; 0 where it is none."""
    value = event.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
