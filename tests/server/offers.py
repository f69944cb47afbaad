"""Offers as text, as browsers write them; nobody is behind them."""

from __future__ import annotations

FINGERPRINT = ":".join(["AB"] * 32)

TRANSPORT = [
    "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuvwx",
    f"a=fingerprint:sha-256 {FINGERPRINT}",
    "a=setup:actpass",
]

AUDIO = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
    "c=IN IP4 0.0.0.0",
    "a=rtcp:9 IN IP4 0.0.0.0",
    "a=candidate:1 1 udp 2113937151 7d6a9a8e-7f06-4f4f-b5a2-1d3b1b1c0e6a.local 52011 typ host generation 0",
    *TRANSPORT,
    "a=mid:0",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=sendrecv",
    "a=msid:- 3d1c1f2e-6d0a-4c38-8a26-0e6f0e9a4d55",
    "a=rtcp-mux",
    "a=rtpmap:111 opus/48000/2",
    "a=rtcp-fb:111 transport-cc",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:63 red/48000/2",
    "a=fmtp:63 111/111",
    "a=rtpmap:0 PCMU/8000",
]

VIDEO = [
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
    "c=IN IP4 0.0.0.0",
    *TRANSPORT,
    "a=mid:1",
    "a=sendrecv",
    "a=rtcp-mux",
    "a=rtpmap:96 VP8/90000",
    "a=rtpmap:97 rtx/90000",
    "a=fmtp:97 apt=96",
]

CHANNEL = [
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    *TRANSPORT,
    "a=mid:2",
    "a=sctp-port:5000",
    "a=max-message-size:262144",
]

HEAD = ["v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]


def an_offer(*sections: list[str], bundle: str = "0 1 2") -> bytes:
    """An offer with these sections; a browser's with audio, video and a channel where there are none."""
    chosen = sections or (AUDIO, VIDEO, CHANNEL)
    lines = [*HEAD, f"a=group:BUNDLE {bundle}", *(line for section in chosen for line in section)]
    return ("\r\n".join(lines) + "\r\n").encode()
