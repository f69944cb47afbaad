"""Readers of JSON members: each takes a decoded value and its path, and gives a value of the core or raises `PeerError`.

Laws: types are strict (a string is never a number, a boolean never an integer); an unknown member is refused by name
unless it is null; every error carries the path as the client wrote it (`item.content[0].text`). Readers know nothing of events.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from parley.core.words.errors import PeerError
from parley.wire.limits import SHOWN

T = TypeVar("T")
S = TypeVar("S", bound=str)
Reader = Callable[[object, str], T]


@dataclass(frozen=True, slots=True)
class ForeignNames:
    """Members of another dialect's object, and where this dialect has them."""

    dialect: str
    paths: Mapping[str, str]


def shown(value: object) -> str:
    """A client's value as an error may repeat it: quoted and short."""
    text = value if isinstance(value, str) else repr(value)
    return f"'{text}'" if len(text) <= SHOWN else f"'{text[:SHOWN]}…'"


def kind(value: object) -> str:
    """What JSON calls a value's type, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def wrong_type(path: str, expected: str, value: object) -> PeerError:
    return PeerError(
        f"Invalid type for '{path}': expected {expected}, but got {kind(value)} instead.",
        code="invalid_type",
        field=path,
    )


def invalid(path: str, message: str) -> PeerError:
    """A value of the right type that cannot be accepted; `message` says why and what would be."""
    return PeerError(message, code="invalid_value", field=path)


def missing(path: str) -> PeerError:
    return PeerError(f"Missing required parameter: '{path}'.", code="missing_required_parameter", field=path)


def unserved(path: str, why: str) -> PeerError:
    """A documented member that this server does not have; `why` names the way round."""
    return PeerError(f"'{path}' is not supported by this server: {why}", code="unsupported_parameter", field=path)


class Fields:
    """The members of one JSON object. `take` or `find` each, then `finish`, which refuses the rest."""

    __slots__ = ("_asked", "_members", "path")

    def __init__(self, members: dict[str, object], path: str) -> None:
        self._members = members
        self._asked: dict[str, None] = {}
        self.path = path

    def at(self, name: str) -> str:
        """The path of a member."""
        name = name if len(name) <= SHOWN else name[:SHOWN] + "…"
        return f"{self.path}.{name}" if self.path else name

    def names(self) -> tuple[str, ...]:
        """The members' names, as the client ordered them."""
        return tuple(self._members)

    def __contains__(self, name: str) -> bool:
        """Whether the client wrote the member, null included."""
        return name in self._members

    def take(self, name: str, read: Reader[T]) -> T:
        """A member that must be there; null is as good as absent."""
        self._asked[name] = None
        value = self._members.get(name)
        if value is None:
            raise missing(self.at(name))
        return read(value, self.at(name))

    def find(self, name: str, read: Reader[T]) -> T | None:
        """A member that may be there; None when it is absent or null."""
        self._asked[name] = None
        value = self._members.get(name)
        return None if value is None else read(value, self.at(name))

    def refuse(self, name: str, why: str) -> None:
        """A documented member that this server does not have: null passes."""
        self._asked[name] = None
        if self._members.get(name) is not None:
            raise unserved(self.at(name), why)

    def finish(self, note: str = "", *, foreign: ForeignNames | None = None) -> None:
        """Refuse the members that were not asked for. `note` adds what the reader knows about this object; a member of `foreign` is
        refused with the name that it has here."""
        for name, value in self._members.items():
            if name not in self._asked and value is not None:
                raise PeerError(
                    f"Unknown parameter: '{self.at(name)}'.{self._hint(name, foreign)}{note and ' ' + note}",
                    code="unknown_parameter",
                    field=self.at(name),
                )

    def _hint(self, name: str, foreign: ForeignNames | None) -> str:
        if foreign is not None and name in foreign.paths:
            return f" That is the {foreign.dialect} name of '{self.at(foreign.paths[name])}'."
        near = difflib.get_close_matches(name[:SHOWN], self._asked, n=1)
        return f" Did you mean '{self.at(near[0])}'?" if near else ""


def fields(value: object, path: str) -> Fields:
    """An object's members, for a reader that must look at one before it knows the others."""
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    return Fields(value, path)


def record(read: Callable[[Fields], T]) -> Reader[T]:
    """An object that `read` reads whole."""

    def reader(value: object, path: str) -> T:
        members = fields(value, path)
        result = read(members)
        members.finish()
        return result

    return reader


def array(read: Reader[T], longest: int) -> Reader[tuple[T, ...]]:
    """An array of at most `longest`; each element's path has its index."""

    def reader(value: object, path: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise wrong_type(path, "an array", value)
        if len(value) > longest:
            raise invalid(path, f"Invalid '{path}': {len(value)} elements, at most {longest} are accepted.")
        return tuple(read(element, f"{path}[{index}]") for index, element in enumerate(value))

    return reader


def text(longest: int, shortest: int = 0) -> Reader[str]:
    """A string of so many characters."""

    def reader(value: object, path: str) -> str:
        if not isinstance(value, str):
            raise wrong_type(path, "a string", value)
        if not shortest <= len(value) <= longest:
            raise invalid(path, f"Invalid '{path}': {len(value)} characters, {shortest} to {longest} are accepted.")
        return value

    return reader


def one_of(*values: S) -> Reader[S]:
    """One of a few strings."""
    by_name: dict[str, S] = {value: value for value in values}

    def reader(value: object, path: str) -> S:
        if not isinstance(value, str):
            raise wrong_type(path, f"one of {listed(by_name)}", value)
        if value not in by_name:
            raise invalid(path, f"Invalid value for '{path}': {shown(value)}. Supported values are: {listed(by_name)}.")
        return by_name[value]

    return reader


def listed(names: dict[str, S] | tuple[str, ...]) -> str:
    """`'a', 'b' and 'c'`."""
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def whole(low: int, high: int) -> Reader[int]:
    """An integer in low..high; 300.0 is one (JSON has only numbers), 300.5 is not."""

    def reader(value: object, path: str) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_type(path, "an integer", value)
        if not low <= value <= high:
            raise invalid(path, f"Invalid '{path}': {shown(value)}, {low} to {high} is accepted.")
        return value

    return reader


def number(low: float, high: float) -> Reader[float]:
    """A number in low..high."""

    def reader(value: object, path: str) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong_type(path, "a number", value)
        if not low <= value <= high:
            raise invalid(path, f"Invalid '{path}': {shown(value)}, {low} to {high} is accepted.")
        return float(value)

    return reader


def boolean(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(path, "a boolean", value)
    return value


def audio(longest: int) -> Reader[bytes]:
    """Audio in base64, at most `longest` bytes of it; bytes, as no JSON gives them, are decoded already."""

    def reader(value: object, path: str) -> bytes:
        if not isinstance(value, str | bytes):
            raise wrong_type(path, "base64-encoded audio in a string", value)
        try:
            decoded = msgspec.convert(value, bytes)
        except msgspec.ValidationError:
            raise invalid(
                path,
                f"Invalid '{path}': expected base64-encoded audio bytes, but got an invalid value. "
                "Use the standard alphabet with padding, without line breaks.",
            ) from None
        if len(decoded) > longest:
            raise invalid(
                path, f"Invalid '{path}': {len(decoded)} bytes of audio, at most {longest} are accepted at once."
            )
        return decoded

    return reader


def pattern(expression: str, longest: int, expected: str) -> Reader[str]:
    """A string that matches the whole expression; `expected` says in words what that is."""
    compiled = re.compile(expression)
    bounded = text(longest, 1)

    def reader(value: object, path: str) -> str:
        found = bounded(value, path)
        if not compiled.fullmatch(found):
            raise invalid(path, f"Invalid '{path}': {shown(found)}. Expected {expected}.")
        return found

    return reader


def json_text(longest: int) -> Reader[str]:
    """Any object, kept as JSON text of at most `longest` characters."""

    def reader(value: object, path: str) -> str:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        encoded = msgspec.json.encode(value).decode()
        if len(encoded) > longest:
            raise invalid(path, f"Invalid '{path}': {len(encoded)} characters of JSON, at most {longest} are accepted.")
        return encoded

    return reader
