"""DNS rebinding: a page under a name that points at this machine learns nothing from the server."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from parley.server.access.hosts import HostRule
from tests.server.harness import Running, configured, running
from tests.wire.sdk import parse_server_event


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        (None, True),
        ("127.0.0.1", True),
        ("127.0.0.1:8765", True),
        ("127.9.9.9:1", True),
        ("[::1]:8765", True),
        ("localhost", True),
        ("LocalHost.:8765", True),
        ("parley.localhost:8765", True),
        ("evil.example:8765", False),
        ("localhost.evil.example", False),
        ("evillocalhost", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.1.5:8765", False),
        ("[fe80::1]", False),
        ("0.0.0.0:8765", False),
        ("", False),
    ],
)
def test_a_loopback_server_answers_to_the_names_of_this_machine(host: str | None, answered: bool) -> None:
    assert (HostRule("127.0.0.1", ()).refusal(host) is None) is answered


@pytest.mark.parametrize(
    ("bound", "allowed", "host", "answered"),
    [
        ("127.0.0.1", ("voice.example.com",), "Voice.Example.com:443", True),
        ("127.0.0.1", ("voice.example.com",), "evil.example", False),
        ("127.0.0.1", ("[fe80::1]",), "[fe80::1]:8765", True),
        ("0.0.0.0", (), "anything.example", True),
        ("0.0.0.0", ("voice.example.com",), "voice.example.com", True),
        ("0.0.0.0", ("voice.example.com",), "evil.example", False),
        ("0.0.0.0", ("voice.example.com",), "localhost:8765", True),
        ("voice.lan", ("voice.lan",), "voice.lan:8765", True),
        ("voice.lan", ("voice.lan",), "evil.example", False),
    ],
)
def test_the_owner_names_further_hosts(bound: str, allowed: tuple[str, ...], host: str, answered: bool) -> None:
    assert (HostRule(bound, allowed).refusal(host) is None) is answered


PATHS = ("/", "/health", "/metrics", "/v1/models", "/parley/pipelines", "/parley/admission", "/nothing")


async def test_every_http_answer_asks_for_the_right_host() -> None:
    async with running() as server, httpx.AsyncClient(base_url=server.http, trust_env=False) as client:
        for path in PATHS:
            refused = await client.get(path, headers={"Host": "evil.example:8765"})
            assert refused.status_code == 403, path
            error = refused.json()["error"]
            assert error["code"] == "host_not_allowed"
            assert "allowed_hosts" in error["message"]
        assert (await client.get("/parley/pipelines")).status_code == 200


async def ws_answer(server: Running, name: str) -> Any:
    """The code of the refusal, or the first event's type, of a handshake sent to `name`."""
    host, _, port = server.host.partition(":")
    try:
        async with connect(f"ws://{name}/v1/realtime", host=host, port=int(port)) as client:
            return parse_server_event(await client.recv()).type
    except InvalidStatus as refused:
        return json.loads(refused.response.body or b"")["error"]["code"]


async def test_a_handshake_asks_for_the_right_host() -> None:
    async with running() as server:
        assert await ws_answer(server, "evil.example") == "host_not_allowed"
        assert await ws_answer(server, "localhost:1") == "session.created"


async def test_the_owner_can_allow_the_name_of_a_proxy() -> None:
    async with running(configured(allowed_hosts=("voice.example.com",))) as server:
        assert await ws_answer(server, "voice.example.com") == "session.created"
