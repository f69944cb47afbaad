"""The token counts that servers report, believed only where they are counts. Pure."""

from __future__ import annotations

from typing import Final

from parley.engines.ports import TokenUsage

MAX_TOKENS: Final = 1 << 31
"""Beyond every context; what is larger is no count, and no client could read it."""


def token_usage(read: object, made: object, cached: object = None) -> TokenUsage | None:
    """The usage of one reply; None where the tokens read or made are not known."""
    counts = token_count(read), token_count(made)
    if counts[0] is None or counts[1] is None:
        return None
    return TokenUsage(counts[0], counts[1], min(token_count(cached) or 0, counts[0]))


def token_count(value: object) -> int | None:
    """A count of tokens; None for anything else."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_TOKENS else None
