"""Reads an engine's option table: typed values with defaults, and one clear `ValueError` for what is wrong in it.

Laws: pure; every option must be read before `close()`, which names whatever is left over (a typo gets "did you mean").
Values may come as text (environment, flags) or typed (TOML).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType


class OptionReader:
    """The options of one engine (`engine` is how it is named in messages: `llm openai`). Read each one, then `close()`."""

    def __init__(self, engine: str, options: Mapping[str, object]) -> None:
        self._engine = engine
        self._options = dict(options)
        self._known: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        value = self._take(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value, "text")
        return value.strip()

    def names(self, name: str) -> tuple[str, ...]:
        """A list of texts, or one text with commas between them."""
        value = self._take(name, ())
        listed = value.split(",") if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
            raise self._wrong(name, value, "a list of texts")
        return tuple(one.strip() for one in listed if one.strip())

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One of `choices`."""
        value = self.text(name, default)
        if value not in choices:
            raise self._wrong(name, value, f"one of {', '.join(choices)}")
        return value

    def scalar(self, name: str, default: str = "") -> str:
        """A text, a number or a flag, as text ("true", "30")."""
        value = self._take(name, default)
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str | int | float):
            raise self._wrong(name, value, "a text, a number or a flag")
        return str(value).strip()

    def flag(self, name: str, default: bool) -> bool:
        value = self._take(name, default)
        if isinstance(value, str) and value.lower() in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
            return value.lower() in {"true", "yes", "on", "1"}
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def number(self, name: str, default: float, minimum: float, maximum: float) -> float:
        """A number in `minimum..maximum`."""
        value = self.optional_number(name, minimum, maximum)
        return default if value is None else value

    def optional_number(self, name: str, minimum: float, maximum: float) -> float | None:
        value = self._take(name, None)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self._wrong(name, value, f"a number from {minimum:g} to {maximum:g}") from None
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not minimum <= value <= maximum:
            raise self._wrong(name, value, f"a number from {minimum:g} to {maximum:g}")
        return float(value)

    def table(self, name: str) -> Mapping[str, object]:
        value = self._take(name, {})
        if not isinstance(value, Mapping):
            raise self._wrong(name, value, "a table")
        return MappingProxyType(dict(value))

    def close(self) -> None:
        """Raises `ValueError` for an option that was not read."""
        for name in self._options:
            near = difflib.get_close_matches(name, self._known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(sorted(self._known)) or "none"
            raise ValueError(f"{self._engine} knows no option {name!r}.{hint} It has: {known}.")

    def _take(self, name: str, default: object) -> object:
        self._known.append(name)
        value = self._options.pop(name, None)
        return default if value is None else value

    def _wrong(self, name: str, value: object, wanted: str) -> ValueError:
        return ValueError(f"{self._engine}: {name} must be {wanted}, not {value!r}.")
