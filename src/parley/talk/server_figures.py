"""Fetches a Parley server's own account of the turns, a moment after each of them.

Laws: runs on the event loop; at most one request at a time; a server that is not a Parley is never asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from parley.client.parley_rest import ParleyRest
from parley.talk.figures import TalkFigures

WAIT_S = 0.15
"""From a turn's transcript, first sample played or end of reply until the server's account of it is complete."""


class ServerFigures:
    """Call `want()` when something of a turn is over and `tick()` regularly. `changed()` is called when `figures` has the answer."""

    def __init__(self, rest: ParleyRest, figures: TalkFigures, changed: Callable[[], None]) -> None:
        self._rest = rest
        self._figures = figures
        self._changed = changed
        self._due_s: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    def want(self) -> None:
        """Fetch the account of the turns once `WAIT_S` has passed."""
        self._due_s = time.monotonic() + WAIT_S

    def tick(self, session_id: str, now_s: float) -> None:
        """Fetch now what is due."""
        if self._due_s is None or now_s < self._due_s or self._fetching is not None:
            return
        self._due_s = None
        self._fetching = asyncio.create_task(self.fetch(session_id))
        self._fetching.add_done_callback(self._fetched)

    async def fetch(self, session_id: str) -> None:
        """Take over what the server says of this session's turns."""
        rows = await self._rest.turns(session_id)
        if rows is not None:
            self._figures.server_turns(rows)
        self._changed()

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
