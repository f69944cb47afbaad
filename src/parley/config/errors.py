"""What can be wrong with a configuration.

Laws: every message names the setting and where it was set; `mend` is what to change. A secret never appears in a message.

    ConfigError          a configuration that cannot be served
      UnknownModel       a request's `model` that no pipeline serves
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(Exception):
    """A configuration that cannot be served: `message` says what and where, `mend` what to change (may be empty)."""

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message} {self.mend}".strip()


class UnknownModel(ConfigError):
    """A `model` that names no pipeline; `known` are the pipelines that exist."""

    def __init__(self, model: str, known: Iterable[str]) -> None:
        self.model = model
        self.known = tuple(known)
        super().__init__(
            f"The model {model!r} does not exist here; the pipelines are {', '.join(self.known)}, and the realtime models of "
            "OpenAI (gpt-realtime, ...) stand for the default one.",
            mend=did_you_mean(model, self.known),
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean 'port'?` when one known word is close to `word`, else ""."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else ""
