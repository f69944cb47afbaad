"""Which of an engine's pairs of languages serves what is asked. Pure.

Laws:
- Tags are matched whole first (`pt-BR`), then by their language (`pt`): a region that an engine does not have is ignored.
- An unknown source language ("") is the only one from which the engine translates into the target; of several, English. Where English
  is not among them, it cannot be guessed, and the pair is denied.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from parley.engines.ports import EngineRefused
from parley.text.language_tags import primary_tag

Pair = tuple[str, str]


def tag(language: str) -> str:
    """A tag as pairs are written: `pt-BR`, `zh-Hant`, `en`."""
    first, *others = language.strip().replace("_", "-").split("-")
    if first.lower() == "x":  # a private tag has no regions
        return "-".join((first, *others)).lower()
    shaped = (part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part.lower() for part in others)
    return "-".join((first.lower(), *shaped))


def languages(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """The primary tags on either side, sorted."""
    return tuple(sorted({primary_tag(language) for language in chain.from_iterable(pairs)}))


def find_pair(pairs: Iterable[Pair], from_language: str, to_language: str) -> Pair | None:
    """The pair that translates `from_language` ("": unknown) into `to_language`; None where there is none."""
    known, target = tuple(pairs), tag(to_language)
    into = [pair for pair in known if pair[1] == target]
    if not from_language:
        reaching = into or [pair for pair in known if primary_tag(pair[1]) == primary_tag(target)]
        sources = {primary_tag(pair[0]) for pair in reaching}
        source = next(iter(sources)) if len(sources) == 1 else "en" if "en" in sources else ""
        return next((pair for pair in reaching if primary_tag(pair[0]) == source), None)
    source = tag(from_language)

    def rank(pair: Pair) -> tuple[int, int, int]:
        return (pair[1] != target) + (pair[0] != source), len(pair[1]), len(pair[0])

    fitting = [
        pair
        for pair in known
        if primary_tag(pair[0]) == primary_tag(source) and primary_tag(pair[1]) == primary_tag(target)
    ]
    return min(fitting, key=rank, default=None)


def refused(name: str, from_language: str, to_language: str, pairs: Iterable[Pair]) -> EngineRefused:
    """The error for a pair that an engine does not translate; its remedy lists some that it does."""
    known = [f"{source} to {target}" for source, target in pairs]
    listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    asked = f"from {from_language!r}" if from_language else "from an unknown language"
    return EngineRefused(
        f"{name} does not translate {asked} into {to_language!r}.",
        f"It translates {listed}." if listed else "Install a pair of languages for it: docs/translation.md.",
        code="unsupported_language",
    )
