"""What a client notices of a proxy with the files of deploy/: nothing but HTTPS."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, DefaultHttpxClient, OpenAI

from tests.deploy.proxies import DEPLOY, NAME, Proxy, caddy, free_port, nginx
from tests.web.browser import eventually, page
from tests.web.chromium import chromium
from tests.web.server import Server

KEY = "sk-behind-a-proxy"
KINDS: dict[str, Callable[[Path, int], Any]] = {
    "nginx": nginx,
    "caddy": lambda folder, upstream: caddy(folder, upstream, "Caddyfile"),
    "caddy-lan": lambda folder, upstream: caddy(folder, upstream, "Caddyfile.lan"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"PARLEY_API_KEY": KEY, "PARLEY_ALLOWED_HOSTS": NAME}
    folder = tmp_path_factory.mktemp("server")
    (folder / "parley.toml").write_text("[pipelines.bench]\ntts_options = { chunks = 24 }\n", encoding="utf-8")
    running = Server("--pipeline", "bench", cwd=folder, environment=environment)
    yield running
    running.end()


@pytest.fixture(scope="module", params=list(KINDS))
def proxy(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with ExitStack() as stack:
        yield stack.enter_context(KINDS[request.param](tmp_path_factory.mktemp("proxy"), server.port))


@pytest.fixture(autouse=True)
def _name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The public name leads to this machine."""
    asked = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: asked("127.0.0.1" if host == NAME else host, *rest, **more)
    )


@pytest.fixture
def client(proxy: Proxy) -> Iterator[OpenAI]:
    http = DefaultHttpxClient(verify=proxy.trusted(), trust_env=False)
    with OpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, http_client=http, max_retries=0) as made:
        yield made


async def test_the_stock_client_talks_over_wss(proxy: Proxy) -> None:
    options: Any = {"ssl": proxy.trusted(), "proxy": None}
    async with (
        AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0) as client,
        client.realtime.connect(model="bench", websocket_connection_options=options) as connection,
    ):
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
        )
        await connection.response.create()
        audio, done = 0, ""
        async for event in connection:
            if event.type == "response.output_audio.delta":
                audio += len(event.delta)
            elif event.type == "response.done":
                done = event.response.status or ""
                break
    assert (done, audio > 20_000) == ("completed", True)


def test_speech_leaves_as_it_is_made(client: OpenAI) -> None:
    """The engine takes more than a second between its first piece and its last; held back by a proxy, they would come together. Pieces of
    MP3 are smaller than any buffer."""
    came: list[float] = []
    with client.audio.speech.with_streaming_response.create(
        model="bench", voice="alloy", input="Hello.", response_format="mp3", stream_format="sse"
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:") and json.loads(line[5:])["type"] == "speech.audio.delta":
                came.append(time.monotonic())
    assert len(came) > 3
    assert came[-1] - came[0] > 0.15


def health_check(port: int, folder: Path) -> int:
    """The exit code of the container's check, in a container whose server has this port."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PARLEY_HOST": "0.0.0.0", "PARLEY_API_KEY": KEY}
    command = [sys.executable, str(DEPLOY / "healthcheck.py")]
    return subprocess.run(command, env=environment | {"PARLEY_PORT": str(port)}, capture_output=True).returncode


def test_the_health_check_of_the_container_sees_a_server_and_its_absence(server: Server, tmp_path: Path) -> None:
    assert health_check(server.port, tmp_path) == 0
    assert health_check(free_port(), tmp_path) == 1


def sent(proxy: Proxy, size: int) -> httpx.Response:
    with httpx.Client(verify=proxy.trusted(), trust_env=False, timeout=60) as client:
        return client.post(
            f"{proxy.url}/v1/audio/translations",
            headers={"Authorization": f"Bearer {KEY}"},
            data={"model": "bench"},
            files={"file": ("speech.wav", bytes(size))},
        )


def test_a_large_upload_gets_through_and_one_too_large_the_servers_own_answer(
    proxy: Proxy, request: pytest.FixtureRequest
) -> None:
    read = sent(proxy, 20_000_000)
    assert (read.status_code, read.json()["error"]["param"]) == (400, "file"), read.text
    try:
        refused = sent(proxy, 26_300_000)
    except httpx.TransportError:
        # The answer comes before the end of the request; a proxy that then closes the connection may take it from a client that sends on.
        assert "caddy" in request.node.name
    else:
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "file_too_large")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("proxy", ["nginx", "caddy"], indirect=True)
async def test_the_page_is_heard_under_the_public_name(proxy: Proxy) -> None:
    if chromium() is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium); PARLEY_TEST_CHROMIUM names another one")
    flags = (f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--ignore-certificate-errors")
    async with page(f"{proxy.url}/", flags=flags) as tab:
        await tab.until("document.querySelector('#key-box').open")
        await tab.type(KEY)
        await tab.press("Enter")
        await tab.until("!document.querySelector('#key-box').open")
        await tab.click("#heart")
        await eventually(lambda: bool(tab.told("session.created")), "a session", tab)
        await eventually(lambda: len(tab.asked("input_audio_buffer.append")) > 5, "sound of the microphone", tab)
        assert await tab.js("isSecureContext && location.protocol") == "https:"
