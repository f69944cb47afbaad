"""`parley bench` against a server of another make, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from parley.client.urls import UnusableUrl, realtime_url
from parley.load.conversation import Script
from parley.load.drive import Fleet, LoadPlan, NoSessionOpened
from parley.load.link import LoadLink
from parley.load.pacing import Wheel
from parley.load.process_usage import NoSuchProcess, read_usage
from parley.load.recording import cut_track, find_speech, text_frame
from parley.load.report import LoadFigures, broken_bars, figures
from tests.client.foreign_server import Behaviour, foreign_server
from tests.client.voices import silence, voice, write_wav

pytestmark = pytest.mark.slow

PCM = np.concatenate((silence(60), voice(300), silence(60)))
TRACK = cut_track(find_speech(PCM), 20)


async def driven(
    url: str,
    *,
    sessions: int = 2,
    duration_s: float = 1.2,
    barge_after_s: float | None = None,
    silence_ms: int | None = None,
    api_key: str | None = None,
    pid: int | None = None,
) -> LoadFigures:
    script = Script(TRACK, 0.05, gap_s=0.1, barge_after_s=barge_after_s)
    plan = LoadPlan(realtime_url(url, "m"), sessions, script, duration_s, 0.1, silence_ms, api_key, pid)
    return figures(plan, await Fleet(plan, lambda progress: None).run())


async def test_replies_are_timed_and_counted() -> None:
    async with foreign_server(Behaviour(silence_ms=200, reply_after_s=0.1)) as url:
        found = await driven(url, sessions=3, duration_s=2.5)
    assert found.joined == 3
    assert found.turns >= 6
    assert found.first_audio.count == found.turns
    assert (found.missed, found.early, found.stray, found.unfinished) == (0, 0, 0, 0)
    assert found.silence_ms == 200
    assert found.ideal_ms == 250
    assert found.first_audio.p50_ms is not None
    assert found.first_audio.p50_ms >= 290
    assert broken_bars(found, max_missed=0) == []


async def test_fillers_are_counted_and_the_replies_behind_them_are_timed() -> None:
    async with foreign_server(Behaviour(silence_ms=200, reply_after_s=0.3, filler_first=True)) as url:
        found = await driven(url, sessions=1, duration_s=2.5)
    assert found.first_audio.count == found.turns >= 1
    assert found.fillers >= 1  # that of the last turn may come after the measurement
    assert found.first_audio.p50_ms is not None
    assert found.first_audio.p50_ms >= 490
    assert (found.early, found.stray) == (0, 0)


async def test_a_server_that_indents_its_json_is_understood() -> None:
    async with foreign_server(Behaviour(indent=2)) as url:
        found = await driven(url, sessions=1, duration_s=2.5)
    assert found.first_audio.count == found.turns >= 2


async def test_the_silence_wait_that_was_asked_for_is_used() -> None:
    async with foreign_server(Behaviour(silence_ms=200)) as url:
        found = await driven(url, silence_ms=400)
    assert found.silence_ms == 400
    assert found.early == 0
    assert found.first_audio.p50_ms is not None
    assert found.first_audio.p50_ms >= 400


async def test_a_server_that_interrupts_the_user_is_caught() -> None:
    async with foreign_server(Behaviour(impatient=True)) as url:
        found = await driven(url)
    assert found.early == found.turns > 0
    assert "early" in broken_bars(found, max_missed=0)[0]


async def test_talking_over_replies_stops_them() -> None:
    async with foreign_server(Behaviour(chunks=30, chunk_every_s=0.05)) as url:
        found = await driven(url, barge_after_s=0.1, duration_s=3)
    assert found.barge_ins >= 2
    assert (found.unstopped, found.leaked) == (0, 0)
    assert found.barge_in_to_silence.count == found.barge_in_to_cancelled.count == found.barge_ins


async def test_sessions_dropped_by_the_server_are_reported_with_its_reason() -> None:
    async with foreign_server(Behaviour(closes_after_turns=1)) as url:
        found = await driven(url, duration_s=2.5)
    assert found.dropped == {"the server closed with 1011 (out of turns)": 2}
    assert "2 dropped" in broken_bars(found, max_missed=0)[0]


async def test_a_session_left_in_the_middle_of_a_reply_is_closed_and_does_not_break() -> None:
    closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def talk(socket: ServerConnection) -> None:
        await socket.recv()
        with contextlib.suppress(ConnectionClosed):
            for _ in range(200):
                await socket.send("x" * 60_000)
        await socket.wait_closed()
        closed.set_result(socket.close_code)

    def leave(message: bytes, now_s: float) -> None:
        links[0].close()
        hung_up.append(links[0].ended.done())

    links: list[LoadLink] = []
    hung_up: list[bool] = []
    async with serve(talk, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        links.append(await LoadLink.dial(f"ws://127.0.0.1:{port}/", None, leave))
        links[0].send(text_frame(b"go on"))
        assert await asyncio.wait_for(links[0].ended, 10) == "closed by the client"
        assert await asyncio.wait_for(closed, 10) == 1000
    assert hung_up == [False], "messages that the server had still to send were not read"


async def test_a_refused_key_is_reported_in_the_servers_words() -> None:
    async with foreign_server(Behaviour(key="right")) as url:
        with pytest.raises(NoSessionOpened, match=r"401 Unauthorized.*Incorrect API key"):
            await driven(url, api_key="wrong")
        assert (await driven(url, api_key="right", sessions=1, duration_s=0.2)).joined == 1


async def test_an_unreachable_server_is_reported() -> None:
    with pytest.raises(NoSessionOpened, match="could be opened"):
        await driven("ws://127.0.0.1:9", sessions=1)


def test_a_url_is_completed() -> None:
    assert realtime_url("ws://127.0.0.1:8000", None) == "ws://127.0.0.1:8000/v1/realtime"
    assert realtime_url("https://host/other?a=1", "m") == "wss://host/other?a=1&model=m"
    with pytest.raises(UnusableUrl, match="ws://127"):
        realtime_url("127.0.0.1:8000", None)


class StarvedMicrophone:
    def chunk_due(self, planned_s: float) -> None:
        time.sleep(0.03)  # what is measured here is the lateness that a blocked client causes


async def test_a_starved_client_is_noticed() -> None:
    wheel = Wheel(20)
    wheel.add(StarvedMicrophone())
    wheel.start()
    await asyncio.sleep(0.3)
    wheel.stop()
    assert wheel.lateness.share_beyond(20) > 0.5
    assert wheel.lateness.max_ms > 30


def test_the_processor_time_of_children_is_the_servers() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\ninput()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "burnt\n"
        usage = read_usage(process.pid)
        process.communicate("\n")
    assert usage.processes == 2
    assert usage.cpu_s >= 0.3
    assert usage.rss_bytes > 5_000_000


def test_a_process_that_does_not_exist_is_reported() -> None:
    with pytest.raises(NoSuchProcess, match="--pid"):
        read_usage(2**22 + 1)


async def bench(*args: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from parley.cli.main import main; main()",
        "bench",
        *args,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "140"},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_prints_json_and_keeps_the_bar(tmp_path: Path) -> None:
    wav = str(write_wav(tmp_path / "speech.wav", PCM))
    async with foreign_server(Behaviour()) as url:
        common = ("--url", url, "--wav", wav, "--duration", "2", "--gap-ms", "100", "--stage-ms", "50")
        code, out, err = await bench(*common, "--pid", str(os.getpid()), "--json", "--max-missed", "0")
        assert code == 0, err
        found = json.loads(out)
        assert found["turns"] >= 1
        assert found["server_cpu_ms_per_session_s"] > 0
        code, out, err = await bench(*common, "--max-late", "0", "--ideal-ms", "10")
    assert code == 1
    assert "bar broken" in err
    assert "end of speech to first audio" in out


async def test_the_command_says_when_there_is_no_server(tmp_path: Path) -> None:
    wav = str(write_wav(tmp_path / "speech.wav", PCM))
    code, out, err = await bench("--url", "ws://127.0.0.1:9", "--wav", wav)
    assert (code, out) == (2, "")
    assert "No session could be opened" in err
