"""RTP as a client sends it, the clock that calls share, and the order of media and messages."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from aioice import Candidate
from aioice.ice import CandidatePair
from aiortc.rtp import RtpPacket
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.server.links.webrtc.call_clock import SLOTS, CallClock, clock_of_running_loop
from parley.server.links.webrtc.ice import BoundedConnection, GuardedProtocol
from parley.server.links.webrtc.rtp import RtpAudio, is_rtcp, parsed
from tests.server.caller import comes_true

PLAIN = bytes([0x80, 111, 0x12, 0x34]) + (960).to_bytes(4, "big") + (77).to_bytes(4, "big")


def test_a_packet_is_read() -> None:
    assert parsed(PLAIN + b"voice", 111) == RtpAudio(77, 0x1234, 960, b"voice")


@pytest.mark.parametrize(
    ("packet", "payload"),
    [
        (bytes([0x80, 0x80 | 111]) + PLAIN[2:] + b"x", b"x"),
        (bytes([0x82]) + PLAIN[1:] + bytes(8) + b"after two contributors", b"after two contributors"),
        (bytes([0x90]) + PLAIN[1:] + b"\xbe\xde\0\1" + bytes(4) + b"after an extension", b"after an extension"),
        (bytes([0xA0]) + PLAIN[1:] + b"x\0\0\3", b"x"),
        (bytes([0xB1]) + PLAIN[1:] + bytes(4) + b"\xbe\xde\0\0" + b"xy\0\2", b"xy"),
    ],
)
def test_what_stands_around_the_payload_is_skipped(packet: bytes, payload: bytes) -> None:
    read = parsed(packet, 111)
    assert read is not None
    assert read.payload == payload


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        PLAIN[:11],
        bytes([0x40]) + PLAIN[1:],
        bytes([0x80, 96]) + PLAIN[2:],
        bytes([0x8F]) + PLAIN[1:],
        bytes([0x90]) + PLAIN[1:] + b"\xbe\xde",
        bytes([0x90]) + PLAIN[1:] + b"\xbe\xde\0\2" + bytes(4),
        bytes([0xA0]) + PLAIN[1:] + b"x\0",
        bytes([0xA0]) + PLAIN[1:] + b"x\x09",
    ],
)
def test_what_is_no_packet_of_this_call_is_none(packet: bytes) -> None:
    assert parsed(packet, 111) is None


@given(st.binary(max_size=40), st.integers(0x80, 0xBF))
@settings(max_examples=200)
def test_it_reads_what_aiortc_reads(rest: bytes, bits: int) -> None:
    packet = bytes([bits, 111]) + rest
    try:
        other = RtpPacket.parse(packet)
    except ValueError:
        return  # aiortc reads the extensions, too, and refuses packets for them
    ours = parsed(packet, 111)
    assert ours is not None
    assert (ours.source, ours.sequence, ours.timestamp, ours.payload) == (
        other.ssrc,
        other.sequence_number,
        other.timestamp,
        other.payload,
    )


def test_reports_are_told_from_audio() -> None:
    assert is_rtcp(bytes([0x80, 200, 0, 6]))
    assert not is_rtcp(PLAIN)
    assert not is_rtcp(b"\x80")


# --- the clock ---------------------------------------------------------------------------------------------------------


async def test_calls_share_timers_and_leave_them() -> None:
    clock = clock_of_running_loop()
    assert clock_of_running_loop() is clock
    rings = [0] * (3 * SLOTS)

    def member(number: int) -> None:
        rings[number] += 1

    leaves = [clock.join(partial(member, number)) for number in range(len(rings))]
    assert [len(slot) for slot in clock._slots] == [3] * SLOTS
    await comes_true(lambda: min(rings) >= 5)
    leaves[0]()
    leaves[0]()
    stopped = rings[0]
    await comes_true(lambda: rings[1] >= 12)
    assert rings[0] == stopped
    for leave in leaves:
        leave()
    assert not any(slot._clock.running for slot in clock._slots)


async def test_a_call_that_another_one_ends_is_not_called_any_more() -> None:
    clock = CallClock(asyncio.get_running_loop())
    slot = clock._slots[0]
    rung: list[str] = []

    def first() -> None:
        rung.append("first")
        leave_second()

    leave_first = slot.join(first)
    leave_second = slot.join(lambda: rung.append("second"))
    await comes_true(lambda: len(rung) >= 3)
    leave_first()
    assert set(rung) == {"first"}


# --- media and messages ------------------------------------------------------------------------------------------------


async def test_media_goes_by_at_once_only_while_the_reader_waits_for_more() -> None:
    connection = BoundedConnection(None, ice_controlling=False)
    client = Candidate.from_sdp("1 1 udp 1 192.0.2.1 4000 typ host")
    connection._nominated[1] = CandidatePair(GuardedProtocol(connection), client)
    at_once: list[bytes] = []
    connection.take_media = at_once.append
    media, message = b"\x80media", b"\x17message"
    connection.data_received(media, 1)
    assert not at_once, "nobody reads"
    assert await connection.recv() == media
    reading = asyncio.create_task(connection.recv())
    await asyncio.sleep(0)
    connection.data_received(media, 1)
    assert at_once == [media]
    connection.data_received(message, 1)
    connection.data_received(media, 1)
    assert at_once == [media], "it came after the message"
    assert await reading == message
    assert await connection.recv() == media
