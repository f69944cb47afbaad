"""Converters in processes of their own: killed, hanging, failing to start, and left behind by a parent that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from parley.audio.pcm import to_bytes, to_float
from parley.engines.ports import VC, ConversionSpec, EngineSpec, EngineUnavailable, Samples, VoiceConverter
from parley.engines.registry import create as create_engine
from parley.engines.vc.live import LiveConversion
from parley.engines.vc.process import create
from parley.engines.vc.socket import create as create_socket
from parley.engines.vc.voice_protocol import FrameDecoder, encode_frame
from parley.engines.vc.voice_sockets import listen_at, runtime_folder
from tests.engines.converters import RATE, largest_step, voice
from tests.engines.opening import while_open
from tests.voice.clients import alive, bench, served

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")

FRAME = RATE // 50
AUDIO = voice(4.0)
STEP = 2 * largest_step(AUDIO) + 2 / (0.005 * RATE)


@pytest.fixture(autouse=True)
def _own_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


async def until(condition: object, limit_s: float = 30.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(0.005)


async def converted(engine: VoiceConverter, audio: Samples) -> Samples:
    stream = engine.open_stream(ConversionSpec())
    parts = [await stream.convert(audio[at : at + FRAME]) for at in range(0, len(audio), FRAME)]
    return np.concatenate([*parts, await stream.finish()])


async def test_it_converts_as_the_engine_does_and_leaves_nothing_behind() -> None:
    engine = create("bench", {"latency_ms": 30, "block_ms": 10})
    assert engine.info.voices == ("filtered",)
    async with while_open(engine):
        pid = engine.pid
        assert (engine.latency_ms, engine.block_ms, engine.fault) == (30, 10, None)
        made = await converted(engine, AUDIO)
        np.testing.assert_allclose(made, bench(AUDIO, 720), atol=1e-4)
        assert [file.suffix for file in runtime_folder().iterdir()] == [".sock"]
    assert not alive(pid)
    assert list(runtime_folder().iterdir()) == []


async def test_a_child_that_is_killed_in_mid_stream_costs_a_moment_of_the_converted_voice() -> None:
    """Raw within a block, back in the same stream, no click, and the time line as it was."""
    engine = create("bench", {"block_ms": 20})
    async with while_open(engine):
        live = LiveConversion(engine)
        first = engine.pid
        parts = [await live.exchange_async(AUDIO[at : at + FRAME]) for at in range(0, RATE, FRAME)]
        os.kill(first, signal.SIGKILL)
        killed, at = time.monotonic(), RATE
        await until(lambda: engine.fault is not None)
        frames_back = 0
        while not live.figures.restarts:
            frame = AUDIO[at % len(AUDIO) :][:FRAME]
            frames_back += engine.fault is None
            parts.append(await live.exchange_async(frame))
            at += FRAME
            await asyncio.sleep(0.01)  # twice as fast as it is spoken
            assert at < 20 * RATE
        back_s = time.monotonic() - killed
        said = np.resize(AUDIO, at + RATE)
        parts += [await live.exchange_async(said[begin : begin + FRAME]) for begin in range(at, len(said), FRAME)]
        parts.append(await live.flush())
        made = np.concatenate(parts)[live.latency :]
        wanted = bench(said, 480)
        assert len(made) == len(said)
        wrong = np.flatnonzero(np.abs(made - wanted) > 1e-3)
        assert wrong[0] >= RATE - live.latency - FRAME, "what was converted stays"
        np.testing.assert_allclose(made[-RATE // 2 :], wanted[-RATE // 2 :], atol=1e-4)
        assert largest_step(made[:-480]) < STEP, "a seam is no click; the end of the audio may be one"
        assert live.figures.raw_ms < 1_000 * (at - RATE) / RATE + 100
        assert engine.restarts == 1
        assert engine.fault is None
        assert engine.pid != first
        assert not alive(first)
        assert frames_back <= 10, "the stream was not opened as soon as the process was there"
        assert back_s < 3 + 10, "a start of this process, on a machine that runs other tests too"
        live.close()


async def test_streams_of_a_child_that_is_away_give_the_raw_voice_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the outage once, however many streams it meets."""
    engine = create("bench", {})
    async with while_open(engine):
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: engine.fault is not None)
        began = time.monotonic()
        for _ in range(20):
            assert len(await converted(engine, AUDIO[: RATE // 20])) == RATE // 20
        assert time.monotonic() - began < 5
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert [message for message in warnings if "voice" in message] == [
            "The voice server bench was killed by signal 9. It is being restarted."
        ]
        await until(lambda: engine.fault is None)
        np.testing.assert_allclose(await converted(engine, AUDIO), bench(AUDIO, 480), atol=1e-4)


async def test_a_child_that_hangs_is_killed_and_replaced() -> None:
    engine = create("bench", {"limit_s": 0.3, "block_ms": 20})
    async with while_open(engine):
        live = LiveConversion(engine)
        first = engine.pid
        await live.exchange_async(AUDIO[:FRAME])
        os.kill(first, signal.SIGSTOP)
        raw = 0
        while engine.pid in (0, first):
            began = time.monotonic()
            assert len(await live.exchange_async(AUDIO[:FRAME])) == FRAME
            raw += time.monotonic() - began < 1
            await asyncio.sleep(0.01)
        assert raw, "it is not waited for"
        assert not alive(first)
        np.testing.assert_allclose(await converted(engine, AUDIO), bench(AUDIO, 480), atol=1e-4)
        live.close()


async def test_a_slow_child_that_answers_is_left_alone() -> None:
    engine = create("bench", {"limit_s": 0.2, "work_ms": 60})
    async with while_open(engine):
        first = engine.pid
        for _ in range(10):
            stream = engine.open_stream(ConversionSpec())
            asking = asyncio.create_task(stream.convert(AUDIO[:FRAME]))
            await asyncio.sleep(0.03)
            asking.cancel()
            await asyncio.wait([asking])
            stream.close()
        await until(lambda: engine._pulse._timer is None and engine._pulse._trial is None)
        assert engine.pid == first
        assert engine.restarts == 0


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("", {}, "names no engine"),
        ("bench", {"voice": "nobody"}, "nobody"),
        ("bench", {"start_s": 0.1}, "not ready after 0.1 s"),
    ],
)
async def test_a_child_that_cannot_start_says_why(model: str, options: dict[str, object], said: str) -> None:
    engine = create(model, options)
    with pytest.raises(EngineUnavailable, match=said) as caught:
        await engine.open()
    assert caught.value.remedy
    assert engine.pid == 0
    await engine.close()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("process:nothing", {}, "nothing"),
        ("process:bench", {"latency": 3}, "latency"),
        ("process:bench", {"limit_s": "soon"}, "limit_s"),
    ],
)
def test_a_wrong_engine_or_option_is_refused_before_a_process_is_started(
    name: str, options: dict[str, object], said: str
) -> None:
    with pytest.raises(EngineUnavailable, match=said):
        create_engine(VC, EngineSpec.parse(name, options))


PARENT = """
import asyncio
from parley.engines.vc.process import create

async def main():
    engine = create("bench", {})
    await engine.open()
    print(engine.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_parent_that_is_killed_takes_the_child_and_its_socket_with_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    asyncio.run(until(lambda: not alive(pid)))
    assert list(runtime_folder().iterdir()) == []


# --- servers that run already ---


async def test_a_server_that_runs_already_is_an_engine(tmp_path: Path) -> None:
    with served("bench", "--socket", str(tmp_path / "v.sock"), "--option", "block_ms=20", errors=tmp_path / "log"):
        engine = create_socket(str(tmp_path / "v.sock"), {})
        async with while_open(engine):
            assert engine.latency_ms == 40, "measured"
            np.testing.assert_allclose(await converted(engine, AUDIO), bench(AUDIO, 480), atol=1e-4)


class OtherServer:
    """A server of the same protocol that somebody else wrote: it inverts, with 10 ms of silence first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.silent = False
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> OtherServer:
        self._server = await asyncio.start_unix_server(self._serve, sock=listen_at(self._path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        decoder, held = FrameDecoder(RATE), bytes(480)
        while data := await reader.read(1 << 16):
            for frame in decoder.push(data):
                held += to_bytes(-frame)
                size = 2 * len(frame) or len(held)
                if not self.silent:
                    writer.write(encode_frame(to_float(held[:size])))
                held = held[size:]
        writer.close()


async def test_a_server_is_waited_for_and_may_come_back(tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    engine = create_socket(str(path), {})
    opening = asyncio.create_task(engine.open())
    await asyncio.sleep(0)
    async with OtherServer(path):
        await opening
        assert engine.latency_ms == 10
        np.testing.assert_allclose(await converted(engine, AUDIO), -AUDIO, atol=1e-4)
        stream = engine.open_stream(ConversionSpec())
        parts = [await stream.convert(AUDIO[at : at + FRAME]) for at in range(0, RATE, FRAME)]
    parts += [await stream.convert(AUDIO[at : at + FRAME]) for at in range(RATE, 2 * RATE, FRAME)]
    assert "v.sock" in str(engine.fault)
    async with OtherServer(path):
        parts += [await stream.convert(AUDIO[at : at + FRAME]) for at in range(2 * RATE, 4 * RATE, FRAME)]
        parts.append(await stream.finish())
        assert engine.fault is None
    made = np.concatenate(parts)
    assert len(made) == len(AUDIO)
    assert largest_step(made) < STEP
    np.testing.assert_allclose(made[: RATE - 480], -AUDIO[: RATE - 480], atol=1e-4)
    np.testing.assert_allclose(made[RATE + 240 : 2 * RATE - 480], AUDIO[RATE + 240 : 2 * RATE - 480], atol=1e-4)
    np.testing.assert_allclose(made[3 * RATE :], -AUDIO[3 * RATE :], atol=1e-4)
    await engine.close()


async def test_a_server_that_is_silent_is_given_up_and_not_waited_for_again_as_long(tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    engine = create_socket(str(path), {"limit_s": 0.2})
    async with OtherServer(path) as server, while_open(engine):
        server.silent = True
        began = time.monotonic()
        np.testing.assert_allclose(await converted(engine, AUDIO[:RATE]), AUDIO[:RATE], atol=1e-4)
        assert time.monotonic() - began < 10
        assert "not answered for" in str(engine.fault)
        server.silent = False
        np.testing.assert_allclose(await converted(engine, AUDIO[:RATE]), -AUDIO[:RATE], atol=1e-4)


@pytest.mark.parametrize(
    ("path", "said"), [("", "names no socket"), ("v" * 200, "200 bytes"), ("none.sock", "tried for 0")]
)
async def test_a_server_that_never_comes_is_named(path: str, said: str) -> None:
    with pytest.raises(EngineUnavailable, match=said) as caught:
        await create_socket(path, {"wait_s": 0}).open()
    assert caught.value.remedy
