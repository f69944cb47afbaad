"""What every handshake is checked for, whatever it opens: host, page and key.

Laws: they are checked in this order; a refusal is counted and logged (`refusal_log`) with its code, and neither keys nor addresses that may
hold one are.
"""

from __future__ import annotations

from parley.server.access.access import Access, Grant
from parley.server.access.hosts import HostRule
from parley.server.access.origins import OriginRule
from parley.server.refusal_log import RefusalLog
from parley.server.refusals import Refusal


class HandshakeChecks:
    """`refusals` is where each refusal is noted."""

    def __init__(self, access: Access, hosts: HostRule, origins: OriginRule, refusals: RefusalLog) -> None:
        self._access = access
        self._hosts = hosts
        self._origins = origins
        self.refusals = refusals

    def page(self, host: str | None, origin: str | None) -> Refusal | None:
        """Why nobody of this page is answered under this name of the server; None where they are. Both as the headers say."""
        return self._hosts.refusal(host) or self._origins.refusal(origin, host)

    def grant(self, key: str | None) -> Grant | Refusal:
        """What the key opens, where it opens sessions."""
        return self._access.grant(key, "session")
