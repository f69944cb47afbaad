"""Writes the answer to an offer: one audio section with Opus, one data channel section, all else inactive.

Laws: pure. The answer has the sections of the offer, in its order (RFC 3264). Its audio names the stream and the track (`a=msid`), so
that a browser gives the track in `event.streams[0]`; candidates stand in the first section, whose transport all others share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from parley.server.links.webrtc.offer import CallOffer, Direction, Section

MAX_MESSAGE: Final = 256 * 1024
"""Bytes of one message that the server takes. Browsers send no longer ones."""

SCTP_PORT: Final = 5000

_REVERSED: Final[dict[Direction, Direction]] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}


@dataclass(frozen=True, slots=True)
class LocalCandidate:
    """An address at which the server is reached. `related` is the base of a reflexive or relayed one."""

    foundation: str
    priority: int
    host: str
    port: int
    type: str
    related: tuple[str, int] | None = None

    def line(self) -> str:
        base = "" if self.related is None else f" raddr {self.related[0]} rport {self.related[1]}"
        return f"candidate:{self.foundation} 1 udp {self.priority} {self.host} {self.port} typ {self.type}{base}"


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """The server's end of the one transport."""

    candidates: tuple[LocalCandidate, ...]
    ufrag: str
    password: str
    fingerprint: tuple[str, str]
    """Algorithm and value."""


@dataclass(frozen=True, slots=True)
class LocalAudio:
    """The stream that the server sends."""

    ssrc: int
    cname: str
    stream: str
    track: str


def written_answer(offer: CallOffer, transport: LocalTransport, audio: LocalAudio, session: int) -> str:
    """The SDP text. `session` is the number of the `o=` line."""
    bundled = " ".join(section.mid for section in offer.sections if section.bundled)
    lines = [
        "v=0",
        f"o=- {session} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {bundled}",
        "a=msid-semantic: WMS *",
    ]
    for at, section in enumerate(offer.sections):
        if not section.bundled:
            lines += _rejected(section)
        elif at == offer.audio:
            lines += _audio(offer, section, transport, audio)
        elif at == offer.channel:
            lines += _channel(offer, section, transport)
        else:
            lines += _inactive(offer, section, transport)
    return "\r\n".join(lines) + "\r\n"


def _audio(offer: CallOffer, section: Section, transport: LocalTransport, audio: LocalAudio) -> list[str]:
    direction = _REVERSED[offer.direction]
    return [
        _head(section, transport, str(offer.opus)),
        _address(transport),
        "a=rtcp:9 IN IP4 0.0.0.0",
        *_shared(offer, section, transport),
        f"a={direction}",
        f"a=msid:{audio.stream} {audio.track}",
        "a=rtcp-mux",
        f"a=rtpmap:{offer.opus} opus/48000/2",
        f"a=fmtp:{offer.opus} minptime=10",
        "a=ptime:20",
        f"a=ssrc:{audio.ssrc} cname:{audio.cname}",
        f"a=ssrc:{audio.ssrc} msid:{audio.stream} {audio.track}",
    ]


def _channel(offer: CallOffer, section: Section, transport: LocalTransport) -> list[str]:
    older = section.profile == "DTLS/SCTP"
    return [
        _head(section, transport, str(SCTP_PORT) if older else "webrtc-datachannel"),
        _address(transport),
        *_shared(offer, section, transport),
        f"a=sctpmap:{SCTP_PORT} webrtc-datachannel 65535" if older else f"a=sctp-port:{SCTP_PORT}",
        f"a=max-message-size:{MAX_MESSAGE}",
    ]


def _inactive(offer: CallOffer, section: Section, transport: LocalTransport) -> list[str]:
    """A section that shares the transport and carries nothing. It keeps a codec: some clients take one without for a fault."""
    return [
        _head(section, transport, " ".join(section.formats)),
        _address(transport),
        *_shared(offer, section, transport),
        "a=inactive",
        *(["a=rtcp-mux"] if section.kind in ("audio", "video") else []),
        *(f"a={line}" for line in section.codec),
    ]


def _rejected(section: Section) -> list[str]:
    head = f"m={section.kind} 0 {section.profile} {' '.join(section.formats) or '0'}"
    return [head, "c=IN IP4 0.0.0.0", "a=inactive", *([f"a=mid:{section.mid}"] if section.mid else [])]


def _head(section: Section, transport: LocalTransport, formats: str) -> str:
    port = transport.candidates[0].port if transport.candidates else 9
    return f"m={section.kind} {port} {section.profile} {formats}"


def _address(transport: LocalTransport) -> str:
    host = transport.candidates[0].host if transport.candidates else "0.0.0.0"
    return f"c=IN {'IP6' if ':' in host else 'IP4'} {host}"


def _shared(offer: CallOffer, section: Section, transport: LocalTransport) -> list[str]:
    algorithm, value = transport.fingerprint
    first = next(one for one in offer.sections if one.bundled)
    candidates = [*(f"a={candidate.line()}" for candidate in transport.candidates), "a=end-of-candidates"]
    return [
        *(candidates if section is first else []),
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
        f"a=fingerprint:{algorithm} {value}",
        f"a=setup:{'passive' if offer.setup == 'active' else 'active'}",
        f"a=mid:{section.mid}",
    ]
