"""The parts of a call, each alone: what is made of packets, when packets go out, what waits for a channel."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
import pytest
from aiortc.rtp import RtcpPacket, RtcpSdesPacket, RtcpSrPacket, RtpPacket
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.audio import pcm
from parley.server.links.webrtc import events
from parley.server.links.webrtc.events import EventChannel
from parley.server.links.webrtc.incoming import MAX_FILL_MS, WAIT_PACKETS, IncomingAudio, ReceptionReport
from parley.server.links.webrtc.opus import PACKET_SAMPLES, PACKET_TICKS, VoiceDecoder, VoiceEncoder
from parley.server.links.webrtc.outgoing import CATCH_UP_S, PACKET_S, Pace, RtpStream
from tests.server.caller import comes_true

TONE = pcm.to_bytes((0.3 * np.sin(np.arange(24_000) * 2 * np.pi * 440 / 24_000)).astype(np.float32))
FRAME = PACKET_SAMPLES * 2


def encoded(audio: bytes) -> list[bytes]:
    encoder = VoiceEncoder()
    return [packet for at in range(0, len(audio), FRAME) if (packet := encoder.encode(audio[at : at + FRAME]))]


PACKETS = encoded(TONE)


@dataclass
class Ear:
    """What an `IncomingAudio` let through."""

    audio: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.incoming = IncomingAudio(self.audio.extend)

    def packet(self, number: int, *, source: int = 5, sequence: int | None = None, now_s: float | None = None) -> None:
        self.incoming.packet(
            source,
            (number if sequence is None else sequence) % 65_536,
            number * PACKET_TICKS % (1 << 32),
            PACKETS[number % len(PACKETS)],
            number * PACKET_S if now_s is None else now_s,
        )

    @property
    def ms(self) -> float:
        return len(self.audio) / 48

    @property
    def loudness(self) -> float:
        heard = pcm.to_float(bytes(self.audio))
        return float(np.sqrt(np.mean(heard**2)))


def test_a_tone_goes_through_opus_and_back() -> None:
    decoder = VoiceDecoder()
    heard = b"".join(decoder.decode(packet)[0] for packet in PACKETS)
    assert abs(len(heard) - len(TONE)) <= 2 * FRAME
    power = np.abs(np.fft.rfft(pcm.to_float(heard)[4_800:])) ** 2
    peak = np.argmax(power) * 24_000 / (len(heard) // 2 - 4_800)
    assert abs(peak - 440) < 5
    assert power[np.argmax(power) - 20 : np.argmax(power) + 20].sum() > 0.98 * power.sum()


def test_silence_costs_no_encoding_and_stays_silent() -> None:
    encoder, decoder = VoiceEncoder(), VoiceDecoder()
    for at in range(0, 9_600, FRAME):
        decoder.decode(encoder.encode(TONE[at : at + FRAME]))
    packets = [encoder.encode(bytes(FRAME)) for _ in range(200)]
    heard = [np.abs(pcm.to_float(decoder.decode(packet)[0])).max(initial=0.0) for packet in packets]
    assert len(set(packets[12:])) == 1, "one packet, over and over"
    assert max(heard[10:]) < 0.003
    again = [encoder.encode(TONE[at : at + FRAME]) for at in range(0, 9_600, FRAME)]
    back = np.concatenate([pcm.to_float(decoder.decode(packet)[0]) for packet in again])
    assert np.abs(back[2_400:]).max() > 0.25


@pytest.mark.parametrize("packet", [b"", b"\xff" * 1_400, b"\x03\xff", bytes(2_000)])
def test_what_is_no_opus_is_no_sound(packet: bytes) -> None:
    decoder = VoiceDecoder()
    audio, ticks = decoder.decode(packet)
    assert len(audio) <= ticks + 2
    assert decoder.decode(PACKETS[0])[1] == PACKET_TICKS


@given(st.binary(max_size=60))
@settings(max_examples=60)
def test_no_packet_breaks_the_decoder(packet: bytes) -> None:
    audio, ticks = VoiceDecoder().decode(packet)
    assert ticks <= 48_000 * 120 // 1000
    assert len(audio) <= ticks + 2


def test_packets_in_order_are_heard_at_once() -> None:
    ear = Ear()
    for number in range(50):
        ear.packet(number)
        assert ear.ms > number * 20 + 17
    assert abs(ear.ms - 1_000) < 5
    assert ear.incoming.report.lost == 0


@pytest.mark.parametrize("wrap", [0, 65_520])
def test_packets_out_of_order_are_heard_in_order_and_twice_is_once(wrap: int) -> None:
    straight, mixed = Ear(), Ear()
    numbers = [0, 2, 1, 3, 4, 6, 7, 5, 5, 8, 10, 9, 9, 11, *range(12, 40)]
    for number in range(40):
        straight.packet(number, sequence=number + wrap)
    for number in numbers:
        mixed.packet(number, sequence=number + wrap)
    assert bytes(mixed.audio) == bytes(straight.audio)


def test_what_is_lost_is_filled_up_to_its_length() -> None:
    ear = Ear()
    for number in range(50):
        if number % 10 != 5:
            ear.packet(number)
    ear.incoming.tick(1.3)  # nothing more comes: what waited for the last that is lost is heard, and 20 ms of silence
    assert abs(ear.ms - 1_020) < 5
    assert ear.incoming.report.lost == 5
    assert ear.loudness > 0.17, "a tone of 0.21 with five short dips"


def test_nobody_waits_long_for_what_does_not_come() -> None:
    ear = Ear()
    ear.packet(0)
    for number in range(2, 2 + WAIT_PACKETS):
        ear.packet(number)
    assert ear.ms < 25
    ear.packet(2 + WAIT_PACKETS)
    assert ear.ms > 20 * (1 + WAIT_PACKETS)


def test_a_client_that_sends_nothing_is_silent_in_real_time_and_is_heard_again() -> None:
    ear = Ear()
    for number in range(10):
        ear.packet(number)
    now_s = 0.2
    for _ in range(100):
        now_s += PACKET_S
        ear.incoming.tick(now_s)
    assert abs(ear.ms - 200 - 1_820) < 45, "all but the first 200 ms"
    before = ear.ms
    ear.packet(110, sequence=10, now_s=now_s)  # it muted itself: the timestamp has gone on
    assert ear.ms - before < 240
    before = ear.ms
    for number in range(111, 121):
        ear.packet(number, sequence=number - 100, now_s=now_s)
    assert abs(ear.ms - before - 200) < 5


def test_a_stream_that_begins_anew_is_heard_anew() -> None:
    ear = Ear()
    for number in range(5):
        ear.packet(number)
    for number in range(5):
        ear.packet(900_000 + number, source=6, sequence=40_000 + number, now_s=0.2)
    assert abs(ear.ms - 200) < 5
    for number in range(5):
        ear.packet(2_000_000 + number, source=6, sequence=9_000 + number, now_s=0.4)
    assert abs(ear.ms - 300) < 5


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)), max_size=40))
@settings(max_examples=50)
def test_no_sequence_makes_up_more_than_the_limit(packets: list[tuple[int, int]]) -> None:
    ear = Ear()
    for sequence, timestamp in packets:
        ear.incoming.packet(1, sequence, timestamp, PACKETS[0], 0.0)
    assert ear.ms <= len(packets) * (MAX_FILL_MS + 20)
    assert len(ear.incoming._early) <= WAIT_PACKETS


# --- pace --------------------------------------------------------------------------------------------------------------


def test_packets_are_due_every_20_ms_without_drift() -> None:
    pace = Pace(100.0)
    now_s, sent = 100.0, 0
    for number in range(50_000):
        now_s = max(now_s, pace.due_s) + (0.0004 if number % 3 else 0.003)  # timers are late
        sent += 1 + pace.sent(now_s)
    assert abs(pace.due_s - 100.0 - sent * PACKET_S) < 1e-6
    assert now_s - 100.0 - (sent - 1) * PACKET_S < 0.005


def test_a_loop_that_was_held_catches_up_or_skips_the_time() -> None:
    pace = Pace(0.0)
    assert pace.sent(0.05) == 0
    assert pace.due_s == pytest.approx(0.02)
    pace = Pace(0.0)
    assert pace.sent(2.0) == 99
    assert 2.0 - CATCH_UP_S < pace.due_s <= 2.0


def test_rtp_is_what_others_read() -> None:
    stream = RtpStream(0xABCDEF, 111, "somebody")
    first = RtpPacket.parse(stream.packet(b"one"))
    stream.pass_time(3)
    second = RtpPacket.parse(stream.packet(b"two"))
    assert (first.payload, first.payload_type, first.ssrc, first.marker) == (b"one", 111, 0xABCDEF, 1)
    assert (second.sequence_number - first.sequence_number) % 65_536 == 1
    assert (second.timestamp - first.timestamp) % 2**32 == 3 * 960
    assert second.marker == 0


def test_reports_are_what_others_read() -> None:
    stream = RtpStream(7, 111, "somebody")
    stream.packet(b"one")
    blocks = []
    for received in (ReceptionReport(), ReceptionReport(9, packets=90, lost=10, highest=70_000, jitter=12.5)):
        report, names = RtcpPacket.parse(stream.report(received, 1_800_000_000.5))
        assert isinstance(report, RtcpSrPacket)
        assert isinstance(names, RtcpSdesPacket)
        assert (report.ssrc, report.sender_info.packet_count, report.sender_info.octet_count) == (7, 1, 3)
        assert report.sender_info.ntp_timestamp >> 32 == 1_800_000_000 + 2_208_988_800
        assert names.chunks[0].items == [(1, b"somebody")]
        blocks.append(report.reports)
    (none, (block,)) = blocks
    assert none == []
    assert (block.ssrc, block.packets_lost, block.highest_sequence, block.jitter) == (9, 10, 70_000, 12)
    assert block.fraction_lost == 25


# --- events ------------------------------------------------------------------------------------------------------------


@dataclass
class SlowChannel:
    """A data channel whose client reads when it is told to."""

    readyState: str = "open"  # noqa: N815 - aiortc's names
    bufferedAmount: int = 0  # noqa: N815
    sent: list[str] = field(default_factory=list)

    def send(self, data: str) -> None:
        self.sent.append(data)
        self.bufferedAmount += len(data)


@dataclass
class Side:
    """The link's side of an `EventChannel`."""

    expected: bool = True
    congested: list[bool] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    too_long: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events = EventChannel(
            expected=self.expected,
            congested=self.congested.append,
            give_up=self.given_up.append,
            too_long=self.too_long.append,
        )


async def test_events_wait_for_the_channel_and_keep_their_order() -> None:
    side, channel = Side(), SlowChannel()
    side.events.send("one")
    side.events.send("two")
    side.events.opened(channel, 0)
    side.events.send("three")
    assert channel.sent == ["one", "two", "three"]


async def test_a_client_that_does_not_read_holds_up_its_own_session() -> None:
    side, channel = Side(), SlowChannel()
    side.events.opened(channel, 0)
    for _ in range(10):
        side.events.send("x" * 20_000)
    assert len(channel.sent) == 4
    assert side.congested == [True]
    channel.bufferedAmount = 0
    side.events.pump()
    channel.bufferedAmount = 0
    side.events.pump()
    assert len(channel.sent) == 10
    assert side.congested[-1:] == [False]
    assert side.events.idle


async def test_a_client_that_never_reads_loses_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    side, channel = Side(), SlowChannel()
    side.events.opened(channel, 0)
    for _ in range(500):
        side.events.send("x" * 20_000)
    assert len(side.given_up) == 1
    assert "wait to be read" in side.given_up[0]
    monkeypatch.setattr(events, "STALL_S", 0.01)
    side, channel = Side(), SlowChannel(bufferedAmount=10**6)
    side.events.opened(channel, 0)
    side.events.send("x")
    await comes_true(lambda: bool(side.given_up))
    assert "no event was read" in side.given_up[0]


async def test_an_event_that_is_too_long_for_the_client_is_reported() -> None:
    side, channel = Side(), SlowChannel()
    side.events.opened(channel, 100)
    side.events.send("x" * 101)
    side.events.send("é" * 60)
    side.events.send("x" * 100)
    assert side.too_long == [101, 120]
    assert channel.sent == ["x" * 100]


async def test_a_client_without_a_channel_loses_its_events() -> None:
    side = Side(expected=False)
    for _ in range(1_000):
        side.events.send("x" * 20_000)
    assert side.events.idle
    assert not side.given_up


def test_a_report_block_has_24_bytes() -> None:
    packet = RtpStream(7, 111, "n").report(ReceptionReport(9, packets=1), 0.0)
    assert struct.unpack("!H", packet[2:4])[0] == 12
