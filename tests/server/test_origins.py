"""The server's own page under another name: allowed where a key is required, and at `server.public_url`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from parley.config import ConfigError, load
from parley.server.access.origins import OriginRule
from tests.server.harness import Running, configured, running
from tests.wire.sdk import parse_server_event

KEY = "a-key-of-this-test"
NAME = "voice.example.com"


@pytest.mark.parametrize(
    ("origin", "host", "tls", "allowed"),
    [
        ("https://voice.example.com", "voice.example.com", False, True),
        ("https://voice.example.com", "voice.example.com:443", False, True),
        ("https://Voice.Example.com", "voice.example.COM", False, True),
        ("http://192.168.1.5:8765", "192.168.1.5:8765", False, True),
        ("http://[fe80::1]:8765", "[fe80::1]:8765", False, True),
        ("http://192.168.1.5:8765", "192.168.1.5:9000", False, False),
        ("http://192.168.1.5:8765", "192.168.1.6:8765", False, False),
        ("http://192.168.1.5.evil.example", "192.168.1.5", False, False),
        ("http://voice.lan", "voice.lan:80", False, True),
        ("https://voice.lan:8765", "voice.lan:8765", True, True),
        ("http://voice.lan:8765", "voice.lan:8765", True, False),
        ("https://voice.example.com:8443", "voice.example.com", False, False),
        ("https://voice.example.com", "voice.example.com:8443", False, False),
        ("http://voice.example.com", "voice.example.com:443", False, False),
        ("https://evil.example", "voice.example.com", False, False),
        ("https://voice.example.com.evil.example", "voice.example.com", False, False),
        ("https://voice.example.com", None, False, False),
        ("null", "null", False, False),
        ("null", "", False, False),
        ("https://", "", False, False),
        ("file://", "", False, False),
        ("chrome-extension://abc", "abc", False, False),
    ],
)
def test_an_origin_equal_to_host_is_the_own_page_where_a_key_is_required(
    origin: str, host: str | None, tls: bool, allowed: bool
) -> None:
    is_address = re.match(r"https?://[\[\d]", origin) is not None
    assert (OriginRule((), tls=tls, key_required=lambda: True).refusal(origin, host) is None) is allowed
    keyless = OriginRule((), tls=tls, key_required=lambda: False).refusal(origin, host)
    if allowed and is_address:
        assert keyless is None, "no foreign page can have an IP address of this machine for its own"
    else:
        assert keyless is not None
        assert ("parley keys add" in keyless.message) is allowed


def test_the_public_address_is_an_allowed_origin_without_a_key_too() -> None:
    rule = OriginRule((), "https://voice.example.com")
    assert rule.refusal("https://voice.example.com", "127.0.0.1:8765") is None
    assert rule.refusal("http://voice.example.com", "127.0.0.1:8765") is not None
    assert rule.refusal("https://voice.example.com:8443", "voice.example.com") is not None


async def handshake(server: Running, origin: str, key: str | None = KEY, name: str = NAME) -> Any:
    """The type of the first event of a handshake sent to `name`, or the code of its refusal."""
    host, _, port = server.host.partition(":")
    headers = {"Origin": origin, **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        async with connect(f"ws://{name}/v1/realtime", host=host, port=int(port), additional_headers=headers) as client:
            return parse_server_event(await client.recv()).type
    except InvalidStatus as refused:
        return json.loads(refused.response.body or b"")["error"]["code"]


async def test_the_page_behind_a_domain_name_opens_a_session_with_a_key() -> None:
    async with running(configured(allowed_hosts=(NAME,), api_keys=(KEY,))) as server:
        assert await handshake(server, f"https://{NAME}") == "session.created"
        assert await handshake(server, f"https://{NAME}", key=None) == "invalid_api_key"
        assert await handshake(server, "https://evil.example") == "origin_not_allowed"


async def test_a_name_that_a_foreign_page_points_at_this_machine_stays_refused() -> None:
    rebound = "evil.example:8765"
    async with running() as server:
        assert await handshake(server, f"http://{rebound}", None, rebound) == "host_not_allowed"
    async with running(configured(api_keys=(KEY,))) as server:
        assert await handshake(server, f"http://{rebound}", None, rebound) == "host_not_allowed"
    # A keyless server on a public address, which only --insecure gives, does not know its names.
    async with running(configured(host="0.0.0.0", insecure=True, keys_file=None)) as server:
        assert await handshake(server, f"http://{rebound}", None, rebound) == "origin_not_allowed"
        assert await handshake(server, "http://192.168.1.5:8765", None, "192.168.1.5:8765") == "session.created"
        assert await handshake(server, "http://192.168.1.9:8765", None, "192.168.1.5:8765") == "origin_not_allowed"


async def test_the_public_address_is_a_host_and_an_origin() -> None:
    async with running(configured(public_url=f"https://{NAME}", api_keys=(KEY,))) as server:
        assert await handshake(server, f"https://{NAME}") == "session.created"
        # A proxy that puts its own name in `Host`.
        assert await handshake(server, f"https://{NAME}", name="127.0.0.1") == "session.created"
        assert await handshake(server, "http://evil.example", name="evil.example") == "host_not_allowed"


async def test_a_key_file_that_comes_later_opens_the_own_page(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    async with running(configured(allowed_hosts=(NAME,), keys_file=keys)) as server:
        assert await handshake(server, f"https://{NAME}", None) == "origin_not_allowed"
        keys.write_text('{"version": 1, "keys": []}')
        keys.chmod(0o600)
        assert await handshake(server, f"https://{NAME}", None) == "invalid_api_key"


async def test_the_page_that_the_server_serves_may_use_every_endpoint_under_its_own_name() -> None:
    page = {"Host": NAME, "Origin": f"https://{NAME}", "Authorization": f"Bearer {KEY}"}
    foreign = page | {"Origin": "https://evil.example"}
    async with (
        running(configured(allowed_hosts=(NAME,), api_keys=(KEY,))) as server,
        httpx.AsyncClient(base_url=server.http, trust_env=False) as client,
    ):
        for headers, status in ((page, 200), (foreign, 403)):
            secret = await client.post("/v1/realtime/client_secrets", headers=headers, json={})
            assert secret.status_code == status
            query = {"origin": headers["Origin"]}
            admission = await client.get("/parley/admission", headers=headers, params=query)
            assert admission.status_code == status
        offer = {"Content-Type": "application/sdp"}
        assert (await client.post("/v1/realtime/calls", headers=foreign | offer, content=b"v=1")).status_code == 403
        assert (await client.post("/v1/realtime/calls", headers=page | offer, content=b"v=1")).status_code == 400
        speech = {"model": "default", "input": "Hello.", "voice": "alloy"}
        assert (await client.post("/v1/audio/speech", headers=foreign, json=speech)).status_code == 403
        assert (await client.post("/v1/audio/speech", headers=page, json=speech)).status_code == 200


def test_a_public_address_needs_a_key_and_lets_clients_name_no_server_of_tools() -> None:
    with pytest.raises(ConfigError, match=r"server\.public_url https://voice\.example\.com can be reached"):
        load(None, {}, {"PARLEY_PUBLIC_URL": "https://voice.example.com"})
    server = load(None, {}, {"PARLEY_PUBLIC_URL": "https://Voice.Example.com:443/", "PARLEY_API_KEY": KEY}).server
    assert (server.public_url, server.exposed, server.allowed_mcp_servers) == ("https://voice.example.com", True, ())
    here = load(None, {}, {"PARLEY_PUBLIC_URL": "https://localhost:8443"}).server
    assert (here.exposed, here.allowed_mcp_servers) == (False, ("*",))


@pytest.mark.parametrize(
    "url", ["voice.example.com", "ftp://voice", "https://voice/path", "https://u@voice", "https://v:99999"]
)
def test_an_address_that_no_browser_sends_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.public_url: .*such as https://voice\.example\.com"):
        load(None, {}, {"PARLEY_PUBLIC_URL": url, "PARLEY_API_KEY": KEY})
