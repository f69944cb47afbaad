"""Calls of MCP tools that need the user's consent: asked in the conversation, answered once, and accounted for whatever happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chat_endpoint import ChatEndpoint, chat_endpoint
from tests.clients.mcp_library import Library, mcp_library
from tests.web.browser import Tab, eventually, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PIPELINE = """
[pipelines.default]
stt = "pocketsphinx"
llm = "openai:scripted"
tts = "hibari"
llm_options = {{ base_url = "{url}" }}
"""
CARD = "document.querySelector('.entry.approval[data-state=asking]')"
CARDS = "document.querySelectorAll('.entry.approval[data-state=asking]').length"
ASKS = "parley.talk.approvals.asking.length"


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatEndpoint]:
    with chat_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def server(chat: ChatEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "parley.toml").write_text(PIPELINE.format(url=chat.base_url))
    running = Server(cwd=folder)
    yield running
    running.end()


@pytest.fixture
def library(chat: ChatEndpoint) -> Iterator[Library]:
    chat.calls = 1
    with mcp_library() as books:
        yield books


@asynccontextmanager
async def talking(url: str, library: Library, tmp_path: Path, microphone: Path | None = None, **chosen: Any) -> AsyncIterator[Tab]:
    """The page, whose user has named the library in the settings, and wants to be asked."""
    preferences = json.dumps({"connection": "websocket", "tools": False} | chosen)
    before = (
        "if (!('tools' in JSON.parse(localStorage.getItem('parley.preferences'))))"
        f" localStorage.setItem('parley.preferences', {json.dumps(preferences)});"
    )
    async with page(url, tmp_path, microphone, before=before) as tab:
        await tab.until("parley.settings.pipelines.length > 0")
        await tab.js("parley.settings.open(); document.querySelector('#tool-server-form').open = true")
        for name, value in (("label", "library"), ("url", library.url)):
            await tab.js(f"document.querySelector('#tool-server-{name}').value = {value!r}")
        assert await tab.js("document.querySelector('#tool-server-approval').checked"), "to be asked is the default"
        await tab.js("document.querySelector('#tool-server-add').click(); parley.settings.dialog.close()")
        yield tab


async def ready(tab: Tab) -> None:
    """A session that knows the library's tools."""
    await tab.js("parley.connect()", gesture=True)
    await tab.until("document.querySelector('#tool-server-list > li').dataset.state === 'listed'")


async def say(tab: Tab, text: str) -> None:
    await tab.js(f"parley.say({json.dumps(text)})", gesture=True)


async def asked(tab: Tab, text: str = "Where is it?", cards: int = 1) -> None:
    """The user says something, and the model wants to call the tool."""
    await ready(tab)
    await say(tab, text)
    await tab.until(f"{CARDS} === {cards}")


async def answer(tab: Tab, label: str) -> None:
    """Press a button of the oldest card, once it may be pressed."""
    await tab.js("new Promise((resolve) => setTimeout(resolve, 600))")
    found = f"[...{CARD}.querySelectorAll('button')].find((one) => one.textContent.startsWith({label!r}))"
    await tab.js(f"{found}.scrollIntoView()")
    await tab.js(f"{found}.dataset.pressed = ''")
    await tab.click("button[data-pressed]")


async def heard_out(tab: Tab, text: str) -> None:
    await tab.until(
        f"[...document.querySelectorAll('.entry.assistant .words')].at(-1)?.innerText.includes({json.dumps(text)})"
    )
    await tab.until("parley.talk.phase === 'idle'")


@pytest.mark.parametrize("connection", ["websocket", "webrtc"])
async def test_a_call_is_made_once_the_user_allows_it(
    server: Server, library: Library, tmp_path: Path, connection: str
) -> None:
    if connection == "webrtc":
        pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")
    async with talking(server.url, library, tmp_path, connection=connection) as tab:
        await asked(tab)
        words = await tab.text(".entry.approval .words")
        assert "Call find of library?" in words
        assert '"title": "Paris"' in words
        await tab.until("document.querySelector('#heart-state').innerText === 'Waiting'")
        assert await tab.text("#heart-hint") == "for your answer"
        assert not library.calls
        await answer(tab, "Allow")
        await heard_out(tab, "The tool says: Paris is on the third shelf.")
        assert library.calls == ["Paris"]
        assert await tab.js("document.querySelector('.entry.approval').dataset.state") == "allowed"
        assert "You allowed it" in await tab.text(".entry.approval .words")
        assert "Paris is on the third shelf" in await tab.text(".entry.tool .words")
        assert await tab.text("#heart-state") != "Waiting"
        assert tab.told("error") == []
        assert tab.errors == []
        assert len(tab.asked("response.create")) == 1, "the server goes on by itself"
        await eventually(lambda: len(tab.told("response.done")) == 2, "one reply follows the call", tab)
