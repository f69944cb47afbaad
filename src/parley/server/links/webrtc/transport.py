"""The encrypted connection of one call: ICE, DTLS, SRTP and SCTP, by aiortc. It carries RTP packets and data channels.

Laws:
- One transport for all that a call has. It is made of aiortc's parts rather than of its `RTCPeerConnection`, which decodes in a thread
  for each call, holds back 80 ms of speech and makes a transport for each section.
- What the client sends is bounded: streams, messages and their fragments; garbage inside the encrypted connection ends it.
- While `patience` waits, nothing more is read from this client.
- `close` gives back every socket, and raises nothing.

Does not know: sessions, Opus, what a message means.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import time
from collections.abc import Awaitable
from typing import Any, Final, Protocol

import pylibsrtp
from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceParameters,
    RTCIceTransport,
    RTCSctpCapabilities,
    RTCSctpTransport,
)
from aiortc.rtcdtlstransport import State
from aiortc.rtcsctptransport import Chunk

from parley.config.values import WebRtcConfig
from parley.server.links.webrtc.answer import MAX_MESSAGE, LocalCandidate, LocalTransport
from parley.server.links.webrtc.ice import BoundedGatherer
from parley.server.links.webrtc.offer import CallOffer
from parley.server.links.webrtc.rtp import RtpAudio, is_rtcp, parsed

log = logging.getLogger("parley.server")

MAX_STREAMS: Final = 64
"""SCTP streams, and sources of RTP, of one client; a browser has one of each."""

MAX_UNREAD: Final = MAX_MESSAGE + 256 * 1024
"""Bytes of fragments that have not become a message yet."""

WINDOW: Final = 1024 * 1024
"""aiortc's receive window; what is missing of it has not become a message yet."""


class Wire(Protocol):
    """Who takes what comes. Nothing here may raise."""

    def packet(self, packet: RtpAudio) -> None:
        """A packet with audio."""

    def channel(self, channel: RTCDataChannel) -> None:
        """The client has opened a data channel."""

    def patience(self) -> Awaitable[None] | None:
        """What must be waited for before more is read; None: nothing."""

    def finish(self, how: str) -> None:
        """The connection is over, or about to be; the first reason counts."""


class BoundedSctp(RTCSctpTransport):
    """SCTP within bounds. Whoever breaks them, or the protocol, loses the connection."""

    def __init__(self, dtls: RTCDtlsTransport, wire: Wire) -> None:
        super().__init__(dtls)
        self._wire = wire

    async def _handle_data(self, data: bytes) -> None:
        try:
            await super()._handle_data(data)
        except (AssertionError, ValueError, LookupError, struct.error) as fault:
            self._wire.finish("the client broke the protocol of data channels")
            raise ConnectionError from fault
        if WINDOW - self._advertised_rwnd > MAX_UNREAD or len(self._inbound_streams) > MAX_STREAMS:
            self._wire.finish("the client sent more in one message, or on more channels, than is read")
            raise ConnectionError
        while (waits := self._wire.patience()) is not None:
            await waits

    async def _send_chunk(self, chunk: Chunk) -> None:
        """Timers and tasks of aiortc's own send, too, after the connection is lost; nobody takes their exceptions."""
        with contextlib.suppress(ConnectionError):
            await super()._send_chunk(chunk)

    @property
    def idle(self) -> bool:
        """Whether all that was sent has arrived."""
        return not (self._data_channel_queue or self._outbound_queue or self._sent_queue)


class MediaDtls(RTCDtlsTransport):
    """DTLS and SRTP. Media goes from the socket to `wire` and back in one call each, without a task, a queue or a parser of aiortc's.

    What comes while the reader does not wait (`BoundedConnection.take_media`) goes by aiortc's queue, and ends in the same place.
    """

    def __init__(self, ice: RTCIceTransport, certificate: RTCCertificate, wire: Wire) -> None:
        super().__init__(ice, [certificate])
        self._wire = wire
        self._sources: set[int] = set()
        self.payload_type = -1
        """Of the audio that is read."""

    def take(self, data: bytes) -> None:
        """SRTP or SRTCP from the socket. What is not authentic, or longer than a datagram of media, is dropped."""
        if self._state is State.CONNECTED and not is_rtcp(data):
            with contextlib.suppress(pylibsrtp.Error, ValueError):
                self._read(self._rx_srtp.unprotect(data))

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        self._read(data)

    async def _handle_rtcp_data(self, data: bytes) -> None:
        """Reports change nothing here: the bit rate is fixed, and lost audio is not sent again."""

    def _read(self, data: bytes) -> None:
        packet = parsed(data, self.payload_type)
        if packet is None:
            return
        if packet.source not in self._sources:
            if len(self._sources) >= MAX_STREAMS:
                self._wire.finish("the client sent audio of more sources than are read")
                return
            self._sources.add(packet.source)
        self._wire.packet(packet)

    def encrypted_packet(self, data: bytes) -> bytes | None:
        """An RTP or RTCP packet as SRTP or SRTCP; None where the connection is lost."""
        if self._state is not State.CONNECTED:
            return None
        protected: bytes = self._tx_srtp.protect_rtcp(data) if is_rtcp(data) else self._tx_srtp.protect(data)
        return protected


class CallTransport:
    """`gather`, `connect`, then `send_rtp`; `close` at the end, at any time."""

    def __init__(self, settings: WebRtcConfig, wire: Wire) -> None:
        self._settings = settings
        self._wire = wire
        self._gatherer = BoundedGatherer(settings)
        certificate = RTCCertificate.generateCertificate()
        self._fingerprint = next(one for one in certificate.getFingerprints() if one.algorithm == "sha-256")
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = MediaDtls(self._ice, certificate, wire)
        self._dtls.on("statechange", self._changed)
        self._sctp: BoundedSctp | None = None

    async def gather(self) -> LocalTransport:
        """Bind sockets and find out how they are reached. Raises `ConnectionError` where there is no address."""
        await self._gatherer.gather()
        candidates = tuple(self._announced(one) for one in self._gatherer.getLocalCandidates())
        if not candidates:
            raise ConnectionError("no UDP port could be bound")
        local = self._gatherer.getLocalParameters()
        assert local.usernameFragment is not None
        assert local.password is not None
        return LocalTransport(
            candidates, local.usernameFragment, local.password, (self._fingerprint.algorithm, self._fingerprint.value)
        )

    def _announced(self, candidate: RTCIceCandidate) -> LocalCandidate:
        host, announced = candidate.ip, self._settings.announced_address
        if announced and candidate.type == "host" and (":" in host) == (":" in announced):
            host = announced
        related = None
        if candidate.relatedAddress is not None and candidate.relatedPort is not None:
            # What a base is called in a private network is nobody's business where an address is announced.
            related = ("0.0.0.0", 9) if announced else (candidate.relatedAddress, candidate.relatedPort)
        return LocalCandidate(candidate.foundation, candidate.priority, host, candidate.port, candidate.type, related)

    async def connect(self, offer: CallOffer) -> None:
        """Let the client in. Raises `ConnectionError` where it does not come, or is another one than it said."""
        bounded = self._gatherer.bounded
        bounded.remote_username, bounded.remote_password = offer.ufrag, offer.password
        for one in offer.candidates:
            await self._ice.addRemoteCandidate(
                RTCIceCandidate(one.component, one.foundation, one.host, one.port, one.priority, "udp", one.type)
            )
        # There is no end of candidates: a client that named no address is learnt from its checks, whenever they come.
        await self._ice.start(RTCIceParameters(offer.ufrag, offer.password))
        if self._ice.state != "completed":
            raise ConnectionError("no path to the client was found")
        self._dtls._set_role("server" if offer.setup == "active" else "client")
        self._listen(offer)
        await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(*one) for one in offer.fingerprints]))
        if self._dtls.state != "connected":
            raise ConnectionError("the encryption could not be agreed upon")
        bounded.take_media = self._dtls.take
        if self._sctp is not None:
            await self._sctp.start(RTCSctpCapabilities(offer.max_message), offer.sctp_port)

    def _listen(self, offer: CallOffer) -> None:
        """What comes must have somebody to take it from the first packet on."""
        self._dtls.payload_type = offer.opus
        if offer.channel is not None:
            self._sctp = BoundedSctp(self._dtls, self._wire)
            self._sctp.on("datachannel", self._wire.channel)

    def send_rtp(self, data: bytes) -> None:
        """Send an RTP or RTCP packet. Nothing happens once the connection is lost."""
        packet = self._dtls.encrypted_packet(data)
        if packet is not None:
            with contextlib.suppress(ConnectionError):
                self._gatherer.bounded.send_now(packet)

    @property
    def idle(self) -> bool:
        """Whether all messages that were sent have arrived."""
        return self._sctp is None or self._sctp.idle

    @property
    def silent_s(self) -> float:
        """How long ago the client was last heard, by a packet or by a check of its connection."""
        return time.monotonic() - self._gatherer.bounded.heard_s

    def _changed(self) -> None:
        if self._dtls.state == "closed":
            self._wire.finish("the client hung up")

    async def close(self) -> None:
        """Say goodbye and let everything go."""
        self._dtls.remove_all_listeners()
        self._gatherer.bounded.take_media = None
        parts: list[Any] = [self._dtls, self._ice] if self._sctp is None else [self._sctp, self._dtls, self._ice]
        for part in parts:
            try:
                await part.stop()
            except (ConnectionError, OSError) as fault:
                log.debug("a part of a call did not close: %s", fault)
