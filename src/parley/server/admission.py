"""Whether one more session may begin: new sessions are refused before running ones degrade.

Laws: a refusal comes before anything is built, and names its reason and when to try again; a running session is closed only where its
key no longer allows it (`end_unallowed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from parley.server.access.access import OPEN, Grant
from parley.server.access.key_file import Key
from parley.server.access.quotas import Quotas
from parley.server.refusals import Refusal

LAG_RETRY_S = 5
"""The measured lag falls within a second or two; clients that all return at once would raise it again."""

FULL_RETRY_S = 30
"""A conversation lasts minutes."""


class Allowed(Protocol):
    """What goes on while a key allows it."""

    @property
    def grant(self) -> Grant: ...
    def access_ended(self, refusal: Refusal) -> None:
        """Say why, then close."""
        ...


class Drainable(Allowed, Protocol):
    """A running session, as shutdown and the checks of its key use it."""

    def wind_down(self) -> None:
        """Let the reply end, then close."""
        ...


class Sessions:
    """The running sessions. `refusal()` first, then `enter()`, and `leave()` at the end.

    `lag_ms` is how late the event loop runs.
    """

    def __init__(self, max_sessions: int, max_lag_ms: float, lag_ms: Callable[[], float], quotas: Quotas) -> None:
        self.quotas = quotas
        self._max = max_sessions
        self._max_lag_ms = max_lag_ms
        self._lag_ms = lag_ms
        self._running: set[Drainable] = set()
        self._attached: set[Allowed] = set()
        self._leaving = False
        self._emptied: Callable[[], None] | None = None
        self.refused: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Drainable]:
        return iter(tuple(self._running))

    def refusal(self, grant: Grant) -> Refusal | None:
        """Why no session of this grant may begin now; None where one may."""
        refusal = self.outlook(grant)
        if refusal is not None:
            self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1
        return refusal

    def outlook(self, grant: Grant) -> Refusal | None:
        """As `refusal`, without counting it: the client only asks."""
        if self.leaving is not None:
            return self.leaving
        if len(self._running) >= self._max:
            message = f"All {self._max} sessions are taken (server.max_sessions). Try again later."
            return Refusal(503, "session_limit_reached", message, None, "server_error", FULL_RETRY_S)
        lag_ms = self._lag_ms()
        if lag_ms > self._max_lag_ms:
            message = f"The server is at its limit (it runs {lag_ms:.0f} ms late). Try again in {LAG_RETRY_S} s."
            return Refusal(503, "server_overloaded", message, None, "server_error", LAG_RETRY_S)
        return self.quotas.refusal(grant.key)

    @property
    def leaving(self) -> Refusal | None:
        """Why nothing may begin any more, where the server stops."""
        if not self._leaving:
            return None
        return Refusal(503, "server_shutting_down", "The server is restarting.", None, "server_error", FULL_RETRY_S)

    def attach(self, client: Allowed) -> None:
        """A client that attaches to a running session: its key is checked as a session's is, and it counts as none."""
        self._attached.add(client)

    def detach(self, client: Allowed) -> None:
        self._attached.discard(client)

    def enter(self, session: Drainable) -> None:
        self._running.add(session)
        self.quotas.began(session.grant.key, session)

    def leave(self, session: Drainable) -> None:
        self._running.discard(session)
        self.quotas.ended(session.grant.key, session)
        if not self._running and self._emptied is not None:
            self._emptied()

    def end_unallowed(self, keys: Mapping[str, Key]) -> None:
        """Close the sessions whose key is not among `keys` (by id) any more, or has used its minutes of the day; and, before them, the
        clients that are attached with such a key."""
        for one in (*self._attached, *self._running):
            if one.grant.key is OPEN:
                continue
            key = keys.get(one.grant.key.id)
            if key is None:
                message = "The key of this session was revoked, or has lost the scope 'realtime'."
                one.access_ended(Refusal(401, "invalid_api_key", message))
            elif self.quotas.left_s(key) == 0:
                one.access_ended(self.quotas.used_up(key))

    def wind_down(self, emptied: Callable[[], None]) -> None:
        """Admit no more sessions and let every reply end; `emptied` is called (once or more) when no session is left."""
        self._leaving = True
        self._emptied = emptied
        for session in self:
            session.wind_down()
        if not self._running:
            emptied()
