"""Which web pages may talk to the server: those of this machine, and those its owner allows.

Laws: a request without `Origin` does not come from a browser and is not judged here. The page's own address counts for nothing: a
foreign page can make its name point at this machine, so only the list decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from parley.server.refusals import Refusal

LOOPBACK = r"https?://(localhost|([a-z0-9-]+\.)+localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?"


class OriginRule:
    """`pattern` matches (in full) every allowed origin; `*` in the list allows all."""

    __slots__ = ("_compiled", "everyone", "pattern")

    def __init__(self, allowed: Iterable[str]) -> None:
        allowed = tuple(allowed)
        self.everyone = "*" in allowed
        named = [re.escape(origin.rstrip("/").lower()) for origin in allowed]
        self.pattern = ".*" if self.everyone else "(?i:" + "|".join([LOOPBACK, *named]) + ")"
        self._compiled = re.compile(self.pattern)

    def refusal(self, origin: str | None) -> Refusal | None:
        """Why a page of `origin` may not talk to the server; None where it may."""
        if origin is None or self._compiled.fullmatch(origin):
            return None
        shown = origin if len(origin) <= 200 else origin[:200] + "…"
        return Refusal(
            403,
            "origin_not_allowed",
            f"Pages of {shown} may not use this server. Its owner can allow them with server.allowed_origins "
            "(PARLEY_ALLOWED_ORIGINS).",
        )
