"""Reads a caller's offer (SDP, RFC 8866 as JSEP uses it): what of it the server takes, and whom it has to reach.

Laws:
- Pure, and bounded before anything is read: `MAX_OFFER_BYTES`, `MAX_SECTIONS`, `MAX_LINES`. What is not needed is not parsed.
- One transport: the sections of one BUNDLE group. Of them, the first audio section that has Opus is the call's audio, and the first data
  channel section its events; all others are answered as inactive, or rejected where they have a transport of their own.
- Candidates that name no address (mDNS) or are not UDP are left out: a caller behind one is learnt from its own checks.

Does not know: aiortc, addresses of this machine, sessions.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from parley.server.refusals import Refusal, Refused

MAX_OFFER_BYTES: Final = 64 * 1024
"""A browser's offer with audio, video and a data channel has 7 KiB."""

MAX_SECTIONS: Final = 16
MAX_LINES: Final = 2_000
MAX_CANDIDATES: Final = 20
"""Addresses to which connectivity checks are sent; a laptop with a VPN has a dozen. A caller could name strangers' addresses."""

MAX_FINGERPRINTS: Final = 4

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Setup = Literal["active", "passive", "actpass"]

_DIRECTIONS: Final[Sequence[Direction]] = ("sendrecv", "sendonly", "recvonly", "inactive")
_MEDIA = re.compile(
    r"(?P<kind>[a-z]{1,20}) (?P<port>[0-9]{1,5})(?:/[0-9]{1,5})? (?P<profile>[A-Z/]{1,40}) (?P<formats>.{1,2000})"
)
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT = re.compile(
    r"(?P<algorithm>sha-(?:256|384|512)) (?P<value>[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31,63})", re.IGNORECASE
)
_MID = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,32}")
_NUMBER = re.compile(r"[0-9]{1,10}")
_OPUS = re.compile(r"(?P<type>[0-9]{1,3}) opus/48000/2", re.IGNORECASE)
_SECTION_ATTRIBUTES: Final = frozenset(
    (
        "mid",
        "bundle-only",
        "rtcp-mux",
        "rtpmap",
        "fmtp",
        "sctp-port",
        "sctpmap",
        "max-message-size",
        "candidate",
        *_DIRECTIONS,
    )
)
_SHARED_ATTRIBUTES: Final = frozenset(("ice-ufrag", "ice-pwd", "fingerprint", "setup"))

DEFAULT_MAX_MESSAGE: Final = 64 * 1024
"""RFC 8841: what a peer that says nothing takes."""


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    """An address of the caller, as it wrote it."""

    foundation: str
    component: int
    priority: int
    host: str
    port: int
    type: str


@dataclass(frozen=True, slots=True)
class Section:
    """A media section as the answer has to repeat it. `codec` has the `rtpmap` and `fmtp` lines of its first format."""

    kind: str
    profile: str
    formats: tuple[str, ...]
    mid: str
    bundled: bool
    codec: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallOffer:
    """`audio` and `channel` are indices into `sections`; `channel` None: the caller has no data channel."""

    sections: tuple[Section, ...]
    audio: int
    opus: int
    """The payload type."""
    direction: Direction
    """The caller's: `sendonly` means that it does not listen."""
    channel: int | None
    sctp_port: int
    max_message: int
    """Bytes of one message that the caller takes; 0: any."""
    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: Setup
    candidates: tuple[RemoteCandidate, ...]

    @property
    def listens(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")

    @property
    def speaks(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")


@dataclass(slots=True)
class _Lines:
    """The attributes of the session or of one section: the values by name, in order."""

    media: re.Match[str] | None = None
    values: dict[str, list[str]] = field(default_factory=dict)

    def first(self, name: str) -> str | None:
        found = self.values.get(name)
        return found[0] if found else None

    def has(self, name: str) -> bool:
        return name in self.values


def read_offer(body: bytes) -> CallOffer:
    """The offer in `body`. Raises `Refused` (`invalid_offer`), which says what is wrong with it."""
    session, sections = _parsed(body)
    bundle = _bundle(session)
    described = tuple(_section(lines, bundle) for lines in sections)
    audio, opus = _audio(sections, described)
    _require_bundle(described[audio])
    channel = next((at for at, one in enumerate(described) if _is_channel(one) and one.bundled), None)
    if not sections[audio].has("rtcp-mux"):
        raise _invalid("Its audio section has no a=rtcp-mux; RTP and RTCP share one port here.")
    sctp_port, max_message = _sctp(sections[channel]) if channel is not None else (0, 0)
    # What describes the transport stands in the group's first section, and may stand in others and above all.
    shared = (*(lines for lines, one in zip(sections, described, strict=True) if one.bundled), session)
    return CallOffer(
        sections=described,
        audio=audio,
        opus=opus,
        direction=_direction(sections[audio]),
        channel=channel,
        sctp_port=sctp_port,
        max_message=max_message,
        ufrag=_matching(_UFRAG, _shared(shared, "ice-ufrag"), "a=ice-ufrag"),
        password=_matching(_PASSWORD, _shared(shared, "ice-pwd"), "a=ice-pwd"),
        fingerprints=_fingerprints(_shared(shared, "fingerprint")),
        setup=_setup(next(iter(_shared(shared, "setup")), None)),
        candidates=tuple(_candidates(sections, described)),
    )


def _invalid(message: str) -> Refused:
    return Refused(Refusal(400, "invalid_offer", f"The SDP offer cannot be used. {message}", "sdp"))


def _parsed(body: bytes) -> tuple[_Lines, list[_Lines]]:
    if len(body) > MAX_OFFER_BYTES:
        raise Refused(Refusal(413, "offer_too_large", f"An SDP offer may have {MAX_OFFER_BYTES} bytes.", "sdp"))
    try:
        lines = body.decode().splitlines()
    except UnicodeDecodeError:
        raise _invalid("It is not UTF-8.") from None
    if not lines or lines[0].strip() != "v=0":
        raise _invalid("It does not begin with v=0. Send RTCSessionDescription.sdp as it is, as application/sdp.")
    if len(lines) > MAX_LINES:
        raise _invalid(f"It has more than {MAX_LINES} lines.")
    session, sections = _Lines(), list[_Lines]()
    for line in lines:
        kind, equals, value = line[:1], line[1:2], line[2:].strip()
        if kind == "m" and equals == "=":
            media = _MEDIA.fullmatch(value)
            if media is None:
                raise _invalid(f"The line {line[:80]!r} cannot be read.")
            if len(sections) >= MAX_SECTIONS:
                raise _invalid(f"It has more than {MAX_SECTIONS} media sections.")
            sections.append(_Lines(media))
        elif kind == "a" and equals == "=":
            name, _, rest = value.partition(":")
            into = sections[-1] if sections else session
            if name in _SHARED_ATTRIBUTES or name in _SECTION_ATTRIBUTES or (name == "group" and not sections):
                into.values.setdefault(name, []).append(rest)
    return session, sections


def _bundle(session: _Lines) -> frozenset[str]:
    """The mids of the first BUNDLE group: they share a transport."""
    groups = [value.split() for value in session.values.get("group", ())]
    found: list[str] = next((group[1:] for group in groups if group and group[0] == "BUNDLE"), [])
    return frozenset(found)


def _section(lines: _Lines, bundle: frozenset[str]) -> Section:
    assert lines.media is not None
    formats = tuple(lines.media["formats"].split())
    mid = lines.first("mid") or ""
    if mid and _MID.fullmatch(mid) is None:
        raise _invalid("A media section has an a=mid that is not a token of 32 characters at most.")
    first = formats[0] if formats else ""
    codec = [
        f"{name}:{value}"
        for name in ("rtpmap", "fmtp")
        for value in lines.values.get(name, ())
        if value.partition(" ")[0] == first
    ]
    bundled = bool(mid) and mid in bundle and not _is_off(lines)
    return Section(lines.media["kind"], lines.media["profile"], formats[:1], mid, bundled, tuple(codec[:2]))


def _is_off(lines: _Lines) -> bool:
    """Whether the caller has switched the section off: port 0, unless it only has no port of its own."""
    assert lines.media is not None
    return lines.media["port"] == "0" and not lines.has("bundle-only")


def _audio(sections: Sequence[_Lines], described: Sequence[Section]) -> tuple[int, int]:
    """The first audio section that has Opus, and its payload type."""
    heard = [at for at, one in enumerate(described) if one.kind == "audio"]
    if not heard:
        raise _invalid("It has no audio section: add a track, or a transceiver for audio, before createOffer().")
    for at in heard:
        media = sections[at].media
        assert media is not None
        offered = media["formats"].split()
        for value in sections[at].values.get("rtpmap", ()):
            found = _OPUS.fullmatch(value)
            if (
                found is not None
                and found["type"] in offered
                and not _is_off(sections[at])
                and int(found["type"]) < 128
            ):
                return at, int(found["type"])
    raise _invalid("Its audio section has no Opus (opus/48000/2), which is the one codec here.")


def _require_bundle(audio: Section) -> None:
    if not audio.bundled:
        raise _invalid("Its audio section is in no BUNDLE group; use the bundle policy 'max-bundle' or 'balanced'.")


def _is_channel(section: Section) -> bool:
    return section.kind == "application" and section.profile in ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP")


def _sctp(lines: _Lines) -> tuple[int, int]:
    """The SCTP port and the longest message of a data channel section, in both spellings (RFC 8841, and the older `sctpmap`)."""
    port = lines.first("sctp-port") or (lines.first("sctpmap") or "5000").partition(" ")[0]
    longest = lines.first("max-message-size")
    if _NUMBER.fullmatch(port) is None or not 0 < int(port) < 65_536:
        raise _invalid("Its data channel section has no valid a=sctp-port.")
    if longest is None:
        return int(port), DEFAULT_MAX_MESSAGE
    if re.fullmatch(r"[0-9]{1,20}", longest) is None:
        raise _invalid("Its data channel section has no valid a=max-message-size.")
    return int(port), int(longest)


def _shared(places: Sequence[_Lines], name: str) -> Sequence[str]:
    """The values of an attribute in the first of `places` that has it."""
    return next((lines.values[name] for lines in places if lines.has(name)), ())


def _matching(pattern: re.Pattern[str], values: Sequence[str], name: str) -> str:
    if not values or pattern.fullmatch(values[0]) is None:
        raise _invalid(f"It has no valid {name}.")
    return values[0]


def _fingerprints(values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = [match for match in map(_FINGERPRINT.fullmatch, values[:MAX_FINGERPRINTS]) if match is not None]
    if not found:
        raise _invalid("It has no a=fingerprint with SHA-256, SHA-384 or SHA-512.")
    return tuple((match["algorithm"].lower(), match["value"].upper()) for match in found)


def _setup(value: str | None) -> Setup:
    if value in (None, "actpass"):
        return "actpass"
    if value == "active":
        return "active"
    if value == "passive":
        return "passive"
    raise _invalid("Its a=setup is none of actpass, active and passive.")


def _direction(lines: _Lines) -> Direction:
    return next((one for one in _DIRECTIONS if lines.has(one)), "sendrecv")


def _candidates(sections: Sequence[_Lines], described: Sequence[Section]) -> Iterator[RemoteCandidate]:
    left = MAX_CANDIDATES
    for lines, section in zip(sections, described, strict=True):
        if not section.bundled:
            continue
        for value in lines.values.get("candidate", ()):
            found = _candidate(value.split())
            if found is not None and left:
                left -= 1
                yield found


def _candidate(words: Sequence[str]) -> RemoteCandidate | None:
    """A UDP candidate that names an address; None for others."""
    if len(words) < 8 or words[6] != "typ" or words[2].lower() != "udp" or words[1] != "1":
        return None
    if not (_NUMBER.fullmatch(words[3]) and re.fullmatch(r"[0-9]{1,5}", words[5]) and 0 < int(words[5]) < 65_536):
        return None
    if words[7] not in ("host", "srflx", "relay") or not re.fullmatch(r"[A-Za-z0-9+/]{1,32}", words[0]):
        return None
    try:
        address = ipaddress.ip_address(words[4])
    except ValueError:
        return None
    if address.is_multicast or address.is_unspecified:
        return None
    return RemoteCandidate(words[0], 1, int(words[3]), str(address), int(words[5]), words[7])
