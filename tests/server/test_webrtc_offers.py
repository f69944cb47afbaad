"""Requests for calls: who may make one, what offer is taken, and what each refusal says. Nobody comes to these calls."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.server.access import key_file
from parley.server.links.webrtc import calls_http
from parley.server.links.webrtc.answer import LocalAudio, LocalCandidate, LocalTransport, written_answer
from parley.server.links.webrtc.offer import MAX_CANDIDATES, MAX_OFFER_BYTES, CallOffer, read_offer
from parley.server.refusals import Refused
from tests.server.harness import Running, configured, running
from tests.server.offers import AUDIO, CHANNEL, HEAD, TRANSPORT, VIDEO, an_offer

CALLS = "/v1/realtime/calls"
SDP = {"content-type": "application/sdp"}
HERE = LocalTransport(
    (LocalCandidate("1", 99, "192.0.2.1", 4000, "host"),), "ufrag", "password-password-password", ("sha-256", "AB:CD")
)
SOUND = LocalAudio(7, "cname", "parley", "track")


async def post(server: Running, content: bytes, path: str = CALLS, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.post(f"{server.http}{path}", content=content, headers={**SDP, **headers})


async def post_form(server: Running, parts: dict[str, Any], path: str = CALLS, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.post(f"{server.http}{path}", files=parts, headers=headers)


def form(session: object) -> dict[str, Any]:
    """As openai-python sends it: content types, and no file names."""
    return {
        "sdp": (None, an_offer(), "application/sdp"),
        "session": (None, json.dumps(session), "application/json"),
    }


def error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    found = response.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return dict(found)


def answered(offer: bytes) -> list[str]:
    return written_answer(read_offer(offer), HERE, SOUND, 1).splitlines()


# --- offers ------------------------------------------------------------------------------------------------------------


def test_a_browsers_offer_is_read() -> None:
    offer = read_offer(an_offer())
    assert (offer.audio, offer.channel, offer.opus, offer.direction) == (0, 2, 111, "sendrecv")
    assert (offer.sctp_port, offer.max_message, offer.setup) == (5000, 262_144, "actpass")
    assert offer.candidates == (), "a name is no address"


def test_the_answer_has_the_sections_of_the_offer_and_names_its_track() -> None:
    lines = answered(an_offer())
    assert [line.partition(" ")[0] for line in lines if line.startswith("m=")] == [
        "m=audio",
        "m=video",
        "m=application",
    ]
    assert "a=msid:parley track" in lines
    assert lines.count("a=inactive") == 1, "the video"
    assert "a=group:BUNDLE 0 1 2" in lines
    assert "m=audio 4000 UDP/TLS/RTP/SAVPF 111" in lines
    assert "a=candidate:1 1 udp 99 192.0.2.1 4000 typ host" in lines


def test_a_section_with_a_transport_of_its_own_is_rejected() -> None:
    lines = answered(an_offer(AUDIO, VIDEO, CHANNEL, bundle="0 2"))
    assert "m=video 0 UDP/TLS/RTP/SAVPF 96" in lines
    assert "a=group:BUNDLE 0 2" in lines


@pytest.mark.parametrize(
    ("theirs", "ours"), [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")]
)
def test_the_direction_is_answered(theirs: str, ours: str) -> None:
    audio = [line if line != "a=sendrecv" else f"a={theirs}" for line in AUDIO]
    assert f"a={ours}" in answered(an_offer(audio))


def test_what_describes_the_transport_may_stand_above_all_or_in_another_section() -> None:
    bare = [line for line in AUDIO if line not in TRANSPORT]
    above = ("\r\n".join([*HEAD, "a=group:BUNDLE 0", *TRANSPORT, *bare]) + "\r\n").encode()
    assert read_offer(above).ufrag == "abcd"
    assert read_offer(an_offer(CHANNEL, bare, bundle="2 0")).ufrag == "abcd"


def test_only_addresses_are_candidates_and_no_more_than_the_limit() -> None:
    odd = [
        "a=candidate:1 1 udp 1 example.com 1 typ host",
        "a=candidate:1 1 tcp 1 192.0.2.9 9 typ host tcptype active",
        "a=candidate:1 1 udp 1 224.0.0.1 5000 typ host",
        "a=candidate:1 1 udp 1 0.0.0.0 5000 typ host",
        "a=candidate:1 1 udp 1 192.0.2.9 99999 typ host",
        "a=candidate:nonsense",
    ]
    many = [f"a=candidate:{n} 1 udp {n} 192.0.2.{n % 250 + 1} {2000 + n} typ host" for n in range(500)]
    assert read_offer(an_offer([*AUDIO, *odd])).candidates == ()
    assert len(read_offer(an_offer([*AUDIO, *odd, *many])).candidates) == MAX_CANDIDATES


@given(st.lists(st.sampled_from(an_offer().splitlines()), max_size=60), st.binary(max_size=40))
def test_no_offer_breaks_the_reader(lines: list[bytes], garbage: bytes) -> None:
    for body in (b"v=0\r\n" + b"\r\n".join(lines), b"v=0\r\n" + garbage, garbage, b"\r\n".join([*lines, garbage])):
        try:
            offer = read_offer(body)
        except Refused:
            continue
        assert written_answer(offer, HERE, SOUND, 1).count("m=") == len(offer.sections)


@settings(max_examples=200)
@given(st.integers(0, len(an_offer()) - 1), st.binary(min_size=1, max_size=4))
def test_no_altered_offer_breaks_the_reader(at: int, put: bytes) -> None:
    body = an_offer()
    try:
        offer = read_offer(body[:at] + put + body[at + len(put) :])
    except Refused:
        return
    assert isinstance(offer, CallOffer)


BAD = {
    "empty": b"",
    "words": b"hello",
    "json": b'{"sdp":"v=0"}',
    "no audio": an_offer(VIDEO, CHANNEL),
    "no opus": an_offer([line.replace("opus", "G722") for line in AUDIO]),
    "off": an_offer([line.replace("m=audio 9", "m=audio 0") for line in AUDIO]),
    "no bundle": an_offer(bundle="9"),
    "no mux": an_offer([line for line in AUDIO if line != "a=rtcp-mux"]),
    "no password": an_offer([line for line in AUDIO if "ice-pwd" not in line]),
    "short password": an_offer(
        [line.replace("a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=ice-pwd:short") for line in AUDIO]
    ),
    "no fingerprint": an_offer([line for line in AUDIO if "fingerprint" not in line]),
    "md5": an_offer([line.replace("sha-256", "md5") for line in AUDIO]),
    "odd setup": an_offer([line.replace("actpass", "holdconn") for line in AUDIO]),
    "odd media": an_offer(["m=audio"]),
    "bad sctp": an_offer(AUDIO, [line.replace("5000", "x") for line in CHANNEL]),
    "bad size": an_offer(AUDIO, [line.replace("262144", "many") for line in CHANNEL]),
    "bad mid": an_offer([line.replace("a=mid:0", "a=mid:" + "9" * 99) for line in AUDIO]),
    "many sections": an_offer(*[VIDEO] * 30),
    "many lines": b"v=0\r\n" + b"a=x\r\n" * 3000,
    "not text": b"v=0\r\n\xff\xfe",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_offer_is_refused_and_says_why(name: str) -> None:
    with pytest.raises(Refused) as refused:
        read_offer(BAD[name])
    refusal = refused.value.refusal
    assert (refusal.status, refusal.code, refusal.param) == (400, "invalid_offer", "sdp")


# --- requests ----------------------------------------------------------------------------------------------------------


async def test_a_call_is_answered_with_its_place() -> None:
    async with running() as server:
        response = await post(server, an_offer(), f"{CALLS}?model=gpt-realtime", origin="http://localhost:5173")
        assert (response.status_code, response.headers["content-type"]) == (201, "application/sdp")
        assert response.headers["location"].startswith("/v1/realtime/calls/rtc_")
        assert response.headers["access-control-expose-headers"] == "Location, Retry-After"
        assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
        assert "a=end-of-candidates" in response.text


async def test_a_browser_may_ask_and_reads_errors() -> None:
    async with running() as server, httpx.AsyncClient() as http:
        asked = "authorization, content-type, x-openai-agents-sdk"
        page = {"origin": "http://localhost:5173"}
        preflight = {**page, "access-control-request-method": "POST", "access-control-request-headers": asked}
        answer = await http.options(server.http + CALLS, headers=preflight)
        assert answer.status_code == 200
        assert set(asked.split(", ")) <= set(answer.headers["access-control-allow-headers"].split(", "))
        refused = await post(server, b"nonsense", **page)
        assert error(refused, 400)["code"] == "invalid_offer"
        assert refused.headers["access-control-allow-origin"] == page["origin"]
        foreign = await post(server, an_offer(), origin="https://elsewhere.example")
        assert error(foreign, 403)["code"] == "origin_not_allowed"


async def test_what_comes_in_another_form_is_refused() -> None:
    async with running() as server:
        assert (
            error(await post(server, an_offer(), **{"content-type": "text/plain"}), 415)["code"]
            == "invalid_content_type"
        )
        assert error(await post(server, b"x" * (MAX_OFFER_BYTES + 1)), 413)["code"] == "request_too_large"
        assert error(await post(server, an_offer(), f"{CALLS}?model=gpt-9"), 404)["code"] == "model_not_found"
        assert error(await post(server, an_offer(), f"{CALLS}?intent=sing"), 400)["param"] == "intent"
        assert error(await post_form(server, {"sdp": (None, b"x")}), 400)["param"] == "sdp"
        lacking = {"session": (None, "{}", "application/json")}
        assert error(await post_form(server, lacking), 400)["code"] == "missing_required_parameter"
        more = {**form({"type": "realtime"}), "model": (None, "x")}
        assert error(await post_form(server, more), 400)["code"] in ("invalid_form", "unknown_parameter")
        broken = {"sdp": (None, an_offer()), "session": (None, "{")}
        assert error(await post_form(server, broken), 400)["code"] == "invalid_json"
        assert len(server.app.sessions) == 0


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "realtime", "nonsense": 1}, "unknown_parameter", "session.nonsense"),
        ({"type": "realtime", "model": "gpt-9"}, "model_not_found", "model"),
        ({"type": "realtime", "max_output_tokens": 0}, None, "session.max_output_tokens"),
    ],
)
async def test_a_bad_session_is_refused_as_that_of_a_client_secret_is(
    session: dict[str, Any], code: str | None, param: str
) -> None:
    async with running() as server:
        found = error(await post_form(server, form(session)), 404 if param == "model" else 400)
        assert found["param"] == param
        assert code is None or found["code"] == code
        async with httpx.AsyncClient() as http:
            secret = await http.post(f"{server.http}/v1/realtime/client_secrets", json={"session": session})
        assert secret.json()["error"] == found


async def test_keys_and_client_secrets_open_calls_as_they_open_sessions() -> None:
    config = configured(api_keys=("right",), client_secret_single_use=True)
    async with running(config) as server, httpx.AsyncClient() as http:
        assert error(await post(server, an_offer()), 401)["code"] == "invalid_api_key"
        assert error(await post(server, an_offer(), authorization="Bearer wrong"), 401)["code"] == "invalid_api_key"
        right = {"authorization": "Bearer right"}
        body = {"session": {"type": "transcription"}}
        made = await http.post(f"{server.http}/v1/realtime/client_secrets", json=body, headers=right)
        secret = {"authorization": f"Bearer {made.json()['value']}"}
        both = error(await post_form(server, form({"type": "realtime"}), **secret), 400)
        assert both["code"] == "session_not_allowed"
        first = await post(server, an_offer(), **secret)
        assert first.status_code == 201
        assert error(await post(server, an_offer(), **secret), 401)["code"] == "invalid_api_key"
        place = server.http + first.headers["location"]
        assert error(await http.delete(place), 401)["code"] == "invalid_api_key"
        for action in ("accept", "refer", "reject"):
            assert error(await http.post(f"{place}/{action}", headers=right), 400)["code"] == "not_a_sip_call"
        assert error(await http.post(f"{place}/sing", headers=right), 404)["code"] == "not_found"
        assert (await http.post(f"{place}/hangup", headers=right)).status_code == 200


async def test_a_call_is_admitted_before_anything_of_it_is_made() -> None:
    async with running(configured(max_sessions=2)) as server:
        answers = await asyncio.gather(*(post(server, an_offer()) for _ in range(8)))
        assert sorted(one.status_code for one in answers) == [201] * 2 + [503] * 6
        refused = next(one for one in answers if one.status_code == 503)
        assert error(refused, 503)["code"] == "session_limit_reached"
        assert int(refused.headers["retry-after"]) > 0


async def test_calls_that_nobody_comes_to_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_http, "MOST_WAITING", 6)
    async with running() as server:
        answers = [await post(server, an_offer()) for _ in range(4)]
        assert [one.status_code for one in answers] == [201, 201, 201, 503]
        assert error(answers[-1], 503)["code"] == "too_many_calls"


async def test_a_caller_whose_clients_never_come_leaves_room_for_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(calls_http, "MOST_WAITING", 32)
    keys = tmp_path / "keys.json"
    tokens = [key_file.add(keys, name)[1] for name in ("one", "two", "three")]
    one, two, three = ({"authorization": f"Bearer {token}"} for token in tokens)
    async with running(configured(keys_file=keys)) as server, httpx.AsyncClient() as http:
        visitors = []
        for _ in range(3):
            made = await http.post(f"{server.http}/v1/realtime/client_secrets", json={}, headers=one)
            visitors.append({"authorization": f"Bearer {made.json()['value']}"})
        for visitor, most in zip(visitors, (8, 8, 0), strict=True):
            for _ in range(most):
                assert (await post(server, an_offer(), **visitor)).status_code == 201
            assert error(await post(server, an_offer(), **visitor), 503)["code"] == "too_many_calls"
        assert error(await post_form(server, form({"type": "realtime"}), **one), 503)["code"] == "too_many_calls"
        for _ in range(8):
            assert (await post_form(server, form({"type": "realtime"}), **two)).status_code == 201
        assert error(await post(server, an_offer(), **two), 503)["code"] == "too_many_calls"
        for _ in range(4):
            assert (await post(server, an_offer(), **three)).status_code == 201
        assert error(await post(server, an_offer(), **three), 503)["code"] == "too_many_calls"


async def test_a_flood_of_bad_offers_is_answered_and_writes_one_line_for_each_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "parley.server")
    async with running() as server:
        for _ in range(20):
            assert error(await post(server, b"not an offer"), 400)["code"] == "invalid_offer"
            assert error(await post(server, b"x" * (MAX_OFFER_BYTES + 1)), 413)["code"] == "request_too_large"
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"{server.http}/metrics")).text
    assert 'parley_refusals_total{code="invalid_offer"} 20.0' in metrics
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 2, lines
    assert "400 invalid_offer" in lines[0]
    assert "413 request_too_large" in lines[1]


async def test_without_keys_an_address_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_http, "MOST_WAITING", 4)
    async with running() as server:
        assert [(await post(server, an_offer())).status_code for _ in range(3)] == [201, 201, 503]


async def test_a_server_without_calls_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    off = configured()
    off = replace(off, webrtc=replace(off.webrtc, enabled=False))
    async with running(off) as server, httpx.AsyncClient() as http:
        assert error(await post(server, an_offer()), 501)["code"] == "webrtc_not_available"
        assert (await http.get(f"{server.http}/health")).json()["webrtc"] == "off"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    async with running() as server, httpx.AsyncClient() as http:
        refused = error(await post(server, an_offer()), 501)
        assert refused["code"] == "webrtc_not_available"
        assert "pip install" in refused["message"]
        assert "aiortc" in refused["message"]
        assert (await http.get(f"{server.http}/parley/webrtc")).json()["state"] == "not_installed"


async def test_the_page_is_told_of_the_ice_servers() -> None:
    config = configured()
    webrtc = replace(
        config.webrtc,
        ice_servers=("stun:stun.example:3478", "turn:turn.example:3478"),
        ice_username="u",
        ice_credential="secret",
    )
    config = replace(config, webrtc=webrtc)
    assert "secret" not in repr(config.webrtc)
    async with running(config) as server, httpx.AsyncClient() as http:
        told = (await http.get(f"{server.http}/parley/webrtc")).json()
    assert told["configuration"]["iceServers"] == [
        {"urls": "stun:stun.example:3478"},
        {"urls": "turn:turn.example:3478", "username": "u", "credential": "secret"},
    ]
