"""What the media of one call costs the server: processor time for each packet, without a session, a client, or waiting for time.

Packets of a browser's Opus go through the guarded socket's protocol, SRTP, the parser, the decoder and the resampler; packets of a reply,
35 % of them speech, through the encoder, SRTP and a UDP socket. The encryption's keys are given, not agreed upon. Unlike
`webrtc.py`, it can be believed on a busy machine: run it a few times and take the lowest.

    python -m benchmarks.webrtc_packets
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import time
from collections.abc import Awaitable

import uvloop
from aioice import Candidate
from aioice.ice import CandidatePair
from aiortc import RTCDataChannel
from aiortc.rtcdtlstransport import State
from pylibsrtp import Policy, Session

from benchmarks.webrtc import WAV, opus, spoken
from parley.config import load
from parley.core.words.effects import Play
from parley.core.words.ids import ResponseId
from parley.core.words.settings import AudioFormat
from parley.server.links.output_queue import OutputQueue
from parley.server.links.webrtc.incoming import IncomingAudio, ReceptionReport
from parley.server.links.webrtc.opus import PACKET_SAMPLES, VoiceEncoder
from parley.server.links.webrtc.outgoing import RtpStream
from parley.server.links.webrtc.rtp import RtpAudio
from parley.server.links.webrtc.transport import CallTransport

OPUS = 111
PROFILE = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
KEY_BYTES = 28
SPEECH_SHARE = 0.35
ROUND = 200
"""Packets of one reply and the silence after it."""


class Listening:
    """The call's end of the wire: counts packets and decodes them."""

    def __init__(self) -> None:
        self.packets = 0
        self._incoming = IncomingAudio(lambda audio: None)

    def packet(self, packet: RtpAudio) -> None:
        self.packets += 1
        now_s = time.monotonic()
        self._incoming.packet(packet.source, packet.sequence, packet.timestamp, packet.payload, now_s)

    def channel(self, channel: RTCDataChannel) -> None:
        raise AssertionError("no channel is opened here")

    def patience(self) -> Awaitable[None] | None:
        return None

    def finish(self, how: str) -> None:
        raise AssertionError(how)


def srtp(key: bytes, direction: int) -> Session:
    return Session(Policy(key=key, ssrc_type=direction, srtp_profile=PROFILE))


async def measured(packets: int) -> dict[str, float]:
    """Microseconds for each packet in and out."""
    wire = Listening()
    transport = CallTransport(load(None, {}, {}).webrtc, wire)
    await transport.gather()
    connection, dtls = transport._gatherer.bounded, transport._dtls
    protocol = connection._protocols[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((protocol.local_candidate.host, 0))
        address = sink.getsockname()
        connection.checked.add(address)
        client = Candidate.from_sdp(f"1 1 udp 1 {address[0]} {address[1]} typ host")
        connection._nominated[1] = CandidatePair(protocol, client)
        key = os.urandom(KEY_BYTES)
        dtls._rx_srtp, dtls._tx_srtp = srtp(key, Policy.SSRC_ANY_INBOUND), srtp(key, Policy.SSRC_ANY_OUTBOUND)
        dtls._state, dtls.payload_type = State.CONNECTED, OPUS
        connection.take_media, connection._reader_waits = dtls.take, True
        sender, said = srtp(key, Policy.SSRC_ANY_OUTBOUND), opus(WAV)
        data = [
            sender.protect(struct.pack("!BBHII", 0x80, OPUS, at, at * 960, 5) + said[at % len(said)])
            for at in range(packets)
        ]
        began_s = time.process_time()
        for one in data:
            protocol.datagram_received(one, address)
        in_s = time.process_time() - began_s
        assert wire.packets == packets, "not every packet was read"
        out_s = sending(transport, packets)
    return {"in_us": round(in_s / packets * 1e6, 1), "out_us": round(out_s / packets * 1e6, 1)}


def sending(transport: CallTransport, packets: int) -> float:
    """Seconds of processor time for `packets` that leave."""
    queue, stream, encoder = OutputQueue(), RtpStream(7, OPUS, "benchmark"), VoiceEncoder()
    voice = spoken(WAV)[: int(ROUND * SPEECH_SHARE) * PACKET_SAMPLES * 2]
    report = stream.report(ReceptionReport(), time.time())
    began_s = time.process_time()
    for at in range(packets):
        if at % ROUND == 0:
            queue.play(Play(ResponseId("resp_1"), voice, AudioFormat.PCM16))
        audio, _ = queue.take(PACKET_SAMPLES)
        if payload := encoder.encode(audio):
            transport.send_rtp(stream.packet(payload))
        if at % 100 == 0:
            transport.send_rtp(report)
    return time.process_time() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_500, help="each way")
    options = parser.parse_args()
    figures = uvloop.run(measured(options.packets))
    print(f"{figures} a call's second: {(figures['in_us'] + figures['out_us']) / 20:.2f} ms")


if __name__ == "__main__":
    main()
