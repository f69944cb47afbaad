"""How the server ends, and how it starts: in-process, and as the process that `parley serve` is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley.config import ConfigError
from parley.server.app import serve
from parley.server.lifetime import listen
from parley.testing.fakes import FakeModel, Hold
from tests.server.harness import PATIENCE_S, Engines, Talk, configured, running, talking


async def test_a_reply_may_end_while_the_server_stops_and_new_sessions_are_refused() -> None:
    hold = Hold()
    engines = Engines(llm=FakeModel(["I was just saying. ", hold, "Goodbye."]))
    async with running(configured(shutdown_grace_s=60), engines) as server, talking(server) as talk:
        await talk.send(type="response.create")
        await hold.reached.wait()
        server.server.leave()
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.ws + "/v1/realtime")
        response = refused.value.response
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert json.loads(response.body or b"")["error"]["code"] == "server_shutting_down"
        hold.event.set()
        done = await talk.until("response.done")
        assert done.response.status == "completed"
        assert await close_code(talk) in (1001, 1012)


async def test_a_session_that_talks_beyond_the_grace_is_closed() -> None:
    hold = Hold()
    engines = Engines(llm=FakeModel(["And another thing. ", hold]))
    async with running(configured(shutdown_grace_s=0.05), engines) as server, talking(server) as talk:
        await talk.send(type="response.create")
        await hold.reached.wait()
        server.server.leave()
        assert await close_code(talk) == 1012
    assert engines.llm.running == 0


async def test_an_idle_session_is_closed_at_once() -> None:
    async with running(configured(shutdown_grace_s=60)) as server, talking(server) as talk:
        server.server.leave()
        assert await close_code(talk) in (1001, 1012)


async def read_on(client: ClientConnection) -> None:
    while True:
        await client.recv()


async def close_code(talk: Talk) -> int | None:
    try:
        while True:
            await talk.next()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_an_occupied_port_is_reported_before_any_engine_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    taken = listen(configured().server)
    try:
        taken.listen()
        with pytest.raises(ConfigError, match="Cannot listen on") as error:
            serve(configured(port=taken.getsockname()[1]))
    finally:
        taken.close()
    assert "--port" in error.value.remedy
    assert "loading" not in capsys.readouterr().err


@asynccontextmanager
async def process(**settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, list[str]]]:
    """`parley serve` with the bench pipeline, once it listens: the process, its address, its lines so far."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")} | settings
    command = [sys.executable, "-c", "from parley.cli.main import main; main()"]
    command += ["serve", "--port", "0", "--pipeline", "bench"]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environ
    )
    assert child.stderr is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while "Ctrl-C stops it." not in "".join(lines[-1:]):
                line = await child.stderr.readline()
                assert line, "".join(lines)
                lines.append(line.decode())
        address = next(line.split("http://")[1].split()[0] for line in lines if "listens on" in line)
        yield child, address, lines
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@pytest.mark.slow
async def test_the_process_says_where_it_listens_and_how_to_talk_to_it_and_ends_cleanly() -> None:
    async with process(PARLEY_API_KEY="sk-very-secret") as (child, address, lines):
        async with connect(
            f"ws://{address}/v1/realtime", additional_headers={"Authorization": "Bearer sk-very-secret"}
        ) as client:
            assert json.loads(await client.recv())["type"] == "session.created"
            child.send_signal(signal.SIGINT)
            with pytest.raises(ConnectionClosed):
                await client.recv()
        out, err = await asyncio.wait_for(child.communicate(), PATIENCE_S)
        said = "".join(lines) + err.decode()
    assert child.returncode == 0
    assert out == b"", "chatter belongs on stderr"
    assert f'base_url="http://{address}/v1"' in said
    assert "bench" in said
    assert "sk-very-secret" not in said
    assert "Traceback" not in said


@pytest.mark.slow
async def test_sigterm_ends_the_process_with_success() -> None:
    async with process() as (child, _, _):
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), PATIENCE_S) == 0


@pytest.mark.slow
async def test_a_second_interrupt_ends_the_process_at_once() -> None:
    async with (
        process(PARLEY_SHUTDOWN_GRACE_S="600") as (child, address, _),
        connect(f"ws://{address}/v1/realtime") as client,
    ):
        assert json.loads(await client.recv())["type"] == "session.created"
        await client.send(json.dumps({"type": "response.create"}))
        while json.loads(await client.recv())["type"] != "response.created":
            pass
        assert child.stderr is not None
        child.send_signal(signal.SIGINT)
        # A signal that is still pending takes in the next one: the second is sent once the first has been handled.
        line = b""
        while b"stopping: 1 sessions may end their replies within 600 s" not in line:
            line = await child.stderr.readline()
            assert line, "the process ended after one signal"
        child.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionClosed) as closed:
            await read_on(client)
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1012
        _, err = await asyncio.wait_for(child.communicate(), PATIENCE_S)
        assert b"stopping at once: 1 sessions are closed" in err
        assert child.returncode == 0
