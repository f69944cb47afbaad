"""Plain frames are read in one step: the only visible difference is the processor time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from parley.server.links.websocket import reading as link_reading
from parley.server.links.websocket.connection import WebSocketLink
from tests.server.test_link import OpenGate

LIMIT = 70_000
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Wire(asyncio.Transport):
    """Keeps what is written; closes on request."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = ""
        self._resumed = asyncio.Event()
        self._resumed.set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.written += b"<eof>"

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"
        self._resumed.set()

    def abort(self) -> None:
        self.ended = "aborted"
        self._resumed.set()

    def pause_reading(self) -> None:
        self._resumed.clear()

    def resume_reading(self) -> None:
        self._resumed.set()

    async def wait_until_read(self) -> None:
        """Until nothing that came waits for its turn."""
        if not self.ended:
            await self._resumed.wait()


Outcome = tuple[list[bytes], bytes, str, list[tuple[int, str]]]


async def outcome(pieces: Sequence[bytes], *, shorter_way: bool) -> Outcome:
    """What a peer that only listens has received, what was written to the client, and how it ended."""
    gate = OpenGate(max_message_bytes=LIMIT, times=0)
    with pytest.MonkeyPatch.context() as patch:
        if not shorter_way:
            patch.setattr(link_reading, "awaits_message", lambda wire: False)
        link, wire = WebSocketLink(gate, set()), Wire()
        link.connection_made(wire)
        link.data_received(HANDSHAKE)
        for piece in pieces:
            if wire.is_closing():
                break
            link.data_received(piece)
        await wire.wait_until_read()
        link.connection_lost(None)
    (echo,) = gate.peers
    _, _, frames_written = wire.written.partition(b"\r\n\r\n")  # the handshake before them has the time of day in it
    return echo.messages, frames_written, wire.ended, echo.lost_as


sizes = st.sampled_from([0, 1, 3, 125, 126, 127, 1_300, 65_535, 65_536, LIMIT, LIMIT + 1])
frames = st.builds(
    lambda opcode, size, fin, mask, reserved: (
        Frame(opcode, bytes(i * 7 & 0x7F for i in range(size)), fin, rsv1=reserved),
        mask,
    ),
    st.sampled_from([Opcode.TEXT] * 6 + [Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.PONG]),
    sizes,
    st.sampled_from([True] * 5 + [False]),
    st.sampled_from([True] * 19 + [False]),
    st.sampled_from([False] * 19 + [True]),
)


def serialized(frame: Frame, mask: bool) -> bytes:
    if frame.opcode in (Opcode.PING, Opcode.PONG):
        frame = Frame(frame.opcode, frame.data[:125], True)
    reserved = frame.rsv1
    data = bytearray(Frame(frame.opcode, frame.data, frame.fin).serialize(mask=mask))
    data[0] |= 0x40 if reserved else 0
    return bytes(data)


streams = st.lists(
    st.one_of(
        frames.map(lambda made: serialized(*made)),
        st.just(Frame(Opcode.CLOSE, b"\x03\xe8bye").serialize(mask=True)),
        st.binary(max_size=20),
    ),
    max_size=8,
).map(b"".join)


@pytest.mark.slow
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), stream=streams)
def test_any_bytes_in_any_pieces_come_out_as_by_the_longer_way(data: st.DataObject, stream: bytes) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if b > a]
    assert asyncio.run(outcome(pieces, shorter_way=True)) == asyncio.run(outcome(pieces, shorter_way=False))


@given(size=sizes, cut=st.integers(0, 40))
@settings(deadline=None, max_examples=100)
def test_a_message_cut_anywhere_is_the_same_message(size: int, cut: int) -> None:
    stream = Frame(Opcode.TEXT, b"x" * min(size, LIMIT)).serialize(mask=True) * 2
    messages, _, _, lost = asyncio.run(outcome([stream[:cut], stream[cut:]], shorter_way=True))
    assert messages == [b"x" * min(size, LIMIT)] * 2
    assert lost == [(1006, "the connection broke")]


async def test_plain_frames_do_take_the_shorter_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an update of `websockets` could cost a third of the server's processor time unnoticed."""
    parsed: list[bytes] = []
    receive = ServerProtocol.receive_data

    def counted(wire: ServerProtocol, data: bytes) -> None:
        parsed.append(data)
        receive(wire, data)

    monkeypatch.setattr(ServerProtocol, "receive_data", counted)
    plain = Frame(Opcode.TEXT, b"x" * 1_300).serialize(mask=True)
    ping = Frame(Opcode.PING, b"?").serialize(mask=True)
    messages, *_ = await outcome([plain, plain + plain, ping, plain, plain[:100], plain[100:], plain], shorter_way=True)
    assert len(messages) == 6
    assert parsed == [HANDSHAKE, ping, plain[:100], plain[100:]]
