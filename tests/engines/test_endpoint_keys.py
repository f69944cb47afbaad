"""The key of each remote engine goes to the server it was given for, over real sockets."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from parley.engines.llm import auto, ollama, responses
from parley.engines.llm import openai as chat
from parley.engines.moderation import openai as moderation
from parley.engines.openai_api.keys import environment_key, same_server
from parley.engines.options import OptionReader
from parley.engines.ports import ChatMessage, ChatRequest, EngineError, EngineUnavailable
from parley.engines.stt import openai as transcriptions
from parley.engines.stt import realtime
from parley.engines.tts import openai as speech
from tests.engines.audio_server import AudioServer
from tests.engines.chat_server import Answer, ChatServer, Request
from tests.engines.realtime_server import RealtimeServer

KEY = "sk-of-the-environment"
Create = Callable[[str, Mapping[str, object]], Any]

ENGINES: list[tuple[str, Create]] = [
    ("LLM", chat.create),
    ("LLM", auto.create),
    ("LLM", responses.create),
    ("STT", transcriptions.create),
    ("STT", realtime.create),
    ("TTS", speech.create),
    ("MODERATION", moderation.create),
]
"""The engines that read the environment, and their stage."""


async def keys_sent(create: Create, name_server: Callable[[str], Mapping[str, object]]) -> set[str | None]:
    """What an engine sends as authorization while it opens, to the server that `name_server` names somewhere."""
    server: Any = RealtimeServer() if create is realtime.create else AudioServer(models=["m"])
    async with server.running():
        engine = create("m", name_server(server.url))
        with contextlib.suppress(EngineUnavailable):  # (after the keys were sent: the server has no replies)
            await engine.open()
        await engine.close()
    said = server.sessions if isinstance(server, RealtimeServer) else server.requests
    assert said
    return {one.headers.get("authorization") for one in said}


@pytest.mark.parametrize(("stage", "create"), ENGINES)
@pytest.mark.parametrize("home", ["", "http://127.0.0.1:9/v1"])
async def test_a_key_in_the_environment_is_not_sent_to_a_server_that_the_options_name(
    stage: str, create: Create, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PARLEY_{stage}_API_KEY", KEY)
    monkeypatch.setenv(f"PARLEY_{stage}_BASE_URL", home)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert await keys_sent(create, lambda url: {"base_url": url}) == {None}


@pytest.mark.parametrize(("stage", "create"), ENGINES)
async def test_a_key_in_the_environment_goes_to_the_environment_s_server(
    stage: str, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PARLEY_{stage}_API_KEY", KEY)

    def in_the_environment(url: str) -> Mapping[str, object]:
        monkeypatch.setenv(f"PARLEY_{stage}_BASE_URL", url)
        return {}

    assert await keys_sent(create, in_the_environment) == {f"Bearer {KEY}"}


@pytest.mark.parametrize(("stage", "create"), ENGINES)
async def test_a_key_beside_the_server_is_sent(stage: str, create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-mine")
    monkeypatch.setenv(f"PARLEY_{stage}_API_KEY", KEY)
    assert await keys_sent(create, lambda url: {"base_url": url, "api_key_env": "MY_KEY"}) == {"Bearer sk-mine"}


@pytest.mark.parametrize("create", [create for _, create in ENGINES] + [ollama.create])
async def test_a_variable_that_is_not_set_is_named(create: Create) -> None:
    engine = create("m", {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "MY_KEY_OF_NOTHING"})
    with pytest.raises(EngineUnavailable, match="api_key_env names MY_KEY_OF_NOTHING, which is not set") as caught:
        await engine.open()
    assert "Set MY_KEY_OF_NOTHING" in caught.value.remedy


def test_a_key_among_the_options_is_not_sent_to_the_environment_s_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM_BASE_URL", "http://there/v1")
    config = chat.read_chat_config("m", OptionReader("llm openai", {"api_key": "sk-mine"}))
    assert (config.endpoint.base_url, config.endpoint.api_key) == ("https://api.openai.com/v1", "sk-mine")


async def test_a_key_that_would_be_missing_says_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM_API_KEY", KEY)
    server = AudioServer(models=401)
    async with server.running():
        with pytest.raises(EngineUnavailable) as caught:
            await chat.create("m", {"base_url": server.url}).open()
    assert caught.value.message.endswith("wants an API key.")
    remedy = "Set llm_options.api_key or api_key_env, beside base_url (PARLEY_LLM_API_KEY is for api.openai.com)."
    assert caught.value.remedy == remedy


async def test_a_recogniser_s_key_does_not_follow_a_redirect() -> None:
    elsewhere = RealtimeServer()
    async with elsewhere.running():
        url = elsewhere.url.replace("http", "ws") + "/realtime?intent=transcription"
        server = RealtimeServer(refuses=(307, url))
        async with server.running():
            with pytest.raises(EngineUnavailable):
                await realtime.create("m", {"base_url": server.url, "api_key": "sk-mine"}).open()
    assert elsewhere.sessions == []


@pytest.mark.parametrize("create", [create for _, create in ENGINES] + [ollama.create])
@pytest.mark.parametrize(
    "url", ["http://[::1", "http://u:sk-pw@host:99999/v1", "http://u:sk-pw", "http://host:0", "http://a b/v1"]
)
def test_what_is_no_url_is_named_by_its_setting(create: Create, url: str) -> None:
    with pytest.raises(
        ValueError, match=r"^\w+_options\.base_url is not a URL that can be used: .* One is http"
    ) as caught:
        create("m", {"base_url": url})
    assert "sk-pw" not in str(caught.value)


@pytest.mark.parametrize("create", [create for _, create in ENGINES] + [ollama.create])
@pytest.mark.parametrize(
    ("options", "named"),
    [({"api_key": "schlüssel-ж"}, "api_key"), ({"headers": {"x-a": "b\r\nc: d"}}, "Correct the option headers")],
)
async def test_what_http_cannot_carry_is_named_by_its_setting(
    create: Create, options: Mapping[str, object], named: str
) -> None:
    with pytest.raises(EngineUnavailable, match="holds characters that HTTP cannot carry") as caught:
        await create("m", {"base_url": "http://127.0.0.1:9/v1", **options}).open()
    assert named in caught.value.remedy
    assert "ж" not in str(caught.value)


# --- what a server repeats ---

SECRET, HEADER = "very-secret-key-of-thirty-letters", "header-of-twenty-letters"


async def fault_of(server: ChatServer) -> EngineError:
    """What goes wrong with a chat engine that has a key and a header of its own."""
    async with server.running():
        options = {"base_url": server.url, "api_key": SECRET, "headers": {"x-team": HEADER}, "warm_up": False}
        engine = chat.create("m", options)
        try:
            await engine.open()
            async for _ in engine.reply(ChatRequest((ChatMessage("user", "Hi."),))):
                pass
        except EngineError as error:
            return error
        finally:
            await engine.close()
    pytest.fail("nothing went wrong")


@pytest.mark.parametrize("secret", [SECRET, HEADER])
@pytest.mark.parametrize("body", ['{{"got": "Bearer {}"}}', "Bearer {}", "[{}]", "<title>{}</title>"])
async def test_a_page_that_repeats_the_request_shows_no_secret(body: str, secret: str) -> None:
    error = await fault_of(ChatServer([], models=body.format(secret).encode()))
    assert error.code == "invalid_base_url"
    assert "***" in str(error)
    assert secret not in str(error)


@pytest.mark.parametrize("secret", [SECRET, HEADER])
@pytest.mark.parametrize("before", [0, 20, 40, 50])
async def test_a_stream_or_a_refusal_that_repeats_the_request_shows_no_secret(secret: str, before: int) -> None:
    said = f"{'.' * before} {secret}"

    async def streams(request: Request, answer: Answer) -> None:
        await answer.raw(f"data: {said}\n\n".encode())

    async def refuses(request: Request, answer: Answer) -> None:
        await answer.json(400, {"error": {"message": said}})

    for script in (streams, refuses):
        error = await fault_of(ChatServer([script]))
        assert "***" in str(error)
        assert secret[:6] not in str(error)


async def test_the_log_of_a_websocket_has_no_key_at_its_lowest_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = RealtimeServer()
    async with server.running():
        engine = realtime.create("m", {"base_url": server.url, "api_key": SECRET})
        await engine.open()
        await engine.close()
    received = [record.getMessage() for record in caplog.records if record.name == "websockets.server"]
    assert any(SECRET in message for message in received), (
        "the server of the test logs what came, so the level is the lowest"
    )
    ours = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert not any(SECRET in message for message in ours)


BOTH = {"PARLEY_LLM_API_KEY": "stage", "OPENAI_API_KEY": "openai"}


@pytest.mark.parametrize(
    ("url", "environ", "key"),
    [
        ("https://api.openai.com/v1", BOTH, "stage"),
        ("https://api.openai.com/v1", {"OPENAI_API_KEY": "openai"}, "openai"),
        ("https://eu.api.openai.com/v1", BOTH, "stage"),
        ("https://api.openai.com/v1", BOTH | {"PARLEY_LLM_BASE_URL": "http://there"}, "openai"),
        ("http://there/v1", BOTH | {"PARLEY_LLM_BASE_URL": "http://there:80"}, "stage"),
        ("http://api.openai.com/v1", BOTH, ""),
        ("https://api.openai.com:8443/v1", BOTH, ""),
        ("https://mine.openai.azure.com/openai/v1", BOTH, ""),
        ("https://api.openai.com.evil.example/v1", BOTH, ""),
        ("https://evil-openai.com/v1", BOTH, ""),
        ("https://evil.example/?api.openai.com", BOTH, ""),
        ("https://api.openai.com@evil.example/v1", BOTH, ""),
        ("https://evil.example\\@api.openai.com/v1", BOTH, ""),
        ("http://[::1", BOTH, ""),
        ("", BOTH | {"PARLEY_LLM_BASE_URL": "nonsense"}, ""),
    ],
)
def test_the_environment_s_key_for_each_server(url: str, environ: Mapping[str, str], key: str) -> None:
    assert environment_key("llm", url, environ)[0] == key


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a/v1", "http://A:80/v2", True),
        ("http://a/v1", "https://a/v1", False),
        ("http://a/v1", "http://a:81/v1", False),
        ("http://a:x/v1", "http://a:y/v1", False),
        ("http://u:p@a/v1", "http://a/v1", True),
    ],
)
def test_servers_are_the_same_by_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert same_server(one, other) is same
