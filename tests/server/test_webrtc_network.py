"""Calls over networks that lose, delay, refuse or attack."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.config.values import WebRtcConfig
from parley.server.links.webrtc import transport
from parley.server.links.webrtc.ice import BoundedConnection
from parley.testing.fakes import FakeModel, FakeRecognizer
from tests.server.caller import RATE, calling, comes_true
from tests.server.harness import Engines, configured, running
from tests.server.test_webrtc import VOICE

Address = tuple[str, int]


class BadNetwork(asyncio.DatagramProtocol):
    """Carries datagrams between a client and a server; once `bad`, it loses 5 % of them and delays the others by up to 40 ms, so that some
    overtake others."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._client: Address | None = None
        self._chance = random.Random(7)
        self._transport: asyncio.DatagramTransport
        self.bad = False
        self.lost = 0
        self.carried = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if addr != self._server:
            self._client = addr
        to = self._client if addr == self._server else self._server
        if to is None:
            return
        self.carried += 1
        if not self.bad:
            self._transport.sendto(data, to)
        elif self._chance.random() < 0.05:
            self.lost += 1
        else:
            asyncio.get_running_loop().call_later(self._chance.random() * 0.04, self._send, data, to)

    def _send(self, data: bytes, to: Address) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, to)


class Rewriting:
    """Puts a `BadNetwork` between the two: into the answer in place of the server's addresses."""

    def __init__(self) -> None:
        self.network: BadNetwork
        self._transport: asyncio.DatagramTransport

    async def answer(self, sdp: str) -> str:
        found = re.search(r"a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", sdp)
        assert found is not None
        host, port = found[1], int(found[2])
        loop = asyncio.get_running_loop()
        self._transport, self.network = await loop.create_datagram_endpoint(
            lambda: BadNetwork((host, port)), local_addr=(host, 0)
        )
        there = self._transport.get_extra_info("sockname")[1]
        kept = [line for line in sdp.splitlines() if not line.startswith("a=candidate")]
        at = next(index for index, line in enumerate(kept) if line.startswith("a=end-of-candidates"))
        kept.insert(at, f"a=candidate:1 1 udp 2130706431 {host} {there} typ host")
        return "\r\n".join(kept) + "\r\n"

    async def aclose(self) -> None:
        self._transport.close()


def without_candidates(sdp: str) -> str:
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith("a=candidate"))


def tone_share(audio: np.ndarray[Any, np.dtype[np.float32]], rate: int, hz: float) -> float:
    """How much of the energy lies within 50 Hz of `hz`."""
    power = np.abs(np.fft.rfft(audio)) ** 2
    near = np.abs(np.fft.rfftfreq(len(audio), 1 / rate) - hz) < 50
    return float(power[near].sum() / power.sum())


async def test_speech_is_understood_and_heard_through_loss_jitter_and_reordering() -> None:
    recognizer = FakeRecognizer(*["Can you hear me?"] * 6)
    engines = Engines(stt=recognizer, llm=FakeModel(["one two three four five six seven eight nine ten"]))
    between = Rewriting()
    async with (
        contextlib.aclosing(between),
        running(engines=engines) as server,
        calling(server, offered=without_candidates, answered=between.answer) as caller,
    ):
        await caller.next()
        between.network.bad = True
        caller.voice.say(np.concatenate([np.zeros(RATE // 2, np.int16), VOICE]))
        await caller.until("output_audio_buffer.stopped")
        # aiortc's client gives up six packets for one that is lost, and fills no gaps: it hears half.
        await caller.hears(300)
        network = between.network
        assert network.lost > 3
        heard = recognizer.streams[0].audio
        tens = heard[: len(heard) // 160 * 160].reshape(-1, 160)
        spoken_ms = 10 * int((np.sqrt((tens**2).mean(axis=1)) > 0.01).sum())
        assert abs(spoken_ms - len(VOICE) * 1_000 // RATE) < 60, "nothing shrinks or grows"
        middle = heard[len(heard) // 3 : len(heard) * 2 // 3]
        assert tone_share(middle, 16_000, 500) > 0.9
        assert caller.speech_ms < 1_150


def ports_of(sdp: str) -> set[int]:
    return {int(port) for port in re.findall(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+) typ", sdp)}


def configured_webrtc(**webrtc: Any) -> Any:
    config = configured()
    return replace(config, webrtc=replace(config.webrtc, **webrtc))


async def test_media_keeps_to_the_ports_and_announces_the_address_of_the_settings() -> None:
    seen = ""

    async def look(sdp: str) -> str:
        nonlocal seen
        seen = sdp
        return sdp.replace("203.0.113.7", "127.0.0.1")

    config = configured_webrtc(ports=(42_000, 42_099), announced_address="203.0.113.7")
    async with running(config) as server, calling(server, answered=look) as caller:
        await caller.next()
    assert ports_of(seen) <= set(range(42_000, 42_100))
    hosts = set(re.findall(r"a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) ", seen))
    assert hosts == {"203.0.113.7"}


async def test_a_full_range_of_ports_is_refused_by_name() -> None:
    low = 43_000
    taken = []
    for port in range(low, low + 10):
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with socket.socket(family, socket.SOCK_DGRAM) as holder:
                holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1) if family == socket.AF_INET6 else None
                holder.bind((host, port))
                taken.append(holder.dup())
    try:
        async with running(configured_webrtc(ports=(low, low + 9))) as server:
            with pytest.raises(AssertionError, match="call_not_answered"):
                async with calling(server):
                    pass
            assert len(server.app.sessions) == 0
    finally:
        for holder in taken:
            holder.close()


async def test_garbage_on_the_port_changes_nothing() -> None:
    to: set[Address] = set()

    async def look(sdp: str) -> str:
        found = re.findall(r"a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", sdp)
        to.update((host, int(port)) for host, port in found)
        return sdp

    chance = random.Random(3)
    async with running() as server, calling(server, answered=look) as caller:
        await caller.next()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for number in range(600):
                first = (b"", b"\x16", b"\x17", b"\x80", b"\x00", b"\x01\x01\x00\x00\x21\x12\xa4\x42")[number % 6]
                data = first + chance.randbytes(chance.randrange(0, 200)) if first or number % 12 else b""
                for address in to:
                    stranger.sendto(data, address)
                if number % 100 == 0:
                    await asyncio.sleep(0)
        caller.send(type="response.create")
        await caller.until("output_audio_buffer.stopped")


@pytest.mark.parametrize("what", ["endless message", "many channels", "many sources"])
async def test_a_client_that_breaks_the_bounds_loses_its_call_and_no_other(
    what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "parley.server")
    monkeypatch.setattr(transport, "MAX_UNREAD", 40_000)
    async with running() as server, calling(server) as other, calling(server) as caller:
        await caller.next()
        await other.next()
        if what == "endless message":
            caller.channel.transport._remote_max_message_size = 0
            caller.channel.send("x" * 100_000)
        elif what == "many channels":
            for number in range(20):
                caller.connection.createDataChannel(f"more-{number}")
        else:
            dtls = caller.connection.getSenders()[0].transport
            for number in range(200):
                await dtls._send_rtp(bytes([0x80, 96, 0, 9]) + bytes(4) + (1_000 + number).to_bytes(4, "big") + b"\xf8")
        await comes_true(lambda: len(server.app.sessions) == 1)
        said = {
            "endless message": "more in one message",
            "many channels": "more than 8 channels",
            "many sources": "audio of more sources",
        }
        assert said[what] in caplog.text
        other.send(type="response.create")
        await other.until("output_audio_buffer.stopped")


async def test_a_caller_with_video_is_heard_and_seen_by_nobody() -> None:
    async with running() as server, calling(server, video=True) as caller:
        await caller.next()
        caller.send(type="response.create")
        await caller.until("output_audio_buffer.stopped")
        video = next(one for one in caller.connection.getTransceivers() if one.kind == "video")
        assert video.currentDirection == "inactive"


def test_a_flood_that_is_not_read_is_bounded() -> None:
    async def fill() -> int:
        connection = BoundedConnection(None, ice_controlling=False)
        for _ in range(100_000):
            connection.data_received(b"\x80" * 1_000, 1)
        return int(connection._queue.qsize())

    assert asyncio.run(fill()) <= 256


# --- TURN --------------------------------------------------------------------------------------------------------------


def await_stun(port: int) -> None:
    """Ask the server until it answers."""
    request = bytes.fromhex("000100002112a442") + bytes(range(12))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.1)
        for _ in range(100):
            asking.sendto(request, ("127.0.0.1", port))
            with contextlib.suppress(OSError):
                if asking.recv(1_500)[:2] == b"\x01\x01":
                    return
    raise AssertionError("coturn does not answer")


@asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[int]:
    """A TURN server on this machine; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [
        "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1",
        f"--listening-port={port}",
        "--lt-cred-mech",
        "--user=parley:a-long-password",
        "--realm=parley",
        "--allow-loopback-peers",
        "--no-tls",
        "--no-dtls",
        "--no-cli",
        f"--pidfile={folder}/turn.pid",
        f"--userdb={folder}/turn.db",
        "--log-file=stdout",
        "--simple-log",
    ]
    process = await asyncio.create_subprocess_exec(
        shutil.which("turnserver") or "turnserver", "-n", *settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        await asyncio.to_thread(await_stun, port)
        yield port
    finally:
        process.terminate()
        await process.communicate()


@pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed: apt-get install coturn")
async def test_a_call_is_made_through_a_relay_where_there_is_no_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(self: BoundedConnection, component: int, address: str) -> None:
        """UDP from this machine goes to the TURN server and nowhere else."""

    monkeypatch.setattr(BoundedConnection, "_bound", nothing)
    seen = ""

    async def look(sdp: str) -> str:
        nonlocal seen
        seen = sdp
        return sdp

    async with coturn(tmp_path) as port:
        settings = WebRtcConfig(
            ice_servers=(f"turn:127.0.0.1:{port}?transport=udp",),
            ice_username="parley",
            ice_credential="a-long-password",
        )
        config = replace(configured(), webrtc=settings)
        async with running(config) as server, calling(server, answered=look) as caller:
            await caller.next()
            caller.send(type="response.create")
            await caller.until("output_audio_buffer.stopped")
            await caller.hears(150)
    assert set(re.findall(r" typ (\w+)", seen)) == {"relay"}
