"""MCP servers in the settings: named by the user, called by the server, listed with their tools or with what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.mcp_library import mcp_library
from tests.web.browser import Tab, eventually, page
from tests.web.quick import KEY, quick_server
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROW = "document.querySelector('#tool-server-list > li')"


async def add(tab: Tab, label: str, url: str, key: str = "", *, approval: bool = False) -> None:
    await tab.js("document.querySelector('#tool-server-form').open = true")
    for name, value in (("label", label), ("url", url), ("key", key)):
        await tab.js(f"document.querySelector('#tool-server-{name}').value = {value!r}")
    await tab.js(f"document.querySelector('#tool-server-approval').checked = {str(approval).lower()}")
    await tab.js("document.querySelector('#tool-server-add').click()")


async def opened(tab: Tab) -> None:
    await tab.until("parley.settings.pipelines.length > 0")
    await tab.js("parley.settings.open()")


async def test_where_no_tools_are_asked_for_the_first_message_waits_for_none(quick: Server) -> None:
    async with page(quick.url) as tab:
        await tab.js("parley.say('Hello there')", gesture=True)
        await tab.until("parley.talk.askable")
        assert await tab.js("parley.talk.asking.forTools") is None
        await eventually(lambda: bool(tab.asked("conversation.item.create")), "it is sent", tab)


@pytest.mark.parametrize("connection", ["websocket", "webrtc"])
async def test_a_servers_tools_are_listed_and_called(quick: Server, connection: str) -> None:
    if connection == "webrtc":
        pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")
    with mcp_library() as library:
        async with page(quick.url, connection=connection) as tab:
            await opened(tab)
            await add(tab, "library", library.url)
            assert "when a conversation is open" in await tab.text("#tool-server-list")
            await tab.js("parley.settings.dialog.close()")
            await tab.js("parley.say('Find Ulysses, please.')", gesture=True)
            await tab.until(f"{ROW}.dataset.state === 'listed'")
            assert await tab.js(f"[...{ROW}.querySelectorAll('.tool-names li')].map((one) => one.textContent)") == [
                "find"
            ]
            sent = tab.asked("session.update")[-1]["session"]["tools"][-1]
            assert sent == {
                "type": "mcp",
                "server_label": "library",
                "server_url": library.url,
                "require_approval": "never",
            }
            await tab.js("parley.say('Find Ulysses, please.')", gesture=True)
            await tab.until(
                "[...document.querySelectorAll('.entry.tool .name')].some((one) => one.textContent === 'find')"
            )
            await eventually(lambda: bool(library.calls), "the tool is called", tab)
            assert tab.told("error") == []

            await tab.js(f"{ROW}.querySelector('button').click()")
            assert await tab.js("document.querySelector('#tool-server-list').children.length") == 0
            tools = tab.asked("session.update")[-1]["session"]["tools"]
            assert all(tool["type"] == "function" for tool in tools)
            assert tab.errors == []


async def test_a_server_is_kept_and_what_authorizes_stays_in_the_tab(quick: Server) -> None:
    async with page(quick.url) as tab:
        await opened(tab)
        await add(tab, "shelf", "http://127.0.0.1:9/mcp", "open-sesame", approval=True)
        assert "asks before each call" in await tab.text("#tool-server-list")
        assert "sesame" not in str(await tab.js("JSON.stringify(localStorage)"))
        await tab.goto(quick.url)
        await tab.until(f"globalThis.parley && {ROW}")
        await tab.js("parley.say('Hello')", gesture=True)
        await eventually(lambda: bool(tab.asked("session.update")), "the settings are sent", tab)
        sent = tab.asked("session.update")[0]["session"]["tools"][-1]
        assert (sent["authorization"], sent["require_approval"]) == ("open-sesame", "always")
        # Nothing listens there: the page says so, and the conversation goes on.
        await tab.until(f"{ROW}.dataset.state === 'failed' && {ROW}.innerText.includes('shelf')")
        await tab.until("document.querySelector('.entry.assistant .words')?.innerText.includes('Hello')")


async def test_what_is_typed_wrong_is_said_and_not_kept(quick: Server) -> None:
    async with page(quick.url) as tab:
        await opened(tab)
        for label, url, key, says in (
            ("my library", "https://a.example/mcp", "", "letters, digits"),
            ("library", "ftp://a.example", "", "begins with https"),
            ("library", "https://a.example/mcp", "two words", "not have spaces"),
        ):
            await add(tab, label, url, key)
            assert says in await tab.text("#tool-server-wrong")
        assert await tab.js("document.querySelector('#tool-server-list').children.length") == 0
        await add(tab, "library", "https://a.example/mcp")
        await add(tab, "library", "https://b.example/mcp")
        assert "There is already one named library." in await tab.text("#tool-server-wrong")
        await tab.js("document.querySelector('#tool-server-label').focus()")
        await tab.press("Enter")
        assert await tab.js("parley.settings.dialog.open"), "Enter does not close the sheet"


async def test_a_server_that_is_not_admitted_is_said_so_and_the_conversation_goes_on(tmp_path: Path) -> None:
    admitted = '[server]\nallowed_mcp_servers = ["https://tools.example.com/mcp"]\n'
    server = quick_server(tmp_path, settings=admitted)
    try:
        async with page(server.url) as tab:
            await opened(tab)
            assert "https://tools.example.com/mcp" in await tab.text("#tool-servers-note")
            await add(tab, "library", "http://127.0.0.1:9/mcp")
            await tab.js("parley.settings.dialog.close()")
            await tab.js("parley.say('Hello')", gesture=True)
            await tab.until(f"{ROW}.dataset.state === 'refused'")
            await tab.js("parley.settings.open()")
            assert "its owner can add the address" in await tab.text("#tool-server-list")
            await tab.until("document.querySelector('.entry.assistant .words')?.innerText.includes('Hello')")
            assert all(tool["type"] == "function" for tool in tab.asked("session.update")[-1]["session"]["tools"])
    finally:
        server.end()


async def test_a_server_that_others_can_reach_says_beforehand_that_it_calls_none(locked: Server) -> None:
    before = f"sessionStorage.setItem('parley.key', '{KEY}');"
    async with page(locked.url, before=before) as tab:
        await opened(tab)
        note = await tab.text("#tool-servers-note")
        assert "others can reach this server" in note
        assert "server.allowed_mcp_servers" in note
        assert await tab.js("document.querySelector('#tool-server-form').hidden")
