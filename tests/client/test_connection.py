"""Connecting to a server: its URL, the key, and the messages when it cannot be reached."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from parley.cli.main import run
from parley.client.connection import Server, ServerUnavailable, dial
from parley.client.parley_rest import ParleyRest
from tests.server.harness import configured, running


@pytest.mark.parametrize(
    ("written", "model", "url"),
    [
        ("ws://127.0.0.1:8765", "", "ws://127.0.0.1:8765/v1/realtime"),
        ("http://box:1/", "mine", "ws://box:1/v1/realtime?model=mine"),
        ("wss://api.openai.com/v1/realtime", "gpt-realtime", "wss://api.openai.com/v1/realtime?model=gpt-realtime"),
    ],
)
def test_a_url_is_completed(written: str, model: str, url: str) -> None:
    assert Server.at(written, model=model).url == url


def test_an_invalid_url_is_refused_with_an_example() -> None:
    with pytest.raises(ServerUnavailable, match="ws://127"):
        Server.at("nonsense")


async def test_messages_go_both_ways_in_order() -> None:
    async with running(configured(api_keys=("secret",))) as server:
        async with dial(Server.at(server.ws, key="secret")) as connection:
            messages = aiter(connection)
            assert json.loads(await anext(messages))["type"] == "session.created"
            for name in "abc":
                item = {"id": f"item_{name}", "type": "message", "role": "user"}
                content = [{"type": "input_text", "text": name}]
                event = {"type": "conversation.item.create", "item": {**item, "content": content}}
                connection.send([json.dumps(event)])
            added: list[str] = []
            async with asyncio.timeout(10):
                while len(added) < 3:
                    event = json.loads(await anext(messages))
                    if event["type"] == "conversation.item.added":
                        added.append(event["item"]["id"])
        assert added == ["item_a", "item_b", "item_c"]


async def test_a_wrong_key_is_reported_without_showing_it_and_not_tried_again() -> None:
    async with running(configured(api_keys=("secret",))) as server:
        wrong = Server.at(server.ws, key="wrong-key")
        with pytest.raises(ServerUnavailable, match="refuses the key") as caught:
            async with dial(wrong):
                pass
        assert "--api-key-env" in caught.value.remedy
        assert "wrong-key" not in str(caught.value) + repr(wrong)
        assert not caught.value.again


async def test_an_unknown_model_is_reported_in_the_servers_words() -> None:
    async with running() as server:
        with pytest.raises(ServerUnavailable, match="unknown"):
            async with dial(Server.at(server.ws, model="unknown")):
                pass


async def test_an_unreachable_server_may_be_tried_again() -> None:
    with pytest.raises(ServerUnavailable, match="cannot be reached") as caught:
        async with dial(Server.at("ws://127.0.0.1:9")):
            pass
    assert caught.value.again


async def test_a_parley_server_is_recognised_by_its_health_and_others_are_not_asked_for_figures() -> None:
    async with running(configured(api_keys=("secret",))) as server:
        rest = ParleyRest(Server.at(server.ws, key="secret"))
        assert await rest.turns("sess_x") is None, "ask() was not called"
        assert await rest.ask()
        async with dial(Server.at(server.ws, key="secret")) as connection:
            created = json.loads(await anext(aiter(connection)))
            assert await rest.turns(created["session"]["id"]) == []
    absent = ParleyRest(Server.at("ws://127.0.0.1:9"))
    assert not await absent.ask()


def test_without_its_package_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert run(["talk", "--devices"]) == 2
    assert "'sounddevice>=0.5'" in capsys.readouterr().err


def test_a_key_is_named_by_a_variable_that_must_be_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    assert run(["talk", "--plain", "--url", "ws://127.0.0.1:9", "--api-key-env", "NO_SUCH_KEY"]) == 2
    assert "NO_SUCH_KEY" in capsys.readouterr().err
    assert run(["talk", "--plain", "--model", "x"]) == 2
    assert "--model belongs to --url" in capsys.readouterr().err
