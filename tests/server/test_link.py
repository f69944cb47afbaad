"""The WebSocket link over real sockets, with a peer that echoes: what abuse does to it, and to a connection beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from parley.server.links.link import Link, LongArrival, Peer
from parley.server.links.websocket import connection as link_module
from parley.server.links.websocket import reading as link_reading
from parley.server.links.websocket.connection import WebSocketLink, link_class
from parley.server.refusals import Refusal
from tests.runtime.rig import settled

MIB = 1024 * 1024


class Gathered:
    """Puts a long message together again, in as many steps as it has pieces."""

    values = 0

    def __init__(self, peer: Echo) -> None:
        self._peer = peer
        self._pieces: list[bytes] = []

    def push(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def finish(self) -> Iterator[None]:
        for _ in self._pieces:
            yield
        self._peer.pieces.append(len(self._pieces))
        self._peer.received(b"".join(self._pieces))


@dataclass
class Echo:
    """Sends every message back, `times` over; keeps what happened to it."""

    times: int = 1
    messages: list[bytes] = field(default_factory=list)
    lost_as: list[tuple[int, str]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    congestion: list[bool] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)

    def opened(self, link: Link) -> None:
        assert isinstance(link, WebSocketLink)
        self.link = link
        link.send("hello")

    def received(self, data: bytes) -> int:
        if data == b"break":
            raise RuntimeError("a bug")
        self.messages.append(data)
        for _ in range(self.times):
            self.link.send(data.decode("utf-8", "replace"))
        return 0

    def arrives(self) -> LongArrival:
        return Gathered(self)

    def congested(self, waits: bool) -> None:
        self.congestion.append(waits)

    def lost(self, how: str) -> None:
        code, _, reason = how.partition(" ")
        self.lost_as.append((int(code), reason))
        self.over.set()


@dataclass
class OpenGate:
    max_message_bytes: int = MIB
    messages_per_second: int = 1_000_000
    times: int = 1
    peers: list[Echo] = field(default_factory=list)

    def accept(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> Peer | Refusal:
        if target == "/refuse":
            return Refusal(401, "invalid_api_key", "No key.")
        if target == "/broken":
            raise RuntimeError("a bug")
        self.peers.append(Echo(self.times))
        return self.peers[-1]


@asynccontextmanager
async def serving(gate: OpenGate) -> AsyncIterator[str]:
    async def no_http(scope: object, receive: object, send: object) -> None:
        raise AssertionError("no HTTP is spoken here")

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(no_http, ws=link_class(gate), loop="none", lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        assert not server.server_state.connections


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[ws.ClientConnection]:
    async with ws.connect(url, compression=None, max_size=None, ping_interval=None) as client:
        assert await client.recv() == "hello"
        yield client


async def closed_with(client: ws.ClientConnection) -> tuple[int, str]:
    """Read to the end; the close code and reason that the server gave."""
    try:
        while True:
            await client.recv()
    except ConnectionClosed as closed:
        received = closed.rcvd
    return (received.code, received.reason) if received else (1006, "")


async def raw_connection(url: str) -> socket.socket:
    """A client that shakes hands and then does nothing by itself: no reading, no pongs."""
    host, port = url.removeprefix("ws://").split(":")
    raw = socket.create_connection((host, int(port)))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    await loop.sock_sendall(raw, (request + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode())
    head = b""
    while b"hello" not in head:
        head += await loop.sock_recv(raw, 4096)
    assert b" 101 " in head
    return raw


def masked(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


async def test_text_and_binary_frames_are_both_read_as_messages() -> None:
    gate = OpenGate()
    async with serving(gate) as url, connected(url) as client:
        await client.send("text")
        await client.send(b"bytes")
        await client.send(["in ", "three ", "pieces"])
        assert [await client.recv() for _ in range(3)] == ["text", "bytes", "in three pieces"]


async def test_a_refused_handshake_is_answered_with_json() -> None:
    async with serving(OpenGate()) as url:
        with pytest.raises(InvalidStatus) as refused:
            await ws.connect(url + "/refuse")
    response = refused.value.response
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.body or b"")["error"]["code"] == "invalid_api_key"


async def test_a_bug_in_the_gate_is_a_500_and_the_server_goes_on() -> None:
    async with serving(OpenGate()) as url:
        with pytest.raises(InvalidStatus) as refused:
            await ws.connect(url + "/broken")
        assert refused.value.response.status_code == 500
        async with connected(url) as client:
            await client.send("still here")
            assert await client.recv() == "still here"


async def test_a_bug_behind_one_link_closes_that_link_only() -> None:
    gate = OpenGate()
    async with serving(gate) as url, connected(url) as beside, connected(url) as client:
        await client.send("break")
        assert (await closed_with(client))[0] == 1011
        await beside.send("still here")
        assert await beside.recv() == "still here"


async def test_a_message_over_the_limit_is_closed_with_1009_that_the_sender_sees() -> None:
    gate = OpenGate(max_message_bytes=MIB)
    async with serving(gate) as url, connected(url) as beside:
        client = await ws.connect(url, compression=None, ping_interval=None)
        assert await client.recv() == "hello"
        with contextlib.suppress(ConnectionClosed):
            await client.send("x" * (25 * MIB))
        assert (await closed_with(client))[0] == 1009
        await beside.send("still here")
        assert await beside.recv() == "still here"
    assert [peer.lost_as[0][0] for peer in gate.peers if peer.lost_as] == [1000, 1009]


async def test_a_client_that_stops_reading_is_closed_with_a_reason_before_memory_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "OUTBOX_BYTES", 2 * MIB)
    monkeypatch.setattr(link_module, "CLOSE_S", 1.0)
    gate = OpenGate(times=8)
    loop = asyncio.get_running_loop()
    async with serving(gate) as url:
        raw = await raw_connection(url)
        tracemalloc.start()
        while not gate.peers[0].lost_as and gate.peers[0].link._close is None:
            await loop.sock_sendall(raw, masked(Opcode.TEXT, b"x" * 100_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 * MIB
        assert not gate.peers[0].link._outbox
        # It can still read why.
        seen = b""
        while chunk := await loop.sock_recv(raw, MIB):
            seen = (seen + chunk)[-400:]
        assert struct.pack("!H", 1008) + b"you read too slowly" in seen
        raw.close()
        await gate.peers[0].over.wait()
    assert gate.peers[0].lost_as[0][0] == 1008


async def test_a_link_whose_client_reads_nothing_ends_after_the_stall_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "STALL_S", 0.05)
    monkeypatch.setattr(link_module, "CLOSE_S", 0.05)
    gate = OpenGate(times=50)
    loop = asyncio.get_running_loop()
    async with serving(gate) as url:
        raw = await raw_connection(url)
        await loop.sock_sendall(raw, masked(Opcode.TEXT, b"x" * 130_000))
        await asyncio.wait_for(gate.peers[0].over.wait(), 10)
        raw.close()
    code, reason = gate.peers[0].lost_as[0]
    assert code == 1008
    assert "read nothing" in reason


async def test_pings_of_a_client_that_does_not_read_pile_up_nowhere() -> None:
    gate = OpenGate()
    loop = asyncio.get_running_loop()
    async with serving(gate) as url, connected(url) as beside:
        raw = await raw_connection(url)
        gate.peers[1].times = 100
        await loop.sock_sendall(raw, masked(Opcode.TEXT, b"x" * 130_000))
        while not gate.peers[1].link._write_paused:
            await beside.send("turn the loop")
            await beside.recv()
        before = gate.peers[1].link.transport.get_write_buffer_size()
        await loop.sock_sendall(raw, masked(Opcode.PING, b"p" * 125) * 10_000)
        await beside.send("turn the loop")
        await beside.recv()
        assert gate.peers[1].link.transport.get_write_buffer_size() <= before
        raw.close()
        await gate.peers[1].over.wait()


async def test_endless_fragments_end_the_link() -> None:
    gate = OpenGate()
    loop = asyncio.get_running_loop()
    async with serving(gate) as url:
        raw = await raw_connection(url)
        await loop.sock_sendall(raw, masked(Opcode.TEXT, b"{", fin=False) + masked(Opcode.CONT, b"", fin=False) * 2000)
        assert struct.pack("!H", 1008) in await loop.sock_recv(raw, 4096)
        raw.close()
        await gate.peers[0].over.wait()


async def test_a_flood_is_slowed_to_its_rate_and_nothing_of_it_is_lost() -> None:
    gate = OpenGate(messages_per_second=2_000)
    loop = asyncio.get_running_loop()
    async with serving(gate) as url, connected(url) as client:
        started = loop.time()
        for number in range(6_000):
            await client.send(str(number))
        answers = [await client.recv() for _ in range(6_000)]
        # The bucket pays for the first 2,000, and one slice may be overdrawn.
        assert loop.time() - started > 0.8
    assert answers == [str(number) for number in range(6_000)]


async def test_a_flood_of_tiny_messages_does_not_delay_another_link() -> None:
    gate = OpenGate(messages_per_second=2_000)
    loop = asyncio.get_running_loop()
    async with serving(gate) as url, connected(url) as beside:
        raw = await raw_connection(url)
        flood = loop.create_task(loop.sock_sendall(raw, masked(Opcode.TEXT, b"{}") * 200_000))
        waits = []
        for _ in range(50):
            at = loop.time()
            await beside.send("ping")
            await beside.recv()
            waits.append(loop.time() - at)
        assert len(gate.peers[1].messages) < 10_000
        flood.cancel()
        raw.close()
        await gate.peers[1].over.wait()
    assert sorted(waits)[len(waits) // 2] < 0.1


async def test_a_stall_and_then_a_burst_lose_nothing() -> None:
    gate = OpenGate(messages_per_second=1_000)
    loop = asyncio.get_running_loop()
    async with serving(gate) as url:
        raw = await raw_connection(url)
        burst = b"".join(masked(Opcode.TEXT, str(number).encode() * 300) for number in range(400))
        await loop.sock_sendall(raw, burst)
        seen = 0
        while seen < 400:
            assert await loop.sock_recv(raw, MIB)
            seen = len(gate.peers[0].messages)
        raw.close()
        await gate.peers[0].over.wait()
    assert gate.peers[0].messages == [str(number).encode() * 300 for number in range(400)]


async def test_a_sudden_disconnect_is_noticed_once() -> None:
    gate = OpenGate()
    async with serving(gate) as url:
        raw = await raw_connection(url)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        await asyncio.wait_for(gate.peers[0].over.wait(), 10)
    assert [code for code, _ in gate.peers[0].lost_as] == [1006]


async def test_our_close_ends_the_connection_though_the_client_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CLOSE_S", 0.05)
    gate = OpenGate()
    async with serving(gate) as url:
        raw = await raw_connection(url)
        gate.peers[0].link.close_with(4000, "because")
        await asyncio.wait_for(gate.peers[0].over.wait(), 10)
        raw.close()
    assert gate.peers[0].lost_as == [(4000, "because")]


async def test_messages_sent_before_a_close_arrive_before_it() -> None:
    gate = OpenGate()
    async with serving(gate) as url, connected(url) as client:
        for _ in range(100):
            gate.peers[0].link.send("x" * 100_000)
        gate.peers[0].link.close_with(4001, "a reason " * 50)
        gate.peers[0].link.send("too late")
        answers = [await client.recv() for _ in range(100)]
        assert answers == ["x" * 100_000] * 100
        code, reason = await closed_with(client)
    assert code == 4001
    assert reason.startswith("a reason a reason")


async def test_a_client_that_answers_no_ping_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PING_S", "PONG_S", "CLOSE_S"):
        monkeypatch.setattr(link_module, name, 0.05)
    gate = OpenGate()
    async with serving(gate) as url:
        raw = await raw_connection(url)
        await asyncio.wait_for(gate.peers[0].over.wait(), 10)
        raw.close()
    assert gate.peers[0].lost_as[0][0] == 1011


async def test_a_client_whose_pong_waits_behind_its_audio_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_S", 0.05)
    monkeypatch.setattr(link_module, "PONG_S", 0.2)
    monkeypatch.setattr(link_module, "CLOSE_S", 0.05)
    gate = OpenGate()
    async with serving(gate) as url:
        raw = await raw_connection(url)
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.0
        while loop.time() < until:
            await loop.sock_sendall(raw, b"\x81\x82\0\0\0\0hi")
            await asyncio.wait([asyncio.ensure_future(gate.peers[0].over.wait())], timeout=0.02)
        assert not gate.peers[0].lost_as
        await asyncio.wait_for(gate.peers[0].over.wait(), 10)
        raw.close()
    assert gate.peers[0].lost_as[0][0] == 1011


async def test_a_client_that_is_read_slowly_is_not_taken_for_one_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_S", 0.05)
    monkeypatch.setattr(link_module, "PONG_S", 0.1)
    gate = OpenGate(messages_per_second=20, times=0)
    long = "x" * (MIB - 100)
    async with serving(gate) as url, connected(url) as client:
        # They cost 32 of its 20 messages per second: nothing more, no pong either, is read for most of a second.
        await client.send(long)
        await client.send(long)
        await client.send("after")
        (echo,) = gate.peers
        await settled(lambda: len(echo.messages) == 3 or bool(echo.lost_as))
        assert not echo.lost_as
        assert echo.messages[-1] == b"after"


async def test_a_plain_http_request_to_the_websocket_path_gets_json(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    async with serving(OpenGate()) as url:
        host, port = url.removeprefix("ws://").split(":")
        raw = socket.create_connection((host, int(port)))
        raw.setblocking(False)
        await loop.sock_sendall(raw, b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        answer = b""
        while chunk := await loop.sock_recv(raw, 4096):
            answer += chunk
        raw.close()
    assert b" 400 " in answer.splitlines()[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_handshake"


async def test_a_peer_hears_that_its_client_does_not_read_and_that_it_reads_again() -> None:
    gate = OpenGate(times=0)
    async with serving(gate) as url, connected(url) as client:
        (echo,) = gate.peers
        client.transport.pause_reading()
        while not echo.congestion:
            echo.link.send("x" * MIB)
            await asyncio.sleep(0)
        assert echo.congestion == [True]
        client.transport.resume_reading()
        while len(echo.congestion) < 2:
            await client.recv()
        assert echo.congestion == [True, False]


async def test_a_message_longer_than_a_slice_is_handed_on_in_pieces_and_in_order() -> None:
    long = "x" * (200 * 1024)
    gate = OpenGate()
    async with serving(gate) as url, connected(url) as client:
        for text in ("before", long, "between", long, "after"):
            await client.send(text)
        for text in ("before", long, "between", long, "after"):
            assert await client.recv() == text
        (echo,) = gate.peers
        assert len(echo.pieces) == 2
        assert min(echo.pieces) >= len(long) // link_reading.SLICE_BYTES


async def test_expensive_messages_take_turns_with_those_of_another_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred in one read of the socket, some of them in two fragments; each takes a millisecond."""
    gate = OpenGate(times=0)
    async with serving(gate) as url, connected(url):
        (echo,) = gate.peers
        taken: list[int] = []
        turn = 0
        monkeypatch.setattr(link_reading, "perf_counter", lambda: len(taken) / 1_000)

        def received(data: bytes) -> int:
            taken.append(turn)
            return 0

        echo.received = received  # type: ignore[method-assign]
        whole = masked(Opcode.TEXT, b"?")
        fragmented = masked(Opcode.TEXT, b"?", fin=False) + masked(Opcode.CONT, b"")
        echo.link.data_received(whole * 100 + fragmented * 100)
        while len(taken) < 200:
            turn += 1
            await asyncio.sleep(0)
        most_ms = max(taken.count(number) for number in set(taken))
        assert most_ms <= link_reading.GO_S * 1_000 + 1


async def test_a_long_message_in_fragments_is_handed_on_in_slices_and_in_order() -> None:
    long = bytes(range(32, 127)) * 4_000
    fragments = [long[at : at + 150_000] for at in range(0, len(long), 150_000)]
    frames = [masked(Opcode.TEXT, b"before"), masked(Opcode.TEXT, fragments[0], fin=False)]
    frames += [masked(Opcode.CONT, fragment, fin=False) for fragment in fragments[1:]]
    frames += [masked(Opcode.PING, b"?"), masked(Opcode.CONT, b""), masked(Opcode.TEXT, b"after")]
    gate = OpenGate(times=0)
    async with serving(gate) as url, connected(url):
        (echo,) = gate.peers
        echo.link.data_received(b"".join(frames))
        await settled(lambda: len(echo.messages) == 3)
        assert echo.messages == [b"before", long, b"after"]
        assert echo.pieces[0] >= len(long) // link_reading.SLICE_BYTES


@pytest.mark.slow
async def test_short_messages_with_long_answers_take_turns_with_those_of_another_link() -> None:
    """Forty requests in one read of the socket; each is answered with 128 KiB."""
    gate = OpenGate(times=0)
    async with serving(gate) as url, connected(url) as client:
        (echo,) = gate.peers
        answered: list[int] = []
        turn = 0
        taken = echo.received

        def received(data: bytes) -> int:
            answered.append(turn)
            echo.link.send("x" * (128 * 1024))
            return taken(data)

        echo.received = received  # type: ignore[method-assign]
        requests = Frame(Opcode.TEXT, b"?").serialize(mask=True) * 20
        fragmented = Frame(Opcode.TEXT, b"?", False).serialize(mask=True) + Frame(Opcode.CONT, b"").serialize(mask=True)
        echo.link.data_received(requests + fragmented * 20)
        while len(answered) < 40:
            turn += 1
            await asyncio.sleep(0)
        asked_at_once = max(answered.count(number) for number in set(answered))
        assert asked_at_once * 128 * 1024 <= link_reading.ANSWER_BYTES + 128 * 1024
        client.transport.abort()  # five megabytes are unread, behind which a farewell would wait
