"""`parley doctor` says what answers at a language model's endpoint, and sends its key nowhere else."""

from __future__ import annotations

import pytest

from parley.cli.checks import check_endpoint
from parley.engines.llm.openai import CHAT
from parley.engines.ports import EngineSpec
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
        (ChatServer([], models=401), False, "refuses the API key", "PARLEY_LLM_API_KEY"),
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
