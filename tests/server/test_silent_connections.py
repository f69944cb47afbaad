"""Connections that say nothing, or too little, or read nothing, end by themselves and block no others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from parley.cli.checks import check_open_files
from parley.server.app import create_app
from parley.server.descriptors import WANTED, Descriptors, open_files_limit, raise_open_files_limit
from parley.server.http_connection import Patience
from parley.server.lifetime import Uvicorn, listen
from tests.runtime.rig import settled
from tests.server.harness import PATIENCE_S, Engines, configured, loaded

if sys.platform != "win32":
    import resource

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

LIMIT = 192
"""Descriptors of a server that soon has none left; about forty are its own."""


@asynccontextmanager
async def serving(patience: Patience) -> AsyncIterator[tuple[Uvicorn, int]]:
    config = configured()
    engines = loaded(config, Engines())
    app = create_app(config, engines)
    started = asyncio.Event()
    server = app.server(started.set, patience)
    listener = listen(config.server)
    running = asyncio.create_task(server.serve_on(listener))
    await started.wait()
    try:
        yield server, listener.getsockname()[1]
    finally:
        server.leave()
        server.leave()
        await running
        await engines.close()


@asynccontextmanager
async def connected(port: int, said: bytes = b"") -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def all_that_comes(reader: asyncio.StreamReader) -> bytes:
    """Until the server ends the connection."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.wait_for(reader.read(), PATIENCE_S)
    return b""


SOON = Patience(request_s=0.1, stall_s=0.1)


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with serving(SOON) as (_, port), connected(port) as (reader, _):
        assert await all_that_comes(reader) == b""


async def test_a_request_that_is_not_completed_in_time_gets_a_408_and_is_closed() -> None:
    async with serving(SOON) as (_, port), connected(port, b"GET /health HTTP/1.1\r\nHost: 127.") as (reader, _):
        head, _, body = (await all_that_comes(reader)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["code"] == "request_timeout"


async def test_headers_that_drip_in_do_not_keep_a_connection_open() -> None:
    async with serving(SOON) as (_, port), connected(port, b"GET /health HTTP/1.1\r\nx: ") as (reader, writer):
        answer = asyncio.create_task(all_that_comes(reader))
        while not (await asyncio.wait([answer], timeout=0.01))[0]:
            writer.write(b"x")
        assert (await answer).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_never_comes_does_not_keep_a_connection_open() -> None:
    request = b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    async with serving(SOON) as (server, port), connected(port, request) as (reader, _):
        assert (await all_that_comes(reader)).startswith(b"HTTP/1.1 405 ")
        assert not server.server_state.connections


async def test_an_idle_connection_is_closed_after_its_answer_though_a_byte_comes() -> None:
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(SOON) as (_, port), connected(port, request + b"G") as (reader, _):
        assert (await all_that_comes(reader)).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_reads_none_of_its_answers_is_closed() -> None:
    async with serving(SOON) as (server, port), connected(port) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2_000)
        await settled(lambda: bool(server.server_state.connections))
        await settled(lambda: not server.server_state.connections)


async def test_a_session_outlives_the_time_for_its_handshake() -> None:
    async with serving(SOON) as (_, port), connect(f"ws://127.0.0.1:{port}/v1/realtime") as talk:
        assert json.loads(await talk.recv())["type"] == "session.created"
        async with connected(port) as (reader, _):
            # It came later than the session and is closed: the session's own time has passed.
            assert await all_that_comes(reader) == b""
        await talk.send(json.dumps({"type": "response.cancel"}))
        assert json.loads(await talk.recv())["type"] == "error"


def test_the_limit_of_open_files_is_raised_at_start() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raised = raise_open_files_limit()
        limits = open_files_limit()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert limits is not None
    assert raised == limits[0] == min(limits[1], WANTED)


def test_doctor_says_when_the_sessions_need_more_open_files_than_there_can_be() -> None:
    assert check_open_files(configured(max_sessions=1)).ok
    check = check_open_files(configured(max_sessions=100_000))
    assert not check.ok
    assert "ulimit -n" in check.remedy


def test_a_lack_of_descriptors_is_logged_once_with_its_remedy(caplog: pytest.LogCaptureFixture) -> None:
    descriptors = Descriptors()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        descriptors.probe()
        descriptors.probe()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert "connections cannot be accepted" in record.getMessage()
    assert "ulimit -n" in record.getMessage()


@asynccontextmanager
async def process_with_few_descriptors() -> AsyncIterator[tuple[int, list[str]]]:
    """`parley serve` under a hard limit: its port, and its lines, complete when the block is left."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    command = [sys.executable, "-c", "from parley.cli.main import main; main()"]
    command += ["serve", "--port", "0", "--pipeline", "bench"]
    child = await asyncio.create_subprocess_exec(
        "sh", "-c", f'ulimit -n {LIMIT} && exec "$@"', "sh", *command, stderr=asyncio.subprocess.PIPE, env=environ
    )
    assert child.stderr is not None
    lines: list[str] = []
    port = 0
    try:
        async with asyncio.timeout(3 * PATIENCE_S):
            while "Ctrl-C stops it." not in "".join(lines[-1:]):
                lines.append((await child.stderr.readline()).decode())
                if "listens on" in lines[-1]:
                    port = int(lines[-1].split("http://")[1].split()[0].rpartition(":")[2])
        yield port, lines
    finally:
        child.terminate()
        lines.append((await child.communicate())[1].decode())


@pytest.mark.slow
async def test_silent_connections_are_closed_in_favour_of_one_that_sends_a_request() -> None:
    async with process_with_few_descriptors() as (port, lines), contextlib.AsyncExitStack() as crowd:
        for _ in range(LIMIT + 20):
            await crowd.enter_async_context(connected(port))
        async with connect(f"ws://127.0.0.1:{port}/v1/realtime") as talk:
            assert json.loads(await talk.recv())["type"] == "session.created"
    said = "".join(lines)
    assert "connections that send no request are closed" in said
    assert said.count("ulimit -n") == 2, "one line at start, and one in a minute"


async def fill(port: int, sessions: list[ClientConnection]) -> None:
    while len(sessions) < LIMIT:
        sessions.append(await connect(f"ws://127.0.0.1:{port}/v1/realtime"))


@pytest.mark.slow
async def test_where_all_connections_are_sessions_one_more_is_refused_with_retry_after() -> None:
    async with process_with_few_descriptors() as (port, _):
        sessions: list[ClientConnection] = []
        try:
            with pytest.raises(InvalidStatus) as refused:
                await fill(port, sessions)
        finally:
            for session in sessions:
                await session.close()
    response = refused.value.response
    assert response.status_code == 503
    assert json.loads(response.body or b"")["error"]["code"] == "too_many_connections"
    assert int(response.headers["retry-after"]) > 0
