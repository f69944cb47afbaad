"""Which requests of one kind may be worked on now: their scope, their page's origin, the quota of their key, and so many places.

Laws: all of it is checked before a body is read. A request holds its place until it is answered, and is counted for its key as a session
is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from parley.server.access.access import Access, Grant
from parley.server.access.credentials import key_of_request
from parley.server.access.key_file import Scope
from parley.server.access.origins import OriginRule
from parley.server.admission import Sessions
from parley.server.refusals import Refusal, Refused

BUSY_RETRY_S = 5
"""A minute of speech, or the reply of a language model, is done within seconds."""


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
        refusal = self._origins.refusal(request.headers.get("origin"), request.headers.get("host"))
        if refusal is not None:
            raise Refused(refusal)
        return grant
