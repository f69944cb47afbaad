"""Client secrets: what a stock client gets, what its holder can do with it, and all that must not get in with one."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from openai import AuthenticationError, PermissionDeniedError
from openai.types.realtime import (
    ClientSecretCreateResponse,
    RealtimeSessionCreateResponse,
    RealtimeTranscriptionSessionCreateResponse,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from parley.server.access.client_secrets import MAX_TOKEN, MAX_USED, ClientSecrets, TooLarge
from parley.server.client_secrets_rest import MAX_BODY
from tests.runtime.rig import settled
from tests.server.harness import Running, configured, running, talking
from tests.server.test_handshake import first_event, refusal

KEY = "sk-the-owner"
SHOP = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "You sell bread.",
    "tools": [{"type": "function", "name": "order", "parameters": {"type": "object"}}],
    "max_output_tokens": 300,
    "audio": {"output": {"voice": "marin"}},
}


@asynccontextmanager
async def guarded(**server: Any) -> AsyncIterator[Running]:
    async with running(configured(api_keys=(KEY,), **server)) as found:
        yield found


async def made(server: Running, **asked: Any) -> ClientSecretCreateResponse:
    """What the stock client gets, judged by the SDK's own types."""
    async with server.client(KEY) as client:
        raw = await client.realtime.client_secrets.with_raw_response.create(**asked)
    body = json.loads(raw.text)
    assert list(body) == ["value", "expires_at", "session"]
    return ClientSecretCreateResponse.model_validate(body)


async def posted(server: Running, body: Any, path: str = "client_secrets", **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx.AsyncClient() as client:
        return await client.post(
            f"{server.http}/v1/realtime/{path}", content=content, headers={"authorization": f"Bearer {KEY}", **headers}
        )


def as_header(token: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def as_subprotocol(token: str) -> dict[str, Any]:
    return {"subprotocols": [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{token}")]}


# --- making one --------------------------------------------------------------------------------------------------------


async def test_a_stock_client_gets_a_secret_and_the_session_it_opens() -> None:
    async with guarded() as server:
        answer = await made(server, session=SHOP, expires_after={"anchor": "created_at", "seconds": 60})
    assert answer.value.startswith("ek_")
    session = answer.session
    assert isinstance(session, RealtimeSessionCreateResponse)
    assert (session.id or "").startswith("sess_")
    assert session.object == "realtime.session"
    assert (session.model, session.instructions, session.max_output_tokens) == ("gpt-realtime", "You sell bread.", 300)
    assert session.audio is not None
    assert session.audio.output is not None
    assert session.audio.output.voice == "marin"


async def test_nothing_need_be_said_and_ten_minutes_are_the_default() -> None:
    async with guarded() as server:
        answer, empty = await made(server), await posted(server, b"")
        long = await made(server, expires_after={"anchor": "created_at", "seconds": 7200})
    assert answer.session.type == "realtime"
    assert empty.status_code == 200
    assert long.expires_at - answer.expires_at == pytest.approx(7200 - 600, abs=5)


async def test_a_transcription_secret_opens_a_transcription_session() -> None:
    session: Any = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
    async with guarded() as server:
        answer = await made(server, session=session)
        assert isinstance(answer.session, RealtimeTranscriptionSessionCreateResponse)
        opened = await first_event(server, "/v1/realtime", **as_header(answer.value))
        status, error, _ = await refusal(server, "/v1/realtime?intent=realtime", **as_header(answer.value))
    assert opened.session.type == "transcription"
    assert opened.session.audio.input.turn_detection is None
    assert (status, error["param"]) == (403, "intent")


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "invalid_json", None),
        (b"\xff", 400, "invalid_json", None),
        (b"[]", 400, "invalid_value", None),
        (b"null", 400, "invalid_value", None),
        (b'{"session": {"tools": ' + b"[" * 50_000, 400, "invalid_json", None),
        ({"session": []}, 400, "invalid_value", "session"),
        ({"sesion": {}}, 400, "invalid_value", None),
        ({"expires_after": {"anchor": "created_at", "seconds": 9}}, 400, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"anchor": "created_at", "seconds": 7201}}, 400, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 60.5}}, 400, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"anchor": "used_at", "seconds": 60}}, 400, "invalid_value", "expires_after.anchor"),
        ({"session": {}}, 400, "missing_required_parameter", "session.type"),
        ({"session": {"type": "realtime", "temprature": 1}}, 400, "unknown_parameter", "session.temprature"),
        ({"session": {"type": "realtime", "model": "gpt-9"}}, 404, "model_not_found", "model"),
        (
            {"session": {"type": "realtime", "audio": {"output": {"voice": "nobody"}}}},
            400,
            "invalid_value",
            "session.audio.output.voice",
        ),
        ({"session": {"type": "realtime", "max_output_tokens": 0}}, 400, "invalid_value", "session.max_output_tokens"),
    ],
)
async def test_a_wrong_request_is_answered_in_openais_shape(
    body: Any, status: int, code: str, param: str | None
) -> None:
    async with guarded() as server:
        answer = await posted(server, body)
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


@pytest.mark.parametrize("value", [False, 0, "", []])
async def test_a_client_secret_of_a_wrong_type_is_refused_by_name(value: Any) -> None:
    async with guarded() as server:
        answer = await posted(server, {"client_secret": value}, "sessions")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "client_secret")


async def test_the_beta_endpoints_of_a_server_without_the_beta_name_the_endpoint_to_use() -> None:
    async with guarded(beta=False) as server:
        for path in ("sessions", "transcription_sessions"):
            answer = await posted(server, {}, path)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (400, "beta_api_shape_disabled")
            assert "POST /v1/realtime/client_secrets" in error["message"]
            assert "OpenAI-Beta" not in error["message"]


async def test_bodies_and_sessions_are_bounded() -> None:
    async with guarded() as server:
        huge = await posted(server, b" " * (MAX_BODY + 1))
        noise = base64.b64encode(bytes(hash((i, "noise")) & 0xFF for i in range(9_000))).decode()
        long = await posted(server, {"session": {"type": "realtime", "instructions": noise}})
        compressible = await posted(server, {"session": {"type": "realtime", "instructions": "Sell bread. " * 1_000}})
    assert (huge.status_code, huge.json()["error"]["code"]) == (413, "request_too_large")
    assert (long.status_code, long.json()["error"]["code"]) == (400, "session_too_large")
    assert "Shorten" in long.json()["error"]["message"]
    assert len(compressible.json()["value"]) <= MAX_TOKEN


async def test_the_credentials_of_a_pinned_tool_server_are_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "parley")
    tool = {
        "type": "mcp",
        "server_label": "shop",
        "server_url": "http://127.0.0.1:9/mcp",
        "authorization": "hidden-credential",
    }
    async with guarded() as server:
        answer = await posted(server, {"session": {"type": "realtime", "tools": [tool]}})
        assert answer.status_code == 200
        token = answer.json()["value"]
        async with connect(server.ws + "/v1/realtime", **as_header(token)) as client:
            created = await client.recv(decode=True)
    readable = base64.urlsafe_b64decode(token[3:] + "=" * (-len(token[3:]) % 4))
    for shown in (answer.text, created, caplog.text):
        assert "hidden-credential" not in shown
    assert b"hidden-credential" not in readable
    assert token not in caplog.text


# --- using it ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carried", [as_header, as_subprotocol])
async def test_its_holder_gets_the_session_it_was_made_for(carried: Any) -> None:
    async with guarded() as server:
        token = (await made(server, session=SHOP)).value
        for _ in range(2):
            opened = await first_event(server, "/v1/realtime", **carried(token))
    assert (opened.session.model, opened.session.instructions) == ("gpt-realtime", "You sell bread.")
    assert opened.session.tools[0].name == "order"
    assert opened.session.audio.output.voice == "marin"


async def test_another_name_of_the_same_pipeline_is_accepted_and_another_pipeline_is_not() -> None:
    async with guarded() as server:
        token = (await made(server, session=SHOP)).value
        opened = await first_event(server, "/v1/realtime?model=gpt-realtime-mini", **as_header(token))
        status, error, _ = await refusal(server, "/v1/realtime?model=bench", **as_header(token))
    assert opened.session.model == "gpt-realtime"
    assert (status, error["code"]) == (403, "model_not_allowed")


async def test_its_holder_cannot_change_what_is_fixed_and_can_repeat_it() -> None:
    async with guarded() as server:
        token = (await made(server, session=SHOP)).value
        async with talking(server, key=token) as talk:
            await talk.send(type="session.update", event_id="a", session={**SHOP, "instructions": "Sell nothing."})
            changed = await talk.until("error")
            await talk.send(type="session.update", session=SHOP)
            repeated = await talk.until("session.updated")
            await talk.send(type="response.create", event_id="b", response={"instructions": "Sell nothing."})
            asked = await talk.until("error")
    assert (changed.error.code, changed.error.param, changed.error.event_id) == (
        "field_pinned",
        "session.instructions",
        "a",
    )
    assert repeated.session.instructions == "You sell bread."
    assert (asked.error.code, asked.error.param, asked.error.event_id) == ("field_pinned", "response.instructions", "b")


async def test_a_secret_without_a_session_leaves_the_session_to_its_holder() -> None:
    async with guarded() as server:
        token = (await made(server)).value
        async with talking(server, key=token) as talk:
            await talk.send(type="session.update", session={"type": "realtime", "instructions": "Sell cake."})
            assert (await talk.until("session.updated")).session.instructions == "Sell cake."
            await talk.send(type="session.update", event_id="c", session={"type": "transcription"})
            assert (await talk.until("error")).error.param == "session.type"


async def test_its_holder_cannot_have_the_server_call_an_mcp_server_that_the_secret_does_not_name() -> None:
    tool = {"type": "mcp", "server_label": "inside", "server_url": "http://127.0.0.1:9/mcp"}
    update = {"type": "realtime", "tools": [tool]}
    async with guarded() as server:
        token = (await made(server)).value
        async with talking(server, key=token) as talk:
            await talk.send(type="session.update", session=update)
            error = (await talk.until("error")).error
        async with talking(server, key=KEY) as talk:
            await talk.send(type="session.update", session=update)
            assert (await talk.until("session.updated")).session.tools[0].server_label == "inside"
    assert error.param.startswith("session.tools[0]")


async def test_it_opens_nothing_but_the_realtime_endpoint() -> None:
    async with guarded(host="0.0.0.0") as server:
        token = (await made(server)).value
        async with server.client(token) as client, httpx.AsyncClient() as http:
            with pytest.raises(PermissionDeniedError):
                await client.models.list()
            with pytest.raises(PermissionDeniedError):
                await client.realtime.client_secrets.create()
            bearer = {"authorization": f"Bearer {token}"}
            for method, path in [
                ("GET", "/metrics"),
                ("GET", "/v1/models/default"),
                ("GET", "/parley/pipelines"),
                ("GET", "/parley/sessions/sess_x/turns"),
                ("POST", "/v1/realtime/sessions"),
                ("POST", "/v1/realtime/transcription_sessions"),
            ]:
                answer = await http.request(method, server.http + path, headers=bearer)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope"), path


# --- what must not get in ----------------------------------------------------------------------------------------------


def flipped(token: str, at: int) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


async def test_a_forged_altered_or_foreign_one_is_refused_alike_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "parley")
    async with guarded() as server, guarded() as other:
        token = (await made(server, session=SHOP)).value
        foreign = (await made(other, session=SHOP)).value
        wrong = [
            "ek_",
            "ek_" + "A" * 200,
            "ek_" + "A" * MAX_TOKEN,
            "ek_.-.",
            foreign,
            token[:-1],
            token + "A",
            *(flipped(token, at) for at in (3, 9, 40, len(token) // 2, len(token) - 2)),
        ]
        answers = set()
        for bad in wrong:
            for carried in (as_header, as_subprotocol):
                status, error, headers = await refusal(server, "/v1/realtime", **carried(bad))
                assert headers["www-authenticate"] == "Bearer"
                answers.add((status, json.dumps(error)))
            async with server.client(bad) as client:
                with pytest.raises(AuthenticationError) as refused:
                    await client.models.list()
                answers.add((401, json.dumps(refused.value.response.json()["error"])))
                with pytest.raises(AuthenticationError):
                    await client.realtime.client_secrets.create()
    assert len(answers) == 1
    assert not any(bad in caplog.text for bad in wrong if len(bad) > 5)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


def secrets(clock: Clock, key: str = "k" * 32, *, single_use: bool = False) -> ClientSecrets:
    return ClientSecrets(key, single_use=single_use, wall_s=clock)


def test_it_ends_at_the_second_it_says() -> None:
    clock = Clock()
    one = secrets(clock)
    secret = one.secret({"type": "realtime"}, key="", dialect="ga", seconds=10)
    token = one.token(secret)
    clock.now_s = secret.expires_at - 0.001
    assert one.read(token) == secret
    clock.now_s = secret.expires_at
    assert one.read(token) is None


async def test_an_expired_one_is_refused_like_a_wrong_key_and_its_session_goes_on() -> None:
    async with guarded() as server:
        clock = Clock()
        server.app.access.secrets._wall_s = clock
        token = (await made(server, session=SHOP)).value
        async with talking(server, key=token) as talk:
            clock.now_s += 601
            status, error, _ = await refusal(server, "/v1/realtime", **as_subprotocol(token))
            await talk.send(type="input_audio_buffer.clear")
            await talk.until("input_audio_buffer.cleared")
    assert (status, error["code"]) == (401, "invalid_api_key")


def test_a_configured_key_outlives_the_process_and_no_other_key_fits() -> None:
    clock = Clock()
    token = secrets(clock).token(secrets(clock).secret({"type": "realtime"}, key="", dialect="ga"))
    assert secrets(clock).read(token) is not None
    assert secrets(clock, "K" * 32).read(token) is None
    assert secrets(clock, "").read(token) is None


@pytest.mark.parametrize("length", range(1, 40))
def test_no_part_of_a_token_is_a_token(length: int) -> None:
    one = secrets(Clock())
    token = one.token(one.secret({"type": "realtime"}, key="", dialect="ga"))
    assert one.read(token[:-length]) is None


def test_a_token_fits_into_a_header_and_a_subprotocol() -> None:
    one = secrets(Clock())
    token = one.token(one.secret({"type": "realtime", "instructions": "é" * 500}, key="", dialect="ga"))
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()
    with pytest.raises(TooLarge):
        one.token(one.secret({"noise": base64.b64encode(bytes(range(256)) * 400).decode()}, key="", dialect="ga"))


async def test_a_secret_for_one_use_opens_one_session() -> None:
    async with guarded(client_secret_single_use=True) as server:
        token = (await made(server, session=SHOP)).value
        await refusal(server, "/v1/realtime?model=bench", **as_header(token))
        async with talking(server, key=token):
            status, error, _ = await refusal(server, "/v1/realtime", **as_subprotocol(token))
        again, _, _ = await refusal(server, "/v1/realtime", **as_header(token))
    assert (status, error["code"], again) == (401, "invalid_api_key", 401)


async def test_of_many_connections_with_a_secret_for_one_use_one_gets_a_session() -> None:
    async def status(token: str) -> int:
        try:
            async with connect(server.ws + "/v1/realtime", **as_header(token)) as client:
                await client.recv()
                opened.append(token)
                await all_answered.wait()
            return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    opened: list[str] = []
    all_answered = asyncio.Event()
    async with guarded(client_secret_single_use=True) as server:
        token = (await made(server, session=SHOP)).value
        attempts = [asyncio.create_task(status(token)) for _ in range(20)]
        await settled(lambda: len(opened) + sum(attempt.done() for attempt in attempts) == len(attempts))
        all_answered.set()
        statuses = await asyncio.gather(*attempts)
    assert sorted(statuses) == [101] + [401] * 19


def test_used_ones_are_forgotten_when_they_expire_and_are_bounded() -> None:
    clock = Clock()
    one = secrets(clock, single_use=True)
    for _ in range(MAX_USED):
        one.spend(one.secret({}, key="", dialect="ga", seconds=60))
    before = one.full
    clock.now_s += 61
    assert (before, one.full) == (True, False)


def test_a_used_one_is_not_accepted_again_here_or_by_another_process() -> None:
    one = secrets(Clock(), single_use=True)
    token = one.token(one.secret({}, key="", dialect="ga"))
    assert secrets(Clock(), single_use=True).read(token) is None
    secret = one.read(token)
    assert secret is not None
    one.spend(secret)
    assert one.read(token) is None


async def test_it_is_checked_even_where_no_key_is_required() -> None:
    async with running() as server:
        answer = await posted(server, {"session": SHOP})
        token = answer.json()["value"]
        assert (await first_event(server, "/v1/realtime", **as_header(token))).session.instructions == "You sell bread."
        status, _, _ = await refusal(server, "/v1/realtime", **as_header(flipped(token, 20)))
    assert status == 401


# --- pages -------------------------------------------------------------------------------------------------------------

PAGE = "https://voice.example.com"


async def test_allowed_pages_can_ask_for_one_and_read_every_answer() -> None:
    asked = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-openai-agents-sdk",
    }
    async with guarded(allowed_origins=(PAGE,)) as server, httpx.AsyncClient() as client:
        url = f"{server.http}/v1/realtime/client_secrets"
        preflight = await client.options(url, headers=asked)
        good = await posted(server, {}, origin=PAGE)
        wrong = await posted(server, b"{", origin=PAGE)
        unknown = await posted(server, {}, origin=PAGE, authorization="Bearer sk-wrong")
        token = good.json()["value"]
        opened = await first_event(server, "/v1/realtime", additional_headers={"Origin": PAGE}, **as_subprotocol(token))
        elsewhere = {"Origin": "https://evil.example"}
        foreign, error, _ = await refusal(server, "/v1/realtime", additional_headers=elsewhere, **as_subprotocol(token))
    assert preflight.status_code == 200
    allowed = {name.strip().lower() for name in preflight.headers["access-control-allow-headers"].split(",")}
    assert {"authorization", "content-type", "x-openai-agents-sdk"} <= allowed
    assert [answer.status_code for answer in (good, wrong, unknown)] == [200, 400, 401]
    for answer in (good, wrong, unknown):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "Location" in answer.headers["access-control-expose-headers"]
    assert good.headers["cache-control"] == "no-store"
    assert opened.type == "session.created"
    assert (foreign, error["code"]) == (403, "origin_not_allowed")


async def test_a_foreign_page_gets_no_secret_even_where_no_key_is_required() -> None:
    async with running() as server:
        answer = await posted(server, {}, origin="https://evil.example")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers


# --- the beta dialect --------------------------------------------------------------------------------------------------

BETA = {"OpenAI-Beta": "realtime=v1"}


@pytest.mark.parametrize(("path", "kind"), [("sessions", "realtime"), ("transcription_sessions", "transcription")])
async def test_a_beta_client_gets_its_session_and_a_secret(path: str, kind: str) -> None:
    body: dict[str, Any] = {
        "input_audio_format": "g711_ulaw",
        "client_secret": {"expires_after": {"anchor": "created_at", "seconds": 30}},
    }
    if kind == "realtime":
        body |= {"model": "gpt-4o-realtime-preview", "instructions": "You sell bread.", "voice": "marin"}
    async with guarded() as server:
        answer = (await posted(server, body, path)).json()
        token = answer["client_secret"]["value"]
        protocols = [
            Subprotocol("realtime"),
            Subprotocol(f"openai-insecure-api-key.{token}"),
            Subprotocol("openai-beta.realtime-v1"),
        ]
        async with connect(server.ws + "/v1/realtime", subprotocols=protocols) as client:
            created = json.loads(await client.recv())
            assert client.subprotocol == "realtime"
    assert answer["input_audio_format"] == created["session"]["input_audio_format"] == "g711_ulaw"
    assert "audio" not in answer
    if kind == "realtime":
        assert created["type"] == "session.created"
        assert (created["session"]["voice"], created["session"]["instructions"]) == ("marin", "You sell bread.")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"voice": "nobody"}, "session.voice"),
        ({"audio": {}}, "audio"),
        ({"client_secret": {"expires_after": {"seconds": 1}}}, "client_secret.expires_after.seconds"),
        ({"client_secret": "ek_mine"}, "client_secret"),
    ],
)
async def test_a_wrong_beta_request_names_the_field(body: dict[str, Any], param: str) -> None:
    async with guarded() as server:
        answer = await posted(server, body, "sessions")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_what_a_token_holds_is_read_strictly() -> None:
    one = secrets(Clock())
    forged = one._fernet.encrypt(msgspec.json.encode(["id"])).decode().rstrip("=")
    assert one.read("ek_" + forged) is None
