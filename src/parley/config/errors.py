"""Errors of the configuration.

Laws: every message names the setting and where it was set; `remedy` is what to change. A secret never appears in a message.

    ConfigError          a configuration that cannot be served
      UnknownModel       a request's `model` that no pipeline serves
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from parley.errors import ParleyError


class ConfigError(ParleyError):
    """A configuration that cannot be served: `message` names the setting and where it was set."""


class UnknownModel(ConfigError):
    """A `model` that names no pipeline; `known` are the pipelines that exist."""

    def __init__(self, model: str, known: Iterable[str]) -> None:
        self.model = model
        self.known = tuple(known)
        super().__init__(
            f"The model {model[:100]!r} does not exist here; the pipelines are {', '.join(self.known)}, and the realtime models of "
            "OpenAI (gpt-realtime, ...) stand for the default one.",
            remedy=did_you_mean(model, self.known),
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean 'port'?` when one known word is close to `word`, else ""."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else ""
