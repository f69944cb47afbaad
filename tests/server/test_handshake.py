"""Who gets in, to what, and what is said to those who do not."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest
from openai import AuthenticationError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.server.harness import PATIENCE_S, Engines, Running, configured, loaded, running, talking
from tests.wire.sdk import parse_server_event

KEYS = ("sk-first-key", "sk-second-key")


async def first_event(server: Running, path: str, **options: Any) -> Any:
    async with connect(server.ws + path, **options) as client:
        return parse_server_event(await client.recv())


async def refusal(server: Running, path: str, **options: Any) -> tuple[int, dict[str, Any], Any]:
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.ws + path, **options)
    response = refused.value.response
    assert response.headers["content-type"] == "application/json"
    error = json.loads(response.body or b"")["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return response.status_code, error, response.headers


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/realtime?model=gpt-realtime", "realtime"),
        ("/v1/realtime?model=gpt-4o-realtime-preview-2024-12-17", "realtime"),
        ("/v1/realtime?model=default", "realtime"),
        ("/v1/realtime", "realtime"),
        ("/realtime?model=default", "realtime"),
        ("/v1/realtime?intent=transcription", "transcription"),
        ("/v1/realtime?intent=transcription&model=gpt-4o-transcribe", "transcription"),
    ],
)
async def test_a_session_is_created_at_once_for(path: str, kind: str) -> None:
    async with running() as server:
        event = await first_event(server, path)
    assert event.type == "session.created"
    assert event.session.type == kind


async def test_the_session_names_the_model_as_the_client_does() -> None:
    async with running() as server:
        assert (await first_event(server, "/v1/realtime?model=gpt-realtime-mini")).session.model == "gpt-realtime-mini"
        assert (await first_event(server, "/v1/realtime")).session.model == "default"


@pytest.mark.parametrize(
    ("path", "status", "code", "param"),
    [
        ("/v1/realtime?model=gpt-9", 404, "model_not_found", "model"),
        ("/v1/realtime?model=bench", 404, "model_not_found", "model"),
        ("/v1/realtime?intent=dictation", 400, "invalid_value", "intent"),
        ("/v1/realtime?call_id=rtc_1", 404, "call_id_not_found", "call_id"),
        ("/v1/telepathy", 404, "not_found", None),
    ],
)
async def test_a_handshake_is_refused_with_json_for(path: str, status: int, code: str, param: str | None) -> None:
    async with running() as server:
        got, error, _ = await refusal(server, path)
    assert (got, error["code"], error["param"]) == (status, code, param)


async def test_an_unknown_model_is_answered_with_the_names_of_the_pipelines() -> None:
    async with running() as server:
        _, error, _ = await refusal(server, "/v1/realtime?model=defualt")
    assert "default, bench" in error["message"]
    assert "Did you mean 'default'?" in error["message"]


async def answer_to(server: Running, *header_lines: str, until: bytes = b"") -> bytes:
    """What a handshake with these header lines, byte for byte, is answered with: all of it, or up to and with `until`."""
    head = [
        "GET /v1/realtime HTTP/1.1",
        f"Host: {server.host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *header_lines,
    ]
    reader, writer = await asyncio.open_connection(*server.host.split(":"))
    try:
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
        reading = reader.readuntil(until) if until else reader.read()
        return await asyncio.wait_for(reading, PATIENCE_S)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Authorization: Bearer ek_" + "A" * 9_000, 431),
        ("Authorization: Bearer ek_" + "A" * 60_000, 431),
        ("\r\n".join(f"X-{n}: 1" for n in range(200)), 431),
        ("Transfer-Encoding: chunked", 400),
        ("Content-Length: 5", 400),
    ],
)
async def test_a_handshake_that_cannot_be_read_is_refused_at_once(
    line: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as server:
        answer = await answer_to(server, line)
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_handshake")
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("lines", "beta"),
    [
        (["OpenAI-Beta: realtime=v1"], True),
        (["OpenAI-Beta: assistants=v2, realtime=v1"], True),
        (["OpenAI-Beta: assistants=v2", "OpenAI-Beta: realtime=v1"], True),
        (["OpenAI-Beta: realtime=v1", "OpenAI-Beta: assistants=v2"], True),
        (["openai-beta: realtime = v1 "], True),
        (["OpenAI-Beta: realtime=v1", "Sec-WebSocket-Protocol: realtime"], True),
        (["OpenAI-Beta: assistants=v2", "Sec-WebSocket-Protocol: realtime, openai-beta.realtime-v1"], True),
        (["OpenAI-Beta: realtime=v10"], False),
        (["OpenAI-Beta: unrealtime=v1"], False),
        (["OpenAI-Beta: "], False),
        (["Sec-WebSocket-Protocol: realtime, openai-beta.realtime-v10"], False),
    ],
)
async def test_the_beta_dialect_is_spoken_only_where_the_handshake_names_it(lines: list[str], beta: bool) -> None:
    async with running() as server:
        answer = await answer_to(server, *lines, until=b'"object":"realtime.session"')
    assert (b'"session":{"id":' in answer) is beta


async def test_two_contradicting_credentials_open_nothing() -> None:
    right, wrong = f"Authorization: Bearer {KEYS[0]}", "Authorization: Bearer sk-wrong"
    async with running(configured(api_keys=KEYS)) as server:
        answers = [await answer_to(server, *lines) for lines in ([right, wrong], [wrong, right])]
    assert all(answer.startswith(b"HTTP/1.1 401 ") for answer in answers)


async def test_a_proxys_basic_credentials_do_not_hide_the_key_in_the_subprotocol() -> None:
    lines = [
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{KEYS[0]}",
    ]
    async with running(configured(api_keys=KEYS)) as server:
        answer = await answer_to(server, *lines, until=b"\r\n")
    assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("key", KEYS)
async def test_every_configured_key_opens_the_server(key: str) -> None:
    async with running(configured(api_keys=KEYS)) as server:
        bearer = await first_event(server, "/v1/realtime", additional_headers={"Authorization": f"Bearer {key}"})
        protocols = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{key}")]
        browser = await first_event(server, "/v1/realtime", subprotocols=protocols)
    assert bearer.type == browser.type == "session.created"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"additional_headers": {"Authorization": "Bearer sk-wrong"}},
        {"additional_headers": {"Authorization": "Bearer "}},
        {"additional_headers": {"Authorization": "Basic c2stZmlyc3Qta2V5"}},
        {"additional_headers": {"Authorization": "sk-first-key"}},
        {"subprotocols": [Subprotocol("realtime")]},
        {"subprotocols": [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.sk-wrong")]},
    ],
)
async def test_no_key_or_a_wrong_one_is_a_401(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "parley")
    async with running(configured(api_keys=KEYS)) as server:
        status, error, _ = await refusal(server, "/v1/realtime", **options)
    assert (status, error["code"]) == (401, "invalid_api_key")
    said = caplog.text + json.dumps(error)
    assert not any(key in said for key in (*KEYS, "sk-wrong"))


async def test_the_openai_client_fails_with_a_wrong_key_and_talks_with_a_right_one() -> None:
    async with running(configured(api_keys=KEYS)) as server:
        async with server.client("sk-wrong") as client:
            with pytest.raises(AuthenticationError):
                await client.models.list()
            with pytest.raises(InvalidStatus, match="401"):
                await client.realtime.connect(model="gpt-realtime").enter()
        async with talking(server, key=KEYS[1]):
            pass


async def test_a_browser_is_answered_with_the_subprotocol_realtime_and_never_with_its_key() -> None:
    offers = ["realtime", "openai-insecure-api-key.none", "openai-agents-sdk.0.3.2"]
    async with running() as server:
        async with connect(server.ws + "/v1/realtime", subprotocols=[Subprotocol(offer) for offer in offers]) as client:
            assert client.subprotocol == "realtime"
        async with connect(server.ws + "/v1/realtime") as client:
            assert client.subprotocol is None


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1:8765", True),
        ("https://[::1]:8443", True),
        ("http://app.localhost", True),
        ("https://voice.example.com", True),
        ("https://voice.example.com.evil.com", False),
        ("https://evil.com", False),
        ("http://localhost.evil.com", False),
        ("http://127.0.0.1.evil.com", False),
        ("null", False),
    ],
)
async def test_only_pages_of_this_machine_and_of_the_list_may_connect(origin: str, allowed: bool) -> None:
    async with running(configured(allowed_origins=("https://voice.example.com",))) as server:
        headers = {"Origin": origin}
        if allowed:
            assert (await first_event(server, "/v1/realtime", additional_headers=headers)).type == "session.created"
        else:
            status, error, _ = await refusal(server, "/v1/realtime", additional_headers=headers)
            assert (status, error["code"]) == (403, "origin_not_allowed")


async def test_a_star_allows_every_page() -> None:
    async with running(configured(allowed_origins=("*",))) as server:
        headers = {"Origin": "https://anywhere.example"}
        assert (await first_event(server, "/v1/realtime", additional_headers=headers)).type == "session.created"


@pytest.mark.parametrize(
    "options",
    [
        {"additional_headers": {"OpenAI-Beta": "realtime=v1"}},
        {"subprotocols": [Subprotocol("realtime"), Subprotocol("openai-beta.realtime-v1")]},
    ],
)
async def test_a_server_without_the_beta_dialect_refuses_it_as_openai_does(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "parley")
    async with (
        running(configured(beta=False)) as server,
        connect(server.ws + "/v1/realtime?model=gpt-realtime", **options) as client,
    ):
        event = parse_server_event(await client.recv())
        assert (event.type, event.error.code) == ("error", "beta_api_shape_disabled")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"{server.http}/metrics")).text
    assert 'parley_refusals_total{code="beta_api_shape_disabled"} 1.0' in metrics
    assert "400 beta_api_shape_disabled" in caplog.text


async def test_one_session_too_many_is_sent_away_with_a_time_to_come_back() -> None:
    async with running(configured(max_sessions=1)) as server:
        async with talking(server):
            status, error, headers = await refusal(server, "/v1/realtime")
            assert (status, error["code"]) == (503, "session_limit_reached")
            assert int(headers["retry-after"]) > 0
        async with talking(server):
            pass


async def test_a_late_event_loop_admits_nobody_and_leaves_running_sessions_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = configured(admission_lag_ms=30)
    engines = loaded(config, Engines())
    lag = [0.0]
    monkeypatch.setattr(engines, "tick_lag_ms", lambda: lag[0])
    async with running(config, engines) as server, talking(server) as talk:
        lag[0] = 31.0
        status, error, headers = await refusal(server, "/v1/realtime")
        assert (status, error["code"], error["type"]) == (503, "server_overloaded", "server_error")
        assert int(headers["retry-after"]) > 0
        await talk.send(type="input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
        lag[0] = 0.0
        async with talking(server):
            pass


SPEAKING = {"type": "session.update", "event_id": "mine", "session": {"instructions": "Answer in rhymes."}}
TRANSCRIBING = {"type": "transcription_session.update", "event_id": "mine", "session": {"input_audio_format": "pcm16"}}


@pytest.mark.parametrize(
    ("path", "other_kind", "own_kind", "answer"),
    [
        ("/v1/realtime", TRANSCRIBING, SPEAKING, "session.updated"),
        ("/v1/realtime?intent=transcription", SPEAKING, TRANSCRIBING, "transcription_session.updated"),
    ],
)
async def test_a_beta_session_keeps_the_kind_with_which_it_was_opened(
    path: str, other_kind: dict[str, Any], own_kind: dict[str, Any], answer: str
) -> None:
    """As OpenAI did: "Passing a transcription session update event to a realtime session is not allowed"."""
    async with (
        running() as server,
        connect(server.ws + path, additional_headers={"OpenAI-Beta": "realtime=v1"}) as client,
    ):
        for event in (other_kind, own_kind):
            await client.send(json.dumps(event))
        events: list[dict[str, Any]] = []
        while not events or events[-1]["type"] != answer:
            events.append(json.loads(await asyncio.wait_for(client.recv(), PATIENCE_S)))
    [error] = [event["error"] for event in events if event["type"] == "error"]
    assert (error["param"], error["event_id"]) == ("type", "mine")
    assert "type of this session" in error["message"]
