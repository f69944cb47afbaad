"""Requests for consent in a spoken conversation: answered by the user's keys, or at once where that needs no asking or is impossible.

Laws: one request is answered at a time, the oldest first; where nobody can be asked, every call is refused, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.client.tool_consent import REFUSED_UNASKED, ToolConsent, refused_unasked
from parley.client.updates import ClientUpdate, ConsentAsked, Level

Decide = Callable[[str, bool, str], None]
"""Sends an answer: the request's id, whether it is approved, and the reason for the model."""


class ToolRequests:
    """Call `on_update()` for each update, and `answer()` as the user decides. `asks`: whether there is a user to ask."""

    def __init__(self, asks: bool, decide: Decide, notify: Callable[[Level, str], None]) -> None:
        self._asks = asks
        self._decide = decide
        self._notify = notify
        self._consent = ToolConsent()

    def on_update(self, update: ClientUpdate) -> None:
        self._consent.on_update(update)
        if not isinstance(update, ConsentAsked):
            return
        if self._consent.allows(update):
            self._settle(update, True)
        elif not self._asks:
            self._settle(update, False, REFUSED_UNASKED)
            self._notify("warning", refused_unasked(update))

    @property
    def open(self) -> bool:
        """Whether a request waits for the user."""
        return self._consent.next is not None

    def answer(self, approve: bool, *, always: bool = False) -> None:
        """Answer the oldest request; `always`: its tool is allowed until the conversation ends. Ignored where none waits."""
        asked = self._consent.next
        if asked is None:
            return
        if approve and always:
            self._consent.allow(asked)
        self._settle(asked, approve)
        while (waiting := self._consent.next) is not None and self._consent.allows(waiting):
            self._settle(waiting, True)

    def _settle(self, asked: ConsentAsked, approve: bool, reason: str = "") -> None:
        self._consent.take(asked)
        self._decide(asked.request_id, approve, reason)
