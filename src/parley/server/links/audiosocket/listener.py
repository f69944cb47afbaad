"""Where Asterisk connects to: `telephony.audiosocket`.

Laws: the port is taken before any engine is loaded, as that of HTTP is. AudioSocket knows no credential but the call's UUID: where
`telephony.audiosocket_uuids` names some, only those are taken, and compared in constant time. Connections whose
call has not begun are bounded (`waiting_calls`).
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from typing import Any, Final

from parley.config import Config, TelephonyConfig
from parley.server.access.access import Access, Grant
from parley.server.links.audiosocket.connection import AudioSocketConnection
from parley.server.links.telephone.telephone_call import CallFactory
from parley.server.links.websocket.checks import HandshakeChecks
from parley.server.refusals import Refusal
from parley.server.sockets import listen_at
from parley.server.waiting_calls import MOST_WAITING, CallMaker, WaitingCalls

UNKNOWN: Final = Refusal(
    403,
    "unknown_call",
    "The call's UUID is not in telephony.audiosocket_uuids. Use the same UUID in the dialplan and in that list.",
)


def listen_for_calls(telephony: TelephonyConfig) -> socket.socket | None:
    """The listening socket; None where none is configured. Raises `ConfigError`."""
    if telephony.audiosocket is None:
        return None
    return listen_at(*telephony.audiosocket, "Choose another one with telephony.audiosocket.")


class AudioSocketDoor:
    """Makes the `AudioSocketConnection` of each TCP connection, and is their `CallDoor`."""

    def __init__(self, config: Config, access: Access, checks: HandshakeChecks, calls: CallFactory) -> None:
        self._server = config.server
        self._uuids = config.telephony.audiosocket_uuids
        self._key_name = config.telephony.key_name
        self._access = access
        self._checks = checks
        self._calls = calls
        self._waiting = WaitingCalls(MOST_WAITING)

    def connection(self, connections: set[Any]) -> asyncio.Protocol:
        """`connections` is uvicorn's set of what it must close when it stops."""
        return AudioSocketConnection(self, self._calls, connections, self._server.messages_per_second)

    def admit(self, uuid: str) -> Grant | Refusal:
        found = not self._uuids
        for known in self._uuids:
            found |= hmac.compare_digest(known, uuid)
        return self._access.account(self._key_name) if found else UNKNOWN

    def waits(self, connection: AudioSocketConnection, client: str) -> Refusal | None:
        maker = CallMaker.of(None, client)
        refusal = self._waiting.refusal(maker)
        if refusal is None:
            self._waiting.enter(connection, maker)
        return refusal

    def began(self, connection: AudioSocketConnection) -> None:
        self._waiting.leave(connection)

    def refuse(self, refusal: Refusal, client: str) -> None:
        self._checks.refusals.note(refusal, client, refusal.message)
