"""What a paid server costs: every second of audio that is sent to it, silence included, in both directions.

Laws: pure; counts what was sent, not what the server bills: a server that bills otherwise is estimated by `price_per_minute`.
"""

from __future__ import annotations

from typing import Final

from parley.interpret.ports import CostShown

OPENAI_TRANSLATION_PER_MINUTE: Final = 0.034
"""Dollars for a minute of audio sent to OpenAI's translation sessions, as of November 2026. Settings override it."""

WARNED_AT: Final = 0.8


class CostMeter:
    """`sent()` for each piece of audio; `cap` None: no limit. Raises `ValueError` for a negative price or a cap that is not positive."""

    def __init__(self, price_per_minute: float, cap: float | None = None, currency: str = "USD") -> None:
        if not price_per_minute >= 0 or not (cap is None or cap > 0):  # NaN is refused too
            raise ValueError("price_per_minute must be 0 or more, and the cap more than 0")
        self._price = price_per_minute
        self._cap = cap
        self._currency = currency
        self._seconds = 0.0
        self._warned = False

    def sent(self, seconds: float) -> bool:
        """So much audio was sent. True once, when `WARNED_AT` of the cap is reached."""
        self._seconds += seconds
        if self._warned or self._cap is None or self.spent < WARNED_AT * self._cap:
            return False
        self._warned = True
        return True

    @property
    def spent(self) -> float:
        """What the audio so far costs."""
        return self._price * self._seconds / 60

    @property
    def over_cap(self) -> bool:
        """Whether nothing more may be sent."""
        return self._cap is not None and self.spent >= self._cap

    @property
    def said(self) -> str:
        """The cost in words, without a full stop."""
        limit = "" if self._cap is None else f" of at most {self._cap:.2f}"
        return f"{self.spent:.2f}{limit} {self._currency} spent"

    @property
    def shown(self) -> CostShown:
        """For a screen."""
        return CostShown(self.spent if self._price else None, self._cap, self._currency)
