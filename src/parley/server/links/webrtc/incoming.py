"""What a client says, from its RTP packets: put in order, decoded, and as long as it took to say.

Laws:
- A packet that is due is heard at once; one that came too early waits for those before it, `WAIT_PACKETS` at the most.
- What is missing is filled up to the length that the timestamps tell, `MAX_FILL_MS` at the most; late packets are dropped.
- Where nothing comes for `STALL_MS` (a muted client that sends none, a stalled network), silence is heard in real time: a turn must be able
  to end. What comes after a stall is still heard; only as much silence is filled in as has not been heard already.

Does not know: sockets, sessions, clocks (time is passed in, in seconds).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from parley.core.words.limits import SAMPLE_RATE
from parley.server.links.webrtc.opus import CLOCK, MAX_PACKET_TICKS, PACKET_TICKS, VoiceDecoder

WAIT_PACKETS: Final = 4
"""80 ms at 20 ms a packet: reordering within a network takes less, and waiting longer delays the end of every turn."""

STALL_MS: Final = 200
"""Longer than the jitter of a network that can carry a conversation."""

MAX_FILL_MS: Final = 1_000
"""A longer gap is a client that was away; what it did not say is not made up."""

RESTART: Final = 512
"""Packets: a sequence number so far from the last one is that of a stream that has begun anew."""

_SEQUENCES: Final = 1 << 16
_TIMESTAMPS: Final = 1 << 32
_STALL_S: Final = STALL_MS / 1000
_MAX_FILL: Final = CLOCK * MAX_FILL_MS // 1000
_BYTES_PER_TICK: Final = SAMPLE_RATE * 2 / CLOCK


@dataclass(slots=True)
class ReceptionReport:
    """What a report block of RTCP says (RFC 3550, 6.4.1). `highest` is the extended sequence number, `jitter` in ticks of `CLOCK`."""

    source: int = 0
    packets: int = 0
    lost: int = 0
    highest: int = 0
    jitter: float = 0.0


class IncomingAudio:
    """`packet` for each that comes, `tick` every 20 ms. `hear` takes PCM16 at 24 kHz.

    `report` is what the other side is told of it.
    """

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._decoder = VoiceDecoder()
        self._early: dict[int, tuple[int, bytes]] = {}
        self._sequence: int | None = None
        """Of the next packet; None before the first."""
        self._timestamp = 0
        """Of the next packet, were nothing missing."""
        self._source = 0
        self._transit: float | None = None
        self._heard_s = 0.0
        self._made_up = 0
        """Ticks of silence since the last packet."""
        self.report = ReceptionReport()

    def packet(self, source: int, sequence: int, timestamp: int, payload: bytes, now_s: float) -> None:
        """A packet has come."""
        if self._sequence is None or source != self._source:
            self._begin(source, sequence, timestamp)
        assert self._sequence is not None
        ahead = (sequence - self._sequence) % _SEQUENCES
        behind = _SEQUENCES - ahead
        if behind <= RESTART:
            return  # its place has been filled
        if ahead > RESTART:
            self._begin(source, sequence, timestamp)
            ahead = 0
        self._measure_jitter(timestamp, now_s)
        self._heard_s = now_s
        if ahead:
            self._early[sequence] = timestamp, payload
            if len(self._early) > WAIT_PACKETS:
                self._give_up()
        else:
            self._decode(sequence, timestamp, payload)
        self._follow()

    def tick(self, now_s: float) -> None:
        """20 ms have passed."""
        if self._sequence is None or now_s - self._heard_s < _STALL_S:
            return
        if self._early:
            self._give_up()
            self._follow()
        self._made_up += PACKET_TICKS
        self._hear(bytes(round(PACKET_TICKS * _BYTES_PER_TICK)))

    def _begin(self, source: int, sequence: int, timestamp: int) -> None:
        self._source, self._sequence, self._timestamp = source, sequence, timestamp
        self._early.clear()
        self._made_up = 0
        if source != self.report.source:
            self.report = ReceptionReport(source)
            self._transit = None

    def _measure_jitter(self, timestamp: int, now_s: float) -> None:
        """RFC 3550, 6.4.1."""
        transit = (now_s * CLOCK - timestamp) % _TIMESTAMPS
        if self._transit is not None:
            changed = abs(transit - self._transit)
            self.report.jitter += (min(changed, _TIMESTAMPS - changed) - self.report.jitter) / 16
        self._transit = transit

    def _give_up(self) -> None:
        """Wait no longer for what is missing before the first packet that came early."""
        assert self._sequence is not None
        first = min(self._early, key=lambda sequence: (sequence - (self._sequence or 0)) % _SEQUENCES)
        self.report.lost += (first - self._sequence) % _SEQUENCES
        self._sequence = first

    def _follow(self) -> None:
        """Hear the packets whose turn has come."""
        while self._sequence in self._early:
            self._decode(self._sequence, *self._early.pop(self._sequence))

    def _decode(self, sequence: int, timestamp: int, payload: bytes) -> None:
        missing = (timestamp - self._timestamp) % _TIMESTAMPS
        if missing > _TIMESTAMPS // 2 or missing > _MAX_FILL:
            missing = 0  # the client has set its clock anew, or was away
        missing = max(0, missing - self._made_up)
        if missing:
            self._hear(self._decoder.lost(missing))
        self._made_up = 0
        audio, ticks = self._decoder.decode(payload)
        if not ticks:
            audio, ticks = self._decoder.lost(PACKET_TICKS), PACKET_TICKS
        report = self.report
        report.packets += 1
        report.highest += 1 + (sequence - report.highest - 1) % _SEQUENCES if report.packets > 1 else sequence
        self._sequence = (sequence + 1) % _SEQUENCES
        self._timestamp = (timestamp + min(ticks, MAX_PACKET_TICKS)) % _TIMESTAMPS
        if audio:
            self._hear(audio)
