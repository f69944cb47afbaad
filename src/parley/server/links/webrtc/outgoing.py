"""What a client hears: 20 ms of it every 20 ms, encoded, in RTP packets.

Laws:
- The pace is monotonic time's: packet n is due n * 20 ms after the first, however late others were. A loop that was held for up to
  `CATCH_UP_S` sends what it owes at once; beyond that the time is skipped, on the client's clock too (the RTP timestamp), so that nothing
  is late for ever.
- What has been taken of the queue counts as played in that same call: nothing can stop it any more.
- A caller that does not listen is sent nothing, and the reply goes on at the same pace.

Does not know: sockets (`send` has them), sessions, what is said.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Callable
from typing import Final

from parley.server.links.output_queue import OutputQueue
from parley.server.links.webrtc.incoming import ReceptionReport
from parley.server.links.webrtc.opus import PACKET_MS, PACKET_SAMPLES, PACKET_TICKS, VoiceEncoder

PACKET_S: Final = PACKET_MS / 1000
CATCH_UP_S: Final = 0.06
"""Three packets at once: a client's jitter buffer takes them."""

EARLY_S: Final = PACKET_S / 2
"""A packet leaves with the tick that is nearest to its time: the clock of all calls (`call_clock`) rings late or early by milliseconds."""

REPORT_PACKETS: Final = 100
"""A report every two seconds; browsers show loss and round trips by it."""

_NTP_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""

_SENDER_REPORT: Final = struct.Struct("!BBHIQIII")
_REPORT_BLOCK: Final = struct.Struct("!IIIIII")
_RTP_HEADER: Final = struct.Struct("!BBHII")


class Pace:
    """When packets are due. `due_s` is the next one's time; `sent()` says that it has gone, and returns how many after it are skipped."""

    def __init__(self, now_s: float) -> None:
        self.due_s = now_s

    def sent(self, now_s: float) -> int:
        self.due_s += PACKET_S
        late = now_s - self.due_s
        skipped = int(late / PACKET_S) if late > CATCH_UP_S else 0
        self.due_s += skipped * PACKET_S
        return skipped


class RtpStream:
    """The headers of one stream, and its reports."""

    def __init__(self, ssrc: int, payload_type: int, cname: str) -> None:
        self._ssrc = ssrc
        self._payload_type = payload_type
        self._cname = cname
        # The lower half: a sequence number that wraps soon after the start has confused receivers of SRTP.
        self._sequence = secrets.randbelow(1 << 15)
        self._timestamp = secrets.randbits(32)
        self._packets = 0
        self._octets = 0
        self._reported = (0, 0)

    def packet(self, payload: bytes) -> bytes:
        """An RTP packet with the next 20 ms (RFC 3550, 5.1). The first one begins a stretch of speech."""
        marker = 0x80 if not self._packets else 0
        header = _RTP_HEADER.pack(0x80, marker | self._payload_type, self._sequence, self._timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._packets += 1
        self._octets += len(payload)
        return header + payload

    def pass_time(self, packets: int) -> None:
        """So many packets' time has passed."""
        self._timestamp = (self._timestamp + packets * PACKET_TICKS) & 0xFFFFFFFF

    def report(self, received: ReceptionReport, wall_s: float) -> bytes:
        """A sender report with a block about what was received, and the name of the source (RFC 3550, 6.4.1 and 6.5)."""
        ntp = int((wall_s + _NTP_EPOCH) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
        sent = self._packets & 0xFFFFFFFF, self._octets & 0xFFFFFFFF
        if received.packets:
            head = _SENDER_REPORT.pack(0x81, 200, 12, self._ssrc, ntp, self._timestamp, *sent) + self._block(received)
        else:
            head = _SENDER_REPORT.pack(0x80, 200, 6, self._ssrc, ntp, self._timestamp, *sent)
        item = b"\x01" + bytes([len(self._cname)]) + self._cname.encode()
        item += bytes(4 - len(item) % 4)
        return head + struct.pack("!BBHI", 0x81, 202, 1 + len(item) // 4, self._ssrc) + item

    def _block(self, received: ReceptionReport) -> bytes:
        packets, lost = received.packets - self._reported[0], received.lost - self._reported[1]
        self._reported = received.packets, received.lost
        fraction = min(255, 256 * lost // (packets + lost)) if lost > 0 and packets >= 0 else 0
        total = fraction << 24 | min(received.lost, 0x7FFFFF)
        return _REPORT_BLOCK.pack(
            received.source, total, received.highest & 0xFFFFFFFF, int(received.jitter) & 0xFFFFFFFF, 0, 0
        )


class OutgoingAudio:
    """`send_due` every 20 ms. `played` takes how many samples of speech have left; `send` sends a packet."""

    def __init__(
        self,
        queue: OutputQueue,
        stream: RtpStream | None,
        *,
        played: Callable[[int], None],
        send: Callable[[bytes], None],
    ) -> None:
        self._queue = queue
        self._stream = stream
        self._played = played
        self._send = send
        self._encoder = VoiceEncoder()
        self._pace: Pace | None = None
        self._count = 0

    def send_due(self, tick: Callable[[float], bool], received: Callable[[], ReceptionReport]) -> None:
        """Send the packets that are due; the first one begins the pace. `tick` is called with the time (s) before each packet.

        Sending stops where `tick` returns False.
        """
        now_s = time.monotonic()
        pace = self._pace = self._pace or Pace(now_s)
        while pace.due_s - now_s < EARLY_S and tick(now_s):
            self._send_next(received)
            now_s = time.monotonic()
            skipped = pace.sent(now_s)
            if self._stream is not None:
                self._stream.pass_time(1 + skipped)

    def _send_next(self, received: Callable[[], ReceptionReport]) -> None:
        audio, speech = self._queue.take(PACKET_SAMPLES)
        if speech:
            self._played(speech)
        stream = self._stream
        if stream is not None:
            if payload := self._encoder.encode(audio):
                self._send(stream.packet(payload))
            if self._count % REPORT_PACKETS == 0:
                self._send(stream.report(received(), time.time()))
        self._count += 1
