"""What every handshake is checked for, whatever it opens: host, page and key.

Laws: they are checked in this order; a refusal is counted and logged with its code, and neither keys nor addresses that may hold one are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from parley.server.access.access import Access, Grant
from parley.server.access.hosts import HostRule
from parley.server.access.origins import OriginRule
from parley.server.refusals import Refusal

log = logging.getLogger("parley.server")


class HandshakeChecks:
    """`refused` takes the code of each refusal."""

    def __init__(self, access: Access, hosts: HostRule, origins: OriginRule, refused: Callable[[str], None]) -> None:
        self._access = access
        self._hosts = hosts
        self._origins = origins
        self._refused = refused

    def page(self, host: str | None, origin: str | None) -> Refusal | None:
        """Why nobody of this page is answered under this name of the server; None where they are. Both as the headers say."""
        return self._hosts.refusal(host) or self._origins.refusal(origin, host)

    def grant(self, key: str | None) -> Grant | Refusal:
        """What the key opens, where it opens sessions."""
        return self._access.grant(key, "session")

    def note(self, refusal: Refusal, client: str) -> None:
        """`client` is refused."""
        self._refused(refusal.code)
        log.info("%s is refused: %d %s", client, refusal.status, refusal.code)
