"""TLS by files: HTTPS and WSS on one port, and errors that name the file and the fix."""

from __future__ import annotations

import asyncio
import datetime
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from parley.config import ConfigError, load
from parley.server.app import create_app
from parley.server.http_connection import Patience
from parley.server.lifetime import listen
from parley.server.tls import tls_context, tls_warning
from tests.server.certificates import certificate
from tests.server.harness import Engines, configured, loaded, running


async def test_http_and_websockets_are_encrypted_on_one_port(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    async with running(configured(tls_cert=files.cert, tls_key=files.key)) as server:
        async with httpx.AsyncClient(verify=files.trusted()) as client:
            assert (await client.get(f"https://{server.host}/health")).json()["status"] == "ok"
        async with connect(f"wss://{server.host}/v1/realtime", ssl=files.trusted()) as socket:
            assert '"session.created"' in await socket.recv(decode=True)
            await socket.send('{"type":"input_audio_buffer.append","audio":"%s"}' % ("AAAA" * 300_000))
            await socket.send('{"type":"input_audio_buffer.clear"}')
            assert '"input_audio_buffer.cleared"' in await socket.recv(decode=True)


async def test_plain_http_on_a_tls_port_gets_no_answer_and_the_server_goes_on(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    async with running(configured(tls_cert=files.cert, tls_key=files.key)) as server, httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(f"{server.http}/health")
        async with httpx.AsyncClient(verify=files.trusted()) as encrypted:
            assert (await encrypted.get(f"https://{server.host}/health")).status_code == 200


async def test_a_client_that_does_not_shake_hands_is_closed(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    config = configured(tls_cert=files.cert, tls_key=files.key)
    engines = loaded(config, Engines())
    started = asyncio.Event()
    server = create_app(config, engines).server(started.set, patience=Patience(request_s=0.05))
    listener = listen(config.server)
    serving = asyncio.create_task(server.serve_on(listener))
    await started.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
    assert await reader.read() == b""
    writer.close()
    server.leave()
    server.leave()
    await serving
    listener.close()
    await engines.close()


def test_errors_name_the_file_and_the_fix(tmp_path: Path) -> None:
    one, other = certificate(tmp_path), certificate(tmp_path, "other")
    locked = certificate(tmp_path, "locked", b"password")
    server = replace(configured().server, tls_cert=one.cert, tls_key=one.key)
    assert tls_context(server) is not None
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"tls_cert": tmp_path / "absent.crt"}, "server.tls_cert: .*absent.crt cannot be read: No such file"),
        ({"tls_key": tmp_path}, "server.tls_key: .* cannot be read: Is a directory"),
        (
            {"tls_key": other.key},
            "server.tls_key: .*other.key is not the private key of the certificate in .*server.crt",
        ),
        ({"tls_cert": text}, "server.tls_cert: .*text.pem holds no certificate"),
        ({"tls_cert": one.key}, "server.tls_cert: .*server.key holds no certificate"),
        ({"tls_key": text}, "server.tls_key: .*text.pem holds no private key"),
        ({"tls_key": one.cert}, "server.tls_key: .*server.crt holds no private key"),
        ({"tls_cert": locked.cert, "tls_key": locked.key}, "server.tls_key: .*locked.key has a password.*openssl pkey"),
    ]
    for changed, said in cases:
        with pytest.raises(ConfigError, match=said):
            tls_context(replace(server, **changed))


@pytest.mark.parametrize(("there", "missing"), [("tls_cert", "tls_key"), ("tls_key", "tls_cert")])
def test_one_file_without_the_other_is_refused(there: str, missing: str) -> None:
    variable = f"PARLEY_{there.upper()}"
    with pytest.raises(ConfigError, match=f"env {variable}: server.{there} is set and server.{missing} is not"):
        load(None, {}, {variable: "/x.pem"})


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (-2, "is not valid before .* UTC; clients refuse it"),
        (-0.5, "expires on .* UTC; clients refuse it from then on. Renew it"),
        (2, "expired on .* UTC; clients refuse it. Renew it and restart"),
    ],
)
def test_a_certificate_out_of_its_dates_is_warned_of_at_start(tmp_path: Path, days: float, said: str) -> None:
    files = certificate(tmp_path)
    server = replace(configured().server, tls_cert=files.cert, tls_key=files.key)
    warning = tls_warning(server, datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days))
    assert re.search(f"server.tls_cert: .*{files.cert.name} {said}", warning)


def test_a_certificate_within_its_dates_is_not_warned_of(tmp_path: Path) -> None:
    files = certificate(tmp_path, days=30)
    now = datetime.datetime.now(datetime.UTC)
    assert tls_warning(replace(configured().server, tls_cert=files.cert, tls_key=files.key), now) == ""
    assert tls_warning(configured().server, now) == ""
