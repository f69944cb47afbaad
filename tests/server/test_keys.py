"""Named keys: what each opens, its limits, and that a change of the file takes effect at once."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from parley.config import ConfigError
from parley.server.access import key_file
from parley.server.access.access import Access, Demand, Grant
from parley.server.access.key_file import DEFAULT_SCOPES, MAX_FILE_BYTES, MAX_KEYS, SCOPES, Key, Scope, WatchedKeys
from parley.server.access.quotas import DAY_S, Quotas
from parley.server.refusals import Refusal
from tests.runtime.rig import settled
from tests.server.harness import PATIENCE_S, Running, configured, running, talking, turn_the_loop
from tests.server.test_client_secrets import as_header
from tests.server.test_handshake import first_event, refusal

NOON = 20_000 * DAY_S + DAY_S / 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conf" / "keys.json"


# --- the file ----------------------------------------------------------------------------------------------------------


def test_a_key_is_kept_as_a_hash_in_a_file_of_its_owner(path: Path) -> None:
    record, key = key_file.add(path, "website", frozenset({"realtime"}), 5, 60)
    text = path.read_text()
    assert key.startswith("sk-parley-")
    assert len(key) > 50
    assert key not in text
    assert key.removeprefix("sk-parley-") not in text
    assert key_file.read(path) == (record,)
    assert (record.scopes, record.sessions, record.minutes_per_day) == (("realtime",), 5, 60)
    assert key not in repr(record)
    assert record.sha256 not in repr(record)
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir() if not one.name.endswith(".lock")] == ["keys.json"]


def test_revoking_leaves_the_others(path: Path) -> None:
    for name in ("one", "two", "three"):
        key_file.add(path, name)
    key_file.revoke(path, "two")
    assert [key.name for key in key_file.read(path)] == ["one", "three"]


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "-x", "x" * 65, "ключ", "x\n"])
def test_a_name_is_one_word(path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a key"):
        key_file.add(path, name)
    assert not path.exists()


def test_two_keys_have_two_names(path: Path) -> None:
    key_file.add(path, "one")
    with pytest.raises(ConfigError, match="parley keys revoke one"):
        key_file.add(path, "one")


def test_a_misspelt_name_is_answered_with_the_one_that_was_meant(path: Path) -> None:
    key_file.add(path, "website")
    with pytest.raises(ConfigError, match="Did you mean 'website'"):
        key_file.revoke(path, "webside")


KEY = {"name": "x", "sha256": "0" * 64, "scopes": ["realtime"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\udcff",
        json.dumps({"version": 2, "keys": []}),
        json.dumps({"version": 1, "keys": [KEY | {"scopes": ["root"]}]}),
        json.dumps({"version": 1, "keys": [KEY | {"sha256": "secret"}]}),
        json.dumps({"version": 1, "keys": [KEY | {"sessions": 0}]}),
        json.dumps({"version": 1, "keys": [KEY | {"limit": 1}]}),
        json.dumps({"version": 1, "keys": [KEY, KEY]}),
        json.dumps({"version": 1, "keys": [KEY | {"name": f"k{i}"} for i in range(MAX_KEYS + 1)]}),
        " " * (MAX_FILE_BYTES + 1),
    ],
)
def test_a_damaged_file_is_refused_by_name_and_never_taken_for_an_empty_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        key_file.read(path)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        Access(key_file=path)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_file_that_others_can_write_is_refused_with_the_command_that_fixes_it(path: Path) -> None:
    key_file.add(path, "one")
    path.chmod(0o620)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        key_file.read(path)


def test_a_full_disk_leaves_the_file_as_it_was_and_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    record, _ = key_file.add(path, "one")
    monkeypatch.setattr(os, "fsync", full)
    for change in (lambda: key_file.add(path, "two"), lambda: key_file.revoke(path, "one")):
        with pytest.raises(ConfigError, match=r"No space left on device.*Free space"):
            change()
    assert key_file.read(path) == (record,)
    assert sorted(one.name for one in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


# --- what a key opens --------------------------------------------------------------------------------------------------

DEMANDS: tuple[Demand, ...] = ("session", "realtime", "audio", "text", "admin", "any")


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_opens_what_it_names_and_nothing_else(path: Path, scope: Scope) -> None:
    _, key = key_file.add(path, "one", frozenset({scope}))
    access = Access(key_file=path)
    opened = {demand for demand in DEMANDS if isinstance(access.grant(key, demand), Grant)}
    assert opened == {scope, "any"} | ({"session"} if scope == "realtime" else set())
    refused = access.grant(key, "admin" if scope != "admin" else "session")
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.code) == (403, "missing_scope")


def test_the_keys_of_the_settings_open_everything(path: Path) -> None:
    key_file.add(path, "one")
    access = Access(["sk-owner"], path)
    assert all(isinstance(access.grant("sk-owner", demand), Grant) for demand in DEMANDS)


def test_once_there_has_been_a_key_file_a_key_is_always_required(path: Path) -> None:
    access = Access(key_file=path)
    assert isinstance(access.grant(None, "session"), Grant)
    _, key = key_file.add(path, "one")
    assert isinstance(access.grant(None, "session"), Refusal)
    assert isinstance(access.grant(key, "session"), Grant)
    key_file.revoke(path, "one")
    assert isinstance(access.grant(key, "session"), Refusal)
    assert isinstance(access.grant(None, "session"), Refusal)
    path.unlink()
    assert isinstance(access.grant(None, "session"), Refusal)


def secret_of(access: Access, key: Key | None) -> str:
    secrets = access.secrets
    return secrets.token(secrets.secret({"type": "realtime"}, key=key.id if key else "", dialect="ga"))


def test_a_secret_made_without_a_key_ends_when_keys_are_required(path: Path) -> None:
    access = Access(key_file=path)
    token = secret_of(access, None)
    assert isinstance(access.grant(token, "session"), Grant)
    key_file.add(path, "one")
    assert isinstance(access.grant(token, "session"), Refusal)


def test_a_key_that_loses_its_scope_keeps_neither_secrets_nor_sessions(path: Path) -> None:
    record, _ = key_file.add(path, "one", frozenset({"realtime"}))
    access = Access(key_file=path)
    token = secret_of(access, record)
    assert isinstance(access.grant(token, "session"), Grant)
    assert access.session_keys() == {record.id: record}
    path.write_text(path.read_text().replace('"realtime"', '"audio"'))
    assert isinstance(access.grant(token, "session"), Refusal)
    assert access.session_keys() == {}


def test_a_public_server_whose_key_file_is_gone_stays_closed(path: Path) -> None:
    assert isinstance(Access(key_file=path, required=True).grant(None, "any"), Refusal)


def test_a_file_that_breaks_while_the_server_runs_changes_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, key = key_file.add(path, "one")
    access = Access(key_file=path)
    path.write_text("{")
    assert isinstance(access.grant(key, "session"), Grant)
    assert isinstance(access.grant("other", "session"), Refusal)
    assert caplog.text.count("is damaged") == 1


def test_a_broken_file_that_is_deleted_leaves_no_key_and_no_fault(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "parley")
    _, key = key_file.add(path, "one")
    access = Access(key_file=path)
    path.write_text("{")
    assert isinstance(access.grant(key, "session"), Grant)
    caplog.clear()
    path.unlink()
    assert isinstance(access.grant(key, "session"), Refusal)
    assert "is damaged" not in caplog.text
    assert "read again: 0 keys" in caplog.text


@pytest.mark.parametrize("key", ["ek_", "ek_something"])
def test_a_key_of_the_settings_that_would_be_taken_for_a_client_secret_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.api_keys.*'ek_'"):
        Access(["sk-good", key])


def test_a_place_that_cannot_be_looked_at_is_not_taken_for_one_without_keys(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    _, key = key_file.add(path, "one")
    access = Access(key_file=path)
    monkeypatch.setattr(os, "stat", denied)
    with pytest.raises(ConfigError, match="Permission denied"):
        Access(key_file=path)
    assert isinstance(access.grant(key, "session"), Grant), "a running server goes on with the keys it knows"
    assert isinstance(access.grant(None, "session"), Refusal)


def test_an_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file.add(path, "one")
    watched = WatchedKeys(path)
    assert watched.refresh()
    monkeypatch.setattr(key_file, "read", lambda path: pytest.fail("it was read"))
    assert not any(watched.refresh() for _ in range(10))


async def test_a_key_made_while_the_server_runs_opens_it_and_a_revoked_one_does_not(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "parley")
    async with running(configured(keys_file=path)) as server:
        assert (await first_event(server, "/v1/realtime")).type == "session.created"
        _, key = key_file.add(path, "late")
        await refusal(server, "/v1/realtime")
        async with talking(server, key=key):
            pass
        key_file.revoke(path, "late")
        status, error, _ = await refusal(server, "/v1/realtime", **as_header(key))
    assert (status, error["code"]) == (401, "invalid_api_key")
    assert key not in caplog.text


async def test_scopes_are_asked_on_every_endpoint(path: Path) -> None:
    keys = {scope: key_file.add(path, scope, frozenset({scope}))[1] for scope in SCOPES}
    wanted: dict[str, tuple[Scope, ...]] = {
        "/v1/models": SCOPES,
        "/v1/models/default": SCOPES,
        "/metrics": ("admin",),
        "/parley/pipelines": ("realtime",),
        "/parley/admission": ("realtime",),
    }
    async with running(configured(keys_file=path)) as server, httpx.AsyncClient() as client:
        for url, scopes in wanted.items():
            for scope, key in keys.items():
                answer = await client.get(server.http + url, headers={"authorization": f"Bearer {key}"})
                assert answer.status_code == (200 if scope in scopes else 403), (url, scope)
        for scope, key in keys.items():
            answer = await client.post(
                server.http + "/v1/realtime/client_secrets", headers={"authorization": f"Bearer {key}"}, json={}
            )
            assert answer.status_code == (200 if scope == "realtime" else 403)
        status, error, _ = await refusal(server, "/v1/realtime", **as_header(keys["admin"]))
    assert (status, error["code"]) == (403, "missing_scope")


# --- how much ----------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self, now_s: float = NOON) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def limited(sessions: int | None = None, minutes: int | None = None, name: str = "website") -> Key:
    return Key(name, "0" * 64, ("realtime",), sessions, minutes)


def refused(quotas: Quotas, key: Key) -> Refusal | None:
    found = quotas.refusal(key)
    if found is not None:
        assert (found.status, found.code, found.type) == (429, "rate_limit_exceeded", "rate_limit_error")
        assert key.name in found.message
        assert found.headers()["retry-after"] == str(found.retry_after_s)
    return found


def test_sessions_at_once_are_limited_and_given_back() -> None:
    quotas, key = Quotas(Clock()), limited(sessions=2)
    quotas.began(key, "a")
    assert refused(quotas, key) is None
    quotas.began(key, "b")
    assert refused(quotas, key) is not None
    assert refused(quotas, limited(sessions=2, name="other")) is None
    quotas.ended(key, "a")
    quotas.ended(key, "a")
    assert refused(quotas, key) is None


def test_a_limit_that_a_key_gets_later_counts_the_sessions_that_run() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    quotas.began(limited(), "a")
    clock.now_s += 120
    assert refused(quotas, limited(sessions=1)) is not None
    assert quotas.left_s(limited(minutes=3)) == 60
    quotas.ended(limited(), "a")
    assert refused(quotas, limited(sessions=1)) is None
    assert refused(quotas, limited(minutes=2)) is not None


def test_minutes_are_counted_while_sessions_run_and_the_refusal_says_when_they_reset() -> None:
    clock = Clock()
    quotas, key = Quotas(clock), limited(minutes=10)
    quotas.began(key, "a")
    clock.now_s += 240
    quotas.began(key, "b")
    assert quotas.left_s(key) == 360
    clock.now_s += 100
    assert quotas.left_s(key) == 160
    quotas.ended(key, "a")
    clock.now_s += 160
    found = refused(quotas, key)
    assert found is not None
    assert found.retry_after_s == DAY_S / 2 - 500
    assert quotas.left_s(limited()) is None


def test_a_day_begins_at_midnight_utc_for_a_session_that_goes_on_too() -> None:
    clock = Clock(20_001 * DAY_S - 300)
    quotas, key = Quotas(clock), limited(minutes=5)
    quotas.began(key, "a")
    clock.now_s += 299
    assert quotas.left_s(key) == 1
    clock.now_s += 61
    assert quotas.left_s(key) == 240
    quotas.ended(key, "a")
    clock.now_s += 1_000
    assert quotas.left_s(key) == 240


def test_a_clock_that_is_set_back_gives_no_minutes_back() -> None:
    clock = Clock()
    quotas, key = Quotas(clock), limited(minutes=5)
    quotas.began(key, "a")
    clock.now_s -= 100
    quotas.ended(key, "a")
    assert quotas.left_s(key) == 300


async def test_one_session_too_many_of_a_key_waits_for_its_turn(path: Path) -> None:
    _, key = key_file.add(path, "website", DEFAULT_SCOPES, sessions=1)
    _, other = key_file.add(path, "other")
    async with running(configured(keys_file=path)) as server:
        async with talking(server, key=key):
            status, error, headers = await refusal(server, "/v1/realtime", **as_header(key))
            assert (status, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
            assert int(headers["retry-after"]) > 0
            async with talking(server, key=other):
                pass
            async with httpx.AsyncClient() as client:
                url = f"{server.http}/parley/admission"
                asked = await client.get(url, headers={"authorization": f"Bearer {key}"})
                assert (asked.status_code, asked.headers["retry-after"]) == (429, headers["retry-after"])
        async with talking(server, key=key):
            pass


async def ended(server: Running, key: str, act: Callable[[], None]) -> tuple[dict[str, Any], int]:
    """The error and the close code of a session of `key` once `act` was done and a second has passed."""
    async with connect(server.ws + "/v1/realtime", **as_header(key)) as client:
        assert json.loads(await client.recv())["type"] == "session.created"
        act()
        server.app.end_unallowed()
        error = json.loads(await asyncio.wait_for(client.recv(), PATIENCE_S))
        assert error["type"] == "error"
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), PATIENCE_S)
    assert closed.value.rcvd is not None
    return error["error"], closed.value.rcvd.code


async def test_sessions_of_a_revoked_key_are_closed_and_those_of_others_go_on(path: Path) -> None:
    _, key = key_file.add(path, "website")
    _, other = key_file.add(path, "other")
    async with running(configured(keys_file=path)) as server, talking(server, key=other) as talk:
        error, code = await ended(server, key, lambda: key_file.revoke(path, "website"))
        await talk.send(type="input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
    assert (error["code"], code) == ("invalid_api_key", 1008)


async def test_the_secrets_of_a_revoked_key_open_nothing_and_their_sessions_are_closed(path: Path) -> None:
    _, key = key_file.add(path, "website")
    key_file.add(path, "other")
    async with running(configured(keys_file=path)) as server:
        async with server.client(key) as client:
            token = (await client.realtime.client_secrets.create()).value
        error, code = await ended(server, token, lambda: key_file.revoke(path, "website"))
        status, _, _ = await refusal(server, "/v1/realtime", **as_header(token))
        key_file.add(path, "website")
        again, _, _ = await refusal(server, "/v1/realtime", **as_header(token))
    assert (error["code"], code, status, again) == ("invalid_api_key", 1008, 401, 401)


async def test_a_secret_counts_against_the_limits_of_its_key(path: Path) -> None:
    _, key = key_file.add(path, "website", DEFAULT_SCOPES, sessions=1)
    async with running(configured(keys_file=path)) as server:
        async with server.client(key) as client:
            token = (await client.realtime.client_secrets.create()).value
        async with talking(server, key=token):
            status, error, _ = await refusal(server, "/v1/realtime", **as_header(key))
    assert (status, error["code"]) == (429, "rate_limit_exceeded")


async def test_sessions_end_when_their_keys_minutes_are_used_up(path: Path) -> None:
    clock = Clock()
    _, key = key_file.add(path, "website", DEFAULT_SCOPES, minutes_per_day=3)
    async with running(configured(keys_file=path)) as server:
        server.app.sessions.quotas._wall_s = clock

        def use_them_up() -> None:
            clock.now_s += 180

        error, code = await ended(server, key, use_them_up)
        status, again, headers = await refusal(server, "/v1/realtime", **as_header(key))
    assert (error["code"], error["type"], code) == ("rate_limit_exceeded", "rate_limit_error", 1008)
    assert (status, again["code"]) == (429, "rate_limit_exceeded")
    assert int(headers["retry-after"]) == DAY_S / 2 - 180


async def test_a_limit_that_is_written_into_the_file_ends_a_running_session(path: Path) -> None:
    clock = Clock()
    _, key = key_file.add(path, "website")
    async with running(configured(keys_file=path)) as server:
        server.app.sessions.quotas._wall_s = clock

        def limit() -> None:
            clock.now_s += 180
            path.write_text(path.read_text().replace('"minutes_per_day": null', '"minutes_per_day": 3'))

        error, code = await ended(server, key, limit)
    assert (error["code"], code) == ("rate_limit_exceeded", 1008)


async def test_a_sessions_expires_at_is_bounded_by_the_minutes_of_its_key(path: Path) -> None:
    _, key = key_file.add(path, "website", DEFAULT_SCOPES, minutes_per_day=3)
    async with running(configured(keys_file=path)) as server:
        short = await first_event(server, "/v1/realtime", **as_header(key))
        key_file.add(path, "other")
        _, free = key_file.add(path, "free")
        full = await first_event(server, "/v1/realtime", **as_header(free))
    assert full.session.expires_at - short.session.expires_at == pytest.approx(57 * 60, abs=5)


async def test_connections_that_break_in_their_handshake_give_their_session_back(path: Path) -> None:
    _, key = key_file.add(path, "website", DEFAULT_SCOPES, sessions=1)
    async with running(configured(keys_file=path)) as server:
        head = (
            f"GET /v1/realtime HTTP/1.1\r\nHost: {server.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {key}\r\n\r\n"
        ).encode()
        for attempt in range(60):
            _, writer = await asyncio.open_connection(*server.host.split(":"))
            writer.write(head[: len(head) * (1 + attempt % 4) // 4])
            await turn_the_loop(1)
            writer.transport.abort()
        await settled(lambda: len(server.app.sessions) == 0)
        async with talking(server, key=key):
            pass
