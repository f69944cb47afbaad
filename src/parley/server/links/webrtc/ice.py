"""The server's addresses for one call, and which datagrams get past them: ICE, by aioice.

Laws:
- Sockets are bound within the range of the settings, where there is one.
- A datagram that is no STUN message is taken from an address that has passed a connectivity check, and from no other: whoever does not
  know the call's password gets nothing past this file. What waits to be read is bounded.
- The server never asks for names: candidates are addresses (`offer`).

aioice has no port range and no such bounds: `BoundedConnection` puts them into its `Connection`, for the versions that the extra `webrtc`
allows.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, server_reflexive_candidate
from aioice.stun import Message
from aiortc import RTCIceGatherer, RTCIceServer

from parley.config.values import WebRtcConfig

log = logging.getLogger("parley.server")

MAX_WAITING: Final = 256
"""Datagrams that wait to be read: five seconds of speech. A client that sends faster than it is read loses the rest."""

RECEIVE_BYTES: Final = 256 * 1024
"""Of the system's buffer for a socket: a long message comes in a burst, and what is lost of it costs a second."""

MAX_PEERS: Final = 64
"""Addresses from which a client may have checked its connection; a phone that roams between networks has a few in an hour."""

GATHER_S: Final = 3
"""For the answers of the STUN and the TURN server. A caller waits for its own answer meanwhile."""

LOOPBACK: Final = "127.0.0.1"
"""For a machine that has no other address: a laptop without a network talks to itself."""

MEDIA: Final = range(128, 192)
"""First bytes of SRTP and SRTCP (RFC 7983)."""

STUN_BELOW: Final = 4
"""The first byte of a STUN message is smaller (RFC 7983)."""


class GuardedProtocol(StunProtocol):
    """A socket that hands on what came from a checked address."""

    receiver: BoundedConnection

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if data and isinstance(data, bytes) and data[0] >= STUN_BELOW:
            if (addr[0], addr[1]) in self.receiver.checked:
                self.receiver.data_received(data, self.local_candidate.component)
            return
        super().datagram_received(data, addr)


class BoundedConnection(Connection):
    """A `Connection` with a range of ports and a bounded queue. `heard_s` is when the client was last heard (monotonic)."""

    def __init__(self, ports: tuple[int, int] | None, **options: Any) -> None:
        super().__init__(**options)
        self._ports = ports
        self.checked: set[tuple[str, int]] = set()
        self.take_media: Callable[[bytes], None] | None = None
        """Takes SRTP and SRTCP at once, while the reader waits for more; else they take their turn in the queue."""
        self._reader_waits = False
        self.heard_s = time.monotonic()

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = GATHER_S
    ) -> list[Candidate]:
        """Bind a socket on each address, then ask the STUN and the TURN server."""
        places = addresses or [LOOPBACK]
        bound = [protocol for address in places if (protocol := await self._bound(component, address)) is not None]
        self._protocols += bound
        found = [protocol.local_candidate for protocol in bound]
        stun = self.stun_server
        asked = [
            asyncio.ensure_future(server_reflexive_candidate(protocol, stun))
            for protocol in bound
            if stun is not None and ":" not in protocol.local_candidate.host
        ]
        # aioice asks the TURN server; without addresses, it does nothing else.
        relayed = asyncio.ensure_future(super().get_component_candidates(component, [], timeout))
        done, pending = await asyncio.wait((*asked, relayed), timeout=timeout + 1)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        reflexive = [task.result()[0] for task in asked if task in done and task.exception() is None]
        relays = relayed.result() if relayed in done else []
        if asked and not reflexive:
            log.warning("the STUN server %s:%d does not answer (webrtc.ice_servers)", *(stun or ()))
        if self.turn_server is not None and not relays:
            log.warning("the TURN server %s:%d gives no relay (webrtc.ice_servers)", *self.turn_server)
        return [*found, *reflexive, *relays]

    async def _bound(self, component: int, address: str) -> StunProtocol | None:
        """A socket on this address; None where none can be had."""
        loop = asyncio.get_running_loop()
        for port in self._possible_ports():
            try:
                _, protocol = await loop.create_datagram_endpoint(
                    lambda: GuardedProtocol(self), local_addr=(address, port)
                )
            except OSError:
                continue
            open_socket = protocol.transport.get_extra_info("socket")
            if open_socket is not None:
                open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            host, taken = protocol.transport.get_extra_info("sockname")[:2]
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", host),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host"),
                host=host,
                port=taken,
                type="host",
            )
            return protocol
        return None

    def _possible_ports(self) -> list[int]:
        """The ports to try, in an order that nobody can predict."""
        if self._ports is None:
            return [0]
        low, high = self._ports
        return random.sample(range(low, high + 1), high + 1 - low)

    def check_incoming(self, message: Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """A check that knew the password."""
        self.heard_s = time.monotonic()
        if len(self.checked) < MAX_PEERS or addr in self.checked:
            self.checked.add(addr)
            super().check_incoming(message, addr, protocol)

    def data_received(self, data: bytes, component: int) -> None:
        # aioice hands on what it cannot read as STUN, and aiortc cannot read what is empty.
        if not data or data[0] < STUN_BELOW:
            return
        self.heard_s = time.monotonic()
        take = self.take_media
        if take is not None and self._reader_waits and data[0] in MEDIA and self._queue.empty():
            take(data)
        elif self._queue.qsize() < MAX_WAITING:
            super().data_received(data, component)

    async def recvfrom(self) -> tuple[bytes, int]:
        """The next datagram of the queue. Raises `ConnectionError` once the connection is lost."""
        self._reader_waits = True
        try:
            return await super().recvfrom()
        finally:
            self._reader_waits = False

    def send_now(self, data: bytes) -> None:
        """Send a datagram on the nominated pair, without waiting. Raises `ConnectionError` where there is none."""
        pair = self._nominated.get(1)
        if pair is None:
            raise ConnectionError("no path to the client has been found yet")
        pair.protocol.transport.sendto(data, pair.remote_addr)


class BoundedGatherer(RTCIceGatherer):
    """An `RTCIceGatherer` on a `BoundedConnection`."""

    def __init__(self, settings: WebRtcConfig) -> None:
        super().__init__(iceServers=_servers(settings))
        plain = self._connection
        self.bounded = self._connection = BoundedConnection(
            settings.ports,
            ice_controlling=False,
            stun_server=plain.stun_server,
            turn_server=plain.turn_server,
            turn_username=plain.turn_username,
            turn_password=plain.turn_password,
            turn_ssl=plain.turn_ssl,
            turn_transport=plain.turn_transport,
        )


def _servers(settings: WebRtcConfig) -> list[RTCIceServer]:
    return [
        RTCIceServer(url, settings.ice_username or None, settings.ice_credential or None)
        for url in settings.ice_servers
    ]
