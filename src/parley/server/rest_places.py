"""Which requests of one kind may be worked on now: their scope, their page's origin, the quota of their key, and so many places.

Laws: all of it is checked before a body is read. A request holds its place until it is answered, and is counted for its key as a session is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from starlette.requests import Request

from parley.server.access.access import Access, Grant
from parley.server.access.credentials import key_of_request
from parley.server.access.key_file import Scope
from parley.server.access.origins import OriginRule
from parley.server.admission import Sessions
from parley.server.refusals import Refusal, Refused

T = TypeVar("T")

BUSY_RETRY_S = 5
"""A minute of speech, or the reply of a language model, is done within seconds."""

RESTART_RETRY_S = 30
"""Loading the engines takes as long."""

STOPPING: Final = Refusal(
    503,
    "server_shutting_down",
    "The server is restarting; the request was not finished.",
    None,
    "server_error",
    RESTART_RETRY_S,
)
GONE: Final = Refusal(499, "client_closed_request", "The client has gone.")


class RestPlaces:
    """The places of one kind of request: `scope` opens them, there are `most`, and `busy` refuses what comes beyond."""

    def __init__(
        self, access: Access, origins: OriginRule, running: Sessions, *, scope: Scope, most: int, busy: Refusal
    ) -> None:
        self._access = access
        self._origins = origins
        self._running = running
        self._scope: Scope = scope
        self._most = most
        self._busy = busy
        self._places: set[object] = set()

    def __len__(self) -> int:
        return len(self._places)

    @asynccontextmanager
    async def admitted(self, request: Request) -> AsyncIterator[None]:
        """A place for a request that may be served now. Raises `Refused`."""
        grant = self.grant(request)
        refusal = self._running.refusal(grant) or (self._busy if len(self._places) >= self._most else None)
        if refusal is not None:
            raise Refused(refusal)
        place = object()
        self._places.add(place)
        self._running.quotas.began(grant.key, place)
        try:
            yield
        finally:
            self._places.discard(place)
            self._running.quotas.ended(grant.key, place)

    def grant(self, request: Request) -> Grant:
        """The grant of a request, from a page that is allowed. Raises `Refused`."""
        grant = self._access.grant(key_of_request(request.headers), self._scope)
        if isinstance(grant, Refusal):
            raise Refused(grant)
        # A form is a request that any page may have a browser send, without asking first.
        refusal = self._origins.refusal(request.headers.get("origin"))
        if refusal is not None:
            raise Refused(refusal)
        return grant


async def until_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes away (`Refused` with `GONE`, which nobody reads), and when the server
    stops (`Refused` with `STOPPING`)."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refused(GONE)
    except asyncio.CancelledError:
        # A request is cancelled by a server that stops, when its grace is over; its client is still there to be told.
        raise Refused(STOPPING) from None
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
