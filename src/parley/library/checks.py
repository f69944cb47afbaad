"""Checks of arguments. Errors name the parameter, its value and what is possible.

Laws: a wrong value raises `LibraryError` and is never replaced; a class in place of an object is reported as such.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parley.engines.ports import aliases
from parley.library.errors import LibraryError
from parley.library.functions import is_async


def refused(name: str, value: object, remedy: str) -> LibraryError:
    """`name=value is not possible.`"""
    shown = repr(value)
    return LibraryError(f"{name}={shown if len(shown) <= 80 else shown[:77] + '...'} is not possible.", remedy=remedy)


def number(name: str, value: Any, low: float, high: float, unit: str = "") -> None:
    """A number in `low`..`high`."""
    fits = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not low <= value <= high:
        raise refused(name, value, f"Choose a number from {low:g} to {high:g}{' ' + unit if unit else ''}.")


def whole(name: str, value: Any, low: int, high: int, unit: str = "") -> int:
    """An integer in `low`..`high`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
        raise refused(name, value, f"Choose an integer from {low} to {high}{' ' + unit if unit else ''}.")
    return int(value)


def choice(name: str, value: object, choices: Sequence[object]) -> None:
    """One of a few values."""
    if not any(value is one or (isinstance(value, str) and value == one) for one in choices):
        raise refused(name, value, f"Choose one of {', '.join(map(repr, choices))}.")


def text(name: str, value: object) -> None:
    """A string."""
    if not isinstance(value, str):
        raise refused(name, value, "Give a string.")


def flag(name: str, value: object) -> None:
    """True or False."""
    if not isinstance(value, bool):
        raise refused(name, value, "Give True or False.")


def no_class(name: str, value: object) -> None:
    """An object, not its class."""
    if isinstance(value, type):
        raise LibraryError(
            f"{name}={value.__name__} is a class.", remedy=f"Give an object of it: {value.__name__}(...)."
        )


def judgement(name: str, value: Any, methods: Sequence[str], otherwise: str) -> bool:
    """A judgement: a plain function (True is returned), or an object with these methods and attributes (False).

    `otherwise` says what else is possible.
    """
    no_class(name, value)
    missing = [method for method in methods if not hasattr(value, method)]
    if not missing:
        return False
    if not callable(value):
        if len(missing) < len(methods):
            raise LibraryError(
                f"{name}={value!r} lacks {', '.join(missing)}.", remedy="Add what the Protocol requires."
            )
        raise refused(name, value, otherwise)
    asked_at_once(name, value)
    return True


def asked_at_once(name: str, value: Any) -> None:
    """A plain function, which returns at once."""
    no_class(name, value)
    if not callable(value):
        raise refused(name, value, "Give a function.")
    if is_async(value):
        raise LibraryError(
            f"{name}={value!r} is asynchronous, but must return at once.", remedy="Give a plain function."
        )


def named_parts(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of a pipeline by the first names of their stages, such as `vc` for `voice_conversion`; never both."""
    names = aliases()
    for alias in names.keys() & parts.keys():
        if names[alias] in parts:
            raise LibraryError(f"{alias} and {names[alias]} are the same part.", remedy="Give one of them.")
    return {names.get(name, name): part for name, part in parts.items()}


def compaction(wanted: bool, *, writes: bool, speaks: bool) -> None:
    """Raises `LibraryError` for summaries that nobody can write. `writes`: there is a language model; `speaks`: a speech model."""
    if wanted and speaks and not writes:
        raise LibraryError(
            "compaction needs a language model, and the pipeline has a speech model in its place.",
            remedy="Give llm too, or leave compaction off.",
        )
