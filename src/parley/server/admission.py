"""Whether one more session may begin: refuse before those that run are hurt.

Laws: a refusal comes before anything is built, names its reason and a time to come back; sessions that run are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from parley.server.refusals import Refusal

LAG_RETRY_S = 5
"""The measured lag forgets within a second or two; clients that all return at once would bring it back."""

FULL_RETRY_S = 30
"""A conversation lasts minutes."""


class Leaving(Protocol):
    """A running session, as far as the end of the server concerns it."""

    def wind_down(self) -> None:
        """Let the reply end, then close."""
        ...

    def close(self, code: int, reason: str) -> None: ...


class Sessions:
    """The running sessions. `refusal()` first, then `enter()`, and `leave()` at the end.

    `lag_ms` tells how late the event loop runs.
    """

    def __init__(self, max_sessions: int, max_lag_ms: float, lag_ms: Callable[[], float]) -> None:
        self._max = max_sessions
        self._max_lag_ms = max_lag_ms
        self._lag_ms = lag_ms
        self._running: set[Leaving] = set()
        self._leaving = False
        self._emptied: Callable[[], None] | None = None
        self.refused: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Leaving]:
        return iter(tuple(self._running))

    def refusal(self) -> Refusal | None:
        """Why no session may begin now; None where one may."""
        refusal = self.outlook()
        if refusal is not None:
            self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1
        return refusal

    def outlook(self) -> Refusal | None:
        """The same without counting it: somebody only asks."""
        if self._leaving:
            return Refusal(503, "server_shutting_down", "The server is restarting.", None, "server_error", FULL_RETRY_S)
        if len(self._running) >= self._max:
            message = f"All {self._max} sessions are taken (server.max_sessions). Try again later."
            return Refusal(503, "session_limit_reached", message, None, "server_error", FULL_RETRY_S)
        lag_ms = self._lag_ms()
        if lag_ms > self._max_lag_ms:
            message = f"The server is at its limit (it runs {lag_ms:.0f} ms late). Try again in {LAG_RETRY_S} s."
            return Refusal(503, "server_overloaded", message, None, "server_error", LAG_RETRY_S)
        return None

    def enter(self, session: Leaving) -> None:
        self._running.add(session)

    def leave(self, session: Leaving) -> None:
        self._running.discard(session)
        if not self._running and self._emptied is not None:
            self._emptied()

    def wind_down(self, emptied: Callable[[], None]) -> None:
        """Admit nobody any more and let every reply end; `emptied` is called (once or more) when no session is left."""
        self._leaving = True
        self._emptied = emptied
        for session in self:
            session.wind_down()
        if not self._running:
            emptied()
