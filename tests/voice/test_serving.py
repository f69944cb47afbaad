"""`parley voice serve` as a process: what clients get, what they cannot do to each other, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from parley.engines.ports import Samples
from parley.engines.vc.voice_protocol import FrameDecoder, encode_frame
from parley.engines.vc.voice_sockets import listen_at
from parley.voice.serving import VoiceServer
from tests.engines.converters import RATE, SteeredConverter, voice
from tests.voice.clients import LIMIT_S, ServerProcess, VoiceClient, alive, bench, eventually, served

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")

LATENCY = 960
"""20 ms that the bench holds back, and a block of 20 ms."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("live")
    path = folder / "voice.sock"
    with served(
        "bench", "--socket", str(path), "--option", "block_ms=20", "--clients", "20", errors=folder / "log"
    ) as made:
        yield made
    assert not path.exists(), "the file is removed when the server ends"


@pytest.fixture
def client(server: ServerProcess) -> Iterator[VoiceClient]:
    made = VoiceClient(server.path)
    yield made
    made.close()


def test_it_announces_itself_and_is_its_owners_alone(server: ServerProcess) -> None:
    path = server.ready.pop("socket")
    assert server.ready == {
        "rate": RATE,
        "block_ms": 20,
        "latency_ms": 40,
        "engine": "bench",
        "voice": "filtered",
    }
    server.ready["socket"] = path
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize("size", [160, 480, 7_777, RATE])
def test_frames_are_answered_one_by_one_and_the_flush_gives_the_rest(client: VoiceClient, size: int) -> None:
    audio = voice(1.5)
    for _ in range(2):
        made = client.converted(audio, size)
        assert len(made) == LATENCY + len(audio)
        assert not made[:LATENCY].any()
        np.testing.assert_allclose(made[LATENCY:], bench(audio, 480), atol=1e-4)
    assert len(client.exchange(audio[:0])) == 0


def test_sixteen_clients_at_once_get_what_each_would_get_alone(server: ServerProcess) -> None:
    results: dict[int, np.ndarray] = {}

    def speak(number: int) -> None:
        client = VoiceClient(server.path)
        results[number] = client.converted(voice(1.0, 100 + 20 * number), 480)
        client.close()

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    for number in range(16):
        wanted = bench(voice(1.0, 100 + 20 * number), 480)
        np.testing.assert_allclose(results[number][LATENCY:], wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (struct.pack("<I", 3) + b"abc", "half a sample"),
        (struct.pack("<I", 2 * RATE + 2), "longer than the 48000 bytes"),
        (b"GET / HTTP/1.1\r\n", "bytes"),
        (struct.pack("<I", 960) + bytes(100), "in the middle of a frame"),
        (b"\x04", "in the middle of a frame"),
    ],
)
def test_what_is_no_frame_ends_that_client_and_nobody_else(
    server: ServerProcess, client: VoiceClient, data: bytes, said: str
) -> None:
    stranger = VoiceClient(server.path)
    before = server.log().count("is closed")
    client.exchange(voice(0.02))
    stranger.socket.sendall(data)
    stranger.socket.shutdown(socket.SHUT_WR)
    assert stranger.closed()
    stranger.close()
    eventually(lambda: server.log().count("is closed") > before)
    assert said in server.log().splitlines()[-1]
    assert len(client.exchange(voice(0.02))) == 480


def test_a_client_that_never_reads_is_not_read_for_long_and_delays_nobody(
    server: ServerProcess, client: VoiceClient
) -> None:
    deaf = VoiceClient(server.path)
    deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.socket.setblocking(False)
    frame = encode_frame(voice(0.5))
    sent, more = 0, 1
    while more:
        try:
            more = deaf.socket.send(frame)
        except BlockingIOError:
            more = 0
        sent += more
        assert sent < 8 << 20, "the server reads on"
        client.exchange(voice(0.02))
    assert len(client.converted(voice(0.5), 480)) >= 12_000
    deaf.close()


def test_another_client_than_the_last_allowed_is_refused(server: ServerProcess) -> None:
    clients: list[VoiceClient] = []
    try:
        while True:
            clients.append(VoiceClient(server.path))
            try:
                clients[-1].exchange(voice(0.02))
            except ConnectionError:
                break
        # those of other tests may just be leaving
        assert 10 <= len(clients) - 1 <= 20
        assert "is refused: 20 are connected" in server.log()
        assert len(clients[0].exchange(voice(0.02))) == 480
    finally:
        for one in clients:
            one.close()
    eventually(lambda: _welcome(server))


def _welcome(server: ServerProcess) -> bool:
    client = VoiceClient(server.path)
    try:
        client.exchange(voice(0.02))
    except ConnectionError:
        return False
    finally:
        client.close()
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_clients_connected(tmp_path: Path, number: signal.Signals) -> None:
    server = ServerProcess("bench", "--socket", str(tmp_path / "v.sock"), "--rate", "48000", errors=tmp_path / "log")
    client = VoiceClient(server.path)
    latency = round(server.ready["latency_ms"] * 48)
    audio: Samples = np.sin(np.arange(48_000) / 30, dtype=np.float32) * np.float32(0.5)
    made = client.converted(audio, 960)
    assert len(made) == latency + len(audio), "the stated delay holds at another rate too"
    assert not made[:latency].any()
    assert made[latency:].std() > 0.2
    client.exchange(audio[:960])
    server.process.send_signal(number)
    assert server.end() == 0
    assert client.closed()
    client.close()
    assert not (tmp_path / "v.sock").exists()


def test_it_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    """Even one that is killed: its end of the pipe is closed with it."""
    log = tmp_path / "log"
    server = ServerProcess(
        *("bench", "--socket", str(tmp_path / "v.sock"), "--until-stdin-ends"), errors=log, stdin=subprocess.PIPE
    )
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.end() == 0
    assert not (tmp_path / "v.sock").exists()


def test_a_second_server_is_refused_and_a_wrong_voice_named(server: ServerProcess, tmp_path: Path) -> None:
    again = ServerProcess("bench", "--socket", str(server.path), errors=tmp_path / "one")
    assert again.end() == 2
    assert "listens on" in again.log()
    wrong = ServerProcess("bench", "--voice", "nobody", "--socket", str(tmp_path / "v"), errors=tmp_path / "other")
    assert wrong.end() == 2
    assert "nobody" in wrong.log()
    assert alive(server.process.pid)


async def test_a_plain_client_waits_and_never_hears_the_own_voice(tmp_path: Path) -> None:
    engine = SteeredConverter(latency_ms=40)
    server = VoiceServer(engine, plain=True)
    await server.start(listen_at(tmp_path / "v.sock"))
    reader, writer = await asyncio.open_unix_connection(tmp_path / "v.sock")
    audio, decoder = voice(0.2), FrameDecoder(2 * RATE)
    engine.gate.clear()
    writer.write(encode_frame(audio) + encode_frame(audio[:0]))
    await engine.asked.wait()
    engine.gate.set()
    frames: list[np.ndarray] = []
    while len(frames) < 2:
        frames.extend(decoder.push(await reader.read(1 << 16)))
    made = np.concatenate(frames)
    assert len(made) == 960 + len(audio)
    np.testing.assert_allclose(made[960:], -audio, atol=1e-4)
    engine.failing = lambda: True
    writer.write(encode_frame(audio))
    assert await reader.read() == b"", "a converter that fails ends the connection"
    writer.close()
    await server.close()
    assert engine.open_streams == 0
