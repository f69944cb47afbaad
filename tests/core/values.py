"""Helpers for the value classes of a module."""

from __future__ import annotations

import dataclasses
from types import ModuleType


def values_of(module: ModuleType) -> list[type]:
    """Every dataclass that the module defines, in order."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__
    ]


def can_change(kind: type) -> bool:
    """Whether instances of this class are mutable or accept further attributes."""
    params = getattr(kind, "__dataclass_params__")  # noqa: B009 - typing does not know it
    return not params.frozen or "__slots__" not in vars(kind)
