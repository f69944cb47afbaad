"""`parley doctor` says what answers at the endpoints of the engines, and sends their keys nowhere else."""

from __future__ import annotations

import pytest

from parley.cli.checks import check_endpoint, check_endpoints
from parley.config import load
from parley.engines.llm.openai import CHAT
from parley.engines.ports import EngineSpec
from parley.engines.tts.openai import SPEECH
from tests.engines.chat_server import ChatServer

KEY = "sk-secret-1234567890"


@pytest.mark.parametrize(
    ("server", "ok", "seen", "remedy"),
    [
        (ChatServer([], models=["qwen3:8b"]), True, "answers; it has: qwen3:8b. Did you mean 'qwen3:8b'?", ""),
        (ChatServer([], models=[]), True, "lists no models", ""),
        (ChatServer([], models=b"<title>Router login</title>"), False, "but a web page ('Router login')", "/v1"),
        (ChatServer([], models=b'{"status":"ok"}'), False, "is no OpenAI-compatible API", "/v1"),
        (ChatServer([], models=404), False, "no list of models", "/v1"),
        (ChatServer([], models=401), False, "refuses the API key", "llm_options.api_key"),
        (ChatServer([], redirect=(307, "")), False, "redirects in a circle", "--llm-base-url"),
    ],
)
async def test_the_check_says_what_answers(server: ChatServer, ok: bool, seen: str, remedy: str) -> None:
    async with server.running():
        options = {"base_url": server.url, "api_key": KEY}
        check = await check_endpoint(server.url, EngineSpec("openai", "qwen3:8", options), CHAT)
    assert (check.ok, seen in check.seen, remedy in check.remedy) == (ok, True, True), check


async def test_the_check_follows_no_redirect_to_another_server() -> None:
    elsewhere = ChatServer([])
    async with elsewhere.running():
        server = ChatServer([], redirect=(302, f"http://127.0.0.1:{elsewhere.port}"))
        async with server.running():
            options = {"base_url": server.url, "api_key": KEY}
            check = await check_endpoint(server.url, EngineSpec("openai", "m", options), CHAT)
        assert not check.ok
        assert "redirects to another server" in check.seen
        assert elsewhere.requests == []


def test_every_endpoint_is_checked_once_in_the_words_of_its_stage() -> None:
    flags = {"stt": "openai:m", "stt_base_url": "http://127.0.0.1:1/v1", "tts": "openai:m", "tts_base_url": "nonsense"}
    config = load(None, flags, {"PARLEY_LLM_BASE_URL": "http://127.0.0.1:1/v1"})
    checks = list(check_endpoints(config))
    assert [check.name for check in checks] == [
        "endpoint http://127.0.0.1:1/v1",
        "endpoint http://127.0.0.1:1/v1",
        "endpoint nonsense",
    ]
    stt, llm, tts = checks
    assert "The transcription server at" in stt.seen
    assert "--stt-base-url" in stt.remedy
    assert "--llm-base-url" in llm.remedy
    assert (tts.ok, "--tts-base-url" in tts.remedy) == (False, True)


async def test_a_list_of_models_is_shown_for_a_voice_too() -> None:
    server = ChatServer([], models=["kokoro"])
    async with server.running():
        options = {"base_url": server.url, "api_key": KEY, "voice": "af_heart"}
        check = await check_endpoint(server.url, EngineSpec("openai", "kokora", options), SPEECH)
    assert (check.ok, "Did you mean 'kokoro'?" in check.seen) == (True, True)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
