"""What the `openai` package's types say there is in each dialect: every client event and option, every server event.

An option is a dotted path as a client writes it, `[]` for the elements of an array: `session.tools[].name`. Options of all
variants of a union stand side by side. Top-level `type` names the event and is no option.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator

from openai._types import SequenceNotStr
from openai.types.beta import realtime as beta
from openai.types.realtime import (
    RealtimeClientEventParam,
    RealtimeServerEvent,
    RealtimeTranslationClientEventParam,
    RealtimeTranslationServerEvent,
)
from openai.types.realtime.response_create_event_with_references_param import ResponseCreateEventWithReferencesParam
from typing_extensions import is_typeddict

_WRAPPERS = (typing.Required, typing.NotRequired)
_UNIONS = (typing.Union, types.UnionType)
_ARRAYS = (list, Iterable, SequenceNotStr)


_CLIENT: dict[str, tuple[object, ...]] = {
    "ga": (*typing.get_args(RealtimeClientEventParam), ResponseCreateEventWithReferencesParam),
    "beta": typing.get_args(beta.RealtimeClientEventParam),
    "translations": typing.get_args(RealtimeTranslationClientEventParam),
}
_SERVER: dict[str, object] = {
    "ga": RealtimeServerEvent,
    "beta": beta.RealtimeServerEvent,
    "translations": RealtimeTranslationServerEvent,
}


def client_events(dialect: str = "ga") -> dict[str, tuple[str, ...]]:
    """Each client event's type and its options, in the types' order."""
    found: dict[str, dict[str, None]] = {}
    for event in _CLIENT[dialect]:
        hints = typing.get_type_hints(event, include_extras=True)
        name = typing.get_args(_unwrapped(hints.pop("type")))[0]
        options = found.setdefault(name, {})
        for member, hint in hints.items():
            options |= dict.fromkeys(_options(hint, member))
    return {name: tuple(options) for name, options in found.items()}


def server_events(dialect: str = "ga") -> dict[str, type]:
    """Each server event's type and its model."""
    union = typing.get_args(_SERVER[dialect])[0]
    return {typing.get_args(model.model_fields["type"].annotation)[0]: model for model in typing.get_args(union)}


def _unwrapped(hint: object) -> object:
    while typing.get_origin(hint) in _WRAPPERS or typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    return hint


def _options(hint: object, path: str) -> Iterator[str]:
    yield path
    yield from _inner(_unwrapped(hint), path)


def _inner(hint: object, path: str) -> Iterator[str]:
    origin = typing.get_origin(hint)
    if is_typeddict(hint):
        for member, inner in typing.get_type_hints(hint, include_extras=True).items():
            yield from _options(inner, f"{path}.{member}")
    elif origin in _UNIONS:
        for variant in typing.get_args(hint):
            yield from _inner(_unwrapped(variant), path)
    elif isinstance(origin, type) and origin in (*_ARRAYS, typing.get_origin(Iterable[int])):
        yield from _inner(_unwrapped(typing.get_args(hint)[0]), f"{path}[]")
