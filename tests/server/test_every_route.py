"""Every route of the HTTP API with every kind of credential, and with requests that no client should send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from parley.server.access import key_file
from parley.server.access.access import Demand
from parley.server.access.key_file import SCOPES
from parley.server.text_body import MAX_BODY
from tests.server.harness import PATIENCE_S, Running, configured, running

Row = tuple[Demand | None, int]

WRITTEN: Final = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"

CALLS: Final[tuple[tuple[str, str, Row], ...]] = (
    ("POST", "calls", ("session", 415)),
    ("DELETE", "calls/{call_id}", ("session", 404)),
    ("POST", "calls/{call_id}/hangup", ("session", 404)),
    ("POST", "calls/{call_id}/{action}", ("session", 404)),
    ("POST", "translations/calls", ("session", 415)),
)

TABLE: Final[dict[str, Row]] = {
    "GET /": (None, 200),
    "GET /assets/{name}": (None, 404),
    "GET /favicon.ico": (None, 200),
    "GET /health": (None, 200),
    "GET /openapi.json": (None, 200),
    "GET /metrics": ("admin", 200),
    "GET /parley/admission": ("realtime", 200),
    "GET /parley/consent": ("realtime", 200),
    "GET /parley/pipelines": ("realtime", 200),
    "GET /parley/sessions/{session_id}/turns": ("realtime", 404),
    "GET /parley/webrtc": ("realtime", 200),
    "GET /v1/models": ("any", 200),
    "GET /v1/models/{model}": ("any", 404),
    "POST /v1/audio/speech": ("audio", 400),
    "POST /v1/audio/transcriptions": ("audio", 400),
    "POST /v1/audio/translations": ("audio", 400),
    "GET /v1/audio/voice_consents": ("audio", 200),
    "POST /v1/audio/voice_consents": ("audio", 400),
    "GET /v1/audio/voice_consents/{consent_id}": ("audio", 404),
    "POST /v1/audio/voice_consents/{consent_id}": ("audio", 400),
    "DELETE /v1/audio/voice_consents/{consent_id}": ("audio", 404),
    "GET /v1/audio/voices": ("audio", 200),
    "POST /v1/audio/voices": ("audio", 400),
    "GET /v1/audio/voices/{voice_id}": ("audio", 404),
    "POST /v1/audio/voices/{voice_id}": ("audio", 400),
    "DELETE /v1/audio/voices/{voice_id}": ("audio", 404),
    "POST /v1/chat/completions": ("text", 400),
    "POST /v1/responses": ("text", 400),
    "POST /v1/telephony/twilio/voice": (None, 403),
    "POST /v1/realtime/client_secrets": ("realtime", 200),
    "POST /v1/realtime/translations/client_secrets": ("realtime", 400),
    "POST /v1/realtime/sessions": ("realtime", 200),
    "POST /v1/realtime/transcription_sessions": ("realtime", 200),
    **{
        f"{method} /v1/{path}/{{rest}}": ("text", 404)
        for method in ("GET", "POST", "DELETE")
        for path in ("chat/completions", "responses")
    },
    **{f"{begin} {root}/{end}": row for root in ("/v1/realtime", "/realtime") for begin, end, row in CALLS},
    **{
        f"GET {path}": (None, 426)
        for path in (
            "/v1/realtime",
            "/realtime",
            "/v1/realtime/translations",
            "/realtime/translations",
            "/v1/audio/stream",
            "/v1/telephony/twilio",
        )
    },
}
"""What opens each route (`access.py`; `session`: a client secret too; None: nothing is needed), and how an empty JSON object is answered
then. WebSockets are refused here; their credentials are tried in test_handshake.py."""


@asynccontextmanager
async def served(tmp_path: Path, **settings: Any) -> AsyncIterator[Running]:
    # Every test asks with the store of own voices of the machine out of reach.
    async with running(configured(text_api=True, **settings)) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_voices_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PARLEY_OWN_VOICES_DIR", str(tmp_path / "voices"))


def routes_of(server: Running) -> set[str]:
    return {
        f"{method} {path.replace(':path', '').replace(':str', '')}"
        for route in server.app.routes
        for path in (route.path,)
        for method in (route.methods or set()) - {"HEAD"}
    }


def url_of(server: Running, row: str) -> tuple[str, str]:
    method, _, path = row.partition(" ")
    for name in ("name", "session_id", "model", "consent_id", "voice_id", "rest", "call_id", "action"):
        path = path.replace(f"{{{name}}}", "nothing")
    return method, server.http + path


async def test_every_route_is_in_the_table(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        missing, gone = routes_of(server) - set(TABLE), set(TABLE) - routes_of(server)
    assert not missing, (
        f"Say in TABLE which credential opens {', '.join(sorted(missing))}, and how it is answered then."
    )
    assert not gone, f"TABLE has routes that the server has not: {', '.join(sorted(gone))}."


async def test_each_credential_opens_what_it_should_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = {scope: key_file.add(path, scope, frozenset({scope}))[1] for scope in SCOPES}
    revoked = key_file.add(path, "revoked", frozenset(SCOPES))[1]
    key_file.revoke(path, "revoked")
    async with served(tmp_path, keys_file=path) as server, httpx.AsyncClient(timeout=PATIENCE_S) as client:

        async def asked(row: str, credential: str | None) -> tuple[int, str]:
            method, url = url_of(server, row)
            headers = {} if credential is None else {"authorization": f"Bearer {credential}"}
            answer = await client.request(method, url, headers=headers, json={} if method == "POST" else None)
            if answer.status_code >= 400:
                return answer.status_code, answer.json()["error"]["code"]
            return answer.status_code, ""

        made = await client.post(
            f"{server.http}/v1/realtime/client_secrets", headers={"authorization": f"Bearer {keys['realtime']}"}
        )
        credentials: list[tuple[str, str | None]] = [*keys.items(), ("ek_", made.json()["value"]), ("revoked", revoked)]
        credentials += [("wrong", "sk-wrong"), ("forged", "ek_forged"), ("none", None)]
        for row, (demand, status) in TABLE.items():
            for name, credential in credentials:
                got, code = await asked(row, credential)
                if demand is None:
                    assert got == status, (row, name)
                elif name in ("none", "revoked", "wrong", "forged"):
                    assert (got, code) == (401, "invalid_api_key"), (row, name)
                elif name in opening(demand):
                    assert got == status, (row, name)
                else:
                    assert (got, code) == (403, "missing_scope"), (row, name)


def opening(demand: Demand) -> tuple[str, ...]:
    """The credentials of the test that open what is demanded."""
    match demand:
        case "session":
            return ("realtime", "ek_")
        case "any":
            return SCOPES
        case scope:
            return (scope,)


# --- what no client should send ----------------------------------------------------------------------------------------

POSTS: Final = tuple(row for row in TABLE if row.startswith("POST"))

BODIES: Final[dict[str, tuple[str, bytes]]] = {
    "nothing": ("application/json", b""),
    "no JSON": ("application/json", b"{"),
    "deep JSON": ("application/json", b"[" * 200_000),
    "deep objects": ("application/json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "another type": ("application/json", b"[1]"),
    "half a character": ("application/json", b'{"model":"\xff","input":"\xed\xa0\x80","name":"\xff"}'),
    "a lone surrogate": (
        "application/json",
        b'{"model":"\\ud800","input":"\\ud800","name":"\\ud800","messages":["\\ud800"]}',
    ),
    "a number beyond all": (
        "application/json",
        b'{"speed":1e999,"model":"m","input":"x","expires_after":{"seconds":' + b"9" * 5000 + b"}}",
    ),
    "text": ("text/plain", b"hello"),
    "a form without a boundary": ("multipart/form-data", b"--x\r\n\r\n--x--"),
    "a form of nonsense": ("multipart/form-data; boundary=x", b"\x00\xff" * 5000),
    "a form of 2000 fields": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 2000 + b"--x--\r\n",
    ),
    "a part with long headers": (
        "multipart/form-data; boundary=x",
        b"--x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n1\r\n--x--\r\n",
    ),
    "a URL-encoded form": ("application/x-www-form-urlencoded", b"model=m&" * 1000),
    "a content type of nonsense": ('\x7f;=;charset=\\"', b"{}"),
    "a picture": ("image/png", b"\x89PNG"),
}

FINE_WHERE: Final = ("nothing", "a lone surrogate", "text", "a picture", "a URL-encoded form")
"""Bodies with which some routes do what is asked: those that need no body, or do not ask what type it has."""


async def test_no_body_makes_a_route_fail(tmp_path: Path) -> None:
    async with served(tmp_path) as server, httpx.AsyncClient(timeout=PATIENCE_S) as client:
        for row in POSTS:
            for what, (kind, body) in BODIES.items():
                answer = await client.post(url_of(server, row)[1], content=body, headers={"content-type": kind})
                assert answer.status_code < 500, (row, what, answer.text)
                if answer.status_code >= 400:
                    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}, (row, what)
                    assert len(answer.content) < 4096, (row, what)
                else:
                    assert "client_secrets" in row or "sessions" in row, (row, what, answer.text)


async def test_a_body_larger_than_any_is_refused_while_it_comes(tmp_path: Path) -> None:
    """With and without a length; uploads of recordings take more, see test_recordings_sent.py."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range((MAX_BODY >> 16) + 2):
            yield b" " * (1 << 16)

    # Forms may be larger; an unsigned call is refused before its body is read.
    larger = ("transcriptions", "translations", "/voices", "/voice_consents", "/calls", "/telephony", "{")

    async with served(tmp_path) as server, httpx.AsyncClient(timeout=PATIENCE_S) as client:
        for row in POSTS:
            if any(part in row for part in larger):
                continue
            for content in (b" " * (MAX_BODY + 1), endless()):
                answer = await client.post(
                    url_of(server, row)[1], content=content, headers={"content-type": "application/json"}
                )
                assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large"), row


async def test_a_get_can_be_a_head_and_no_other_method_does_anything(tmp_path: Path) -> None:
    async with served(tmp_path) as server, httpx.AsyncClient(timeout=PATIENCE_S) as client:
        taken: dict[str, set[str]] = {}
        for row in TABLE:
            method, url = url_of(server, row)
            taken.setdefault(url, set()).add(method)
        for url, methods in taken.items():
            for method in ("HEAD", "PUT", "PATCH", "TRACE", "CONNECT", "OPTIONS", "BREW"):
                answer = await client.request(method, url)
                if method == "HEAD" and "GET" in methods:
                    assert answer.status_code == (await client.get(url)).status_code, url
                    assert not answer.content
                    continue
                assert answer.status_code == 405, (method, url)
                allowed = set(answer.headers["allow"].split(", ")) - {"HEAD"}
                assert methods <= allowed, (method, url)


async def test_a_preflight_allows_this_machines_pages_and_no_others(tmp_path: Path) -> None:
    async with served(tmp_path) as server, httpx.AsyncClient(timeout=PATIENCE_S) as client:
        for row in TABLE:
            method, url = url_of(server, row)
            for origin, allowed in (("http://localhost:3000", True), ("https://evil.example", False), ("null", False)):
                headers = {"origin": origin, "access-control-request-method": method}
                answer = await client.options(url, headers=headers)
                assert (answer.headers.get("access-control-allow-origin") == origin) is allowed, (row, origin)
                assert "access-control-allow-credentials" not in answer.headers


PATHS: Final = (
    "/v1/audio/voices/..%2f..%2f..%2fetc%2fpasswd",
    "/v1/audio/voices/%00",
    "/v1/audio/voices/" + "a" * 20_000,
    "/v1/audio/voice_consents/%2e%2e%2fkeys.json",
    "/assets/..%2f..%2f..%2fpyproject.toml",
    "/assets/%2e%2e/%2e%2e/server/app.py",
    "/assets//etc/passwd",
    "/assets/C:%5cwindows%5cwin.ini",
    "/v1/models/..%2f..%2fetc%2fpasswd",
    "/parley/sessions/%0d%0aSet-Cookie:%20a=b/turns",
    "/v1/realtime/calls/%ff%fe/hangup",
    "//evil.example/",
    "//evil.example/v1/models/",
    "/v1/models/../../metrics",
    "/v1//models",
    "/V1/MODELS",
    "/v1/audio/speech/",
    "/openapi.json/",
    "/%2e%2e/metrics",
)


async def test_a_path_leads_nowhere_but_to_its_route(tmp_path: Path) -> None:
    """Raw, as no client library would send it."""
    async with served(tmp_path) as server:
        host, _, port = server.host.partition(":")
        for path in PATHS:
            head, body = await raw(
                host, int(port), f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n\r\n".encode()
            )
            status = int(head.split()[1])
            assert 400 <= status < 500, (path, head)
            assert b"location" not in head.lower(), "a redirect would go where the request says"
            assert b"root:" not in body
            assert b"set-cookie" not in head.lower()


async def raw(host: str, port: int, said: bytes) -> tuple[bytes, bytes]:
    """All that comes before the server ends the connection, head and rest."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(said)
        async with asyncio.timeout(PATIENCE_S):
            data = await reader.read()
    except ConnectionError:
        data = b""
    finally:
        writer.close()
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _post(lines: str, body: bytes) -> bytes:
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n{lines}\r\n".encode()
        + body
    )


HIDDEN: Final = b"GET /metrics HTTP/1.1\r\nHost: HOST\r\n\r\n"

NONSENSE: Final[dict[str, bytes]] = {
    "a length and chunks": _post(
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n", b"0\r\n\r\n" + HIDDEN
    ),
    "two lengths": _post("Content-Length: 2\r\nContent-Length: 40\r\n", b"{}" + HIDDEN),
    "a negative length": _post("Content-Length: -1\r\n", b"{}"),
    "a length in words": _post("Content-Length: two\r\n", b"{}"),
    "a length beyond all": _post("Content-Length: " + "9" * 40 + "\r\n", b"{}"),
    "a chunk of no size": _post("Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk of a huge size": _post("Transfer-Encoding: chunked\r\n", b"F" * 40 + b"\r\n{}\r\n"),
    "a negative chunk": _post("Transfer-Encoding: chunked\r\n", b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk with a long extension": _post(
        "Transfer-Encoding: chunked\r\n", b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n"
    ),
    "an unknown encoding": _post("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "a hidden encoding": _post("Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "a header without a name": b"GET /health HTTP/1.1\r\nHost: HOST\r\n: x\r\n\r\n",
    "a zero in a header": b"GET /health HTTP/1.1\r\nHost: HOST\r\nX-A: \x00\r\n\r\n",
    "one header of 200 kB": b"GET /health HTTP/1.1\r\nHost: HOST\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
    "headers of 1 MB": b"GET /health HTTP/1.1\r\nHost: HOST\r\n" + b"X-A: b\r\n" * 125_000 + b"\r\n",
    "a line of 200 kB": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "no host": b"GET /metrics HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /metrics HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n",
    "a URL of another host": b"GET http://evil.example/metrics HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /metrics\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
}


async def test_nonsense_in_http_is_refused_and_hides_no_second_request(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        host, _, port = server.host.partition(":")
        for what, said in NONSENSE.items():
            head, rest = await raw(host, int(port), said.replace(b"HOST", server.host.encode()))
            if head:
                status = int(head.split()[1])
                assert 400 <= status < 500, (what, head)
            assert b"parley_sessions" not in rest, f"{what}: a hidden request was answered"
            assert b"# HELP" not in rest, f"{what}: a hidden request was answered"
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            assert (await client.get(f"{server.http}/health")).status_code == 200


async def test_the_document_has_every_route_and_is_the_same_as_on_disk(tmp_path: Path) -> None:
    async with served(tmp_path) as server, httpx.AsyncClient(timeout=PATIENCE_S) as client:
        served_one = (await client.get(f"{server.http}/openapi.json")).json()
        rows = {f"{method.upper()} {path}" for path, item in served_one["paths"].items() for method in item}
        assert rows == routes_of(server)
    assert served_one == json.loads(WRITTEN.read_text(encoding="utf-8")), "python scripts/openapi.py"


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault_of_the_servers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = ("application/json", "multipart/form-data; boundary=x", "application/sdp")
    async with served(tmp_path) as server:
        host, _, port = server.host.partition(":")
        for row in POSTS:
            path = url_of(server, row)[1].removeprefix(server.http)
            for kind in kinds:
                _, writer = await asyncio.open_connection(host, int(port))
                head = (
                    f"POST {path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: {kind}\r\nContent-Length: 99\r\n\r\n"
                )
                writer.write(head.encode() + b'--x\r\nContent-Disposition: form-data; name="sdp"\r\n')
                await writer.drain()
                writer.close()
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            assert (await client.get(f"{server.http}/health")).status_code == 200
    # (the server has ended, so all of its requests have too)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
