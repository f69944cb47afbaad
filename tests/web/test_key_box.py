"""The box that asks for the server's key: no dead end, and remembered where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.browser import Tab, page
from tests.web.conftest import OFFLINE
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

KEY = "sk-open-sesame"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(*OFFLINE, "--api-key", KEY, cwd=tmp_path_factory.mktemp("locked"))
    yield running
    running.end()


async def unlock(tab: Tab) -> None:
    await tab.until("document.querySelector('#key-box').open")
    await tab.js("document.querySelector('#key').focus()")
    await tab.type(KEY)
    await tab.press("Enter")
    await tab.until("!document.querySelector('#key-box').open && document.querySelector('#link').title === 'Ready'")


async def test_whoever_leaves_the_box_finds_the_way_back(locked: Server) -> None:
    async with page(locked.url) as tab:
        await tab.until("document.querySelector('#key-box').open")
        assert "parley keys add NAME" in await tab.text("#key-box")
        for leave in ("Escape", "Not now"):
            if leave == "Escape":
                await tab.press("Escape")
            else:
                await tab.click("#key-later")
            await tab.until("!document.querySelector('#key-box').open && !document.querySelector('#alert').hidden")
            assert "This server is locked" in await tab.text("#alert")
            await tab.click("#alert .actions button")
            await tab.until("document.querySelector('#key-box').open")
        await unlock(tab)
        assert await tab.js("document.querySelector('#alert').hidden")


async def test_a_key_is_remembered_where_that_was_ticked_and_can_be_forgotten(locked: Server) -> None:
    async with page(locked.url) as tab:
        await unlock(tab)
        assert await tab.js("localStorage.getItem('parley.key')") is None
        await tab.js("sessionStorage.clear()")
        await tab.goto(locked.url)
        await tab.until("document.querySelector('#key-box').open")
        await tab.click("#key-remember")
        await unlock(tab)
        assert await tab.js("sessionStorage.getItem('parley.key')") is None
        await tab.js("sessionStorage.clear()")
        await tab.goto(locked.url)
        await tab.until("document.querySelector('#link')?.title === 'Ready'")
        await tab.js("parley.say('Hello')", gesture=True)
        await tab.until("document.querySelector('.entry.assistant')")
        await tab.js("document.querySelector('#forget-key').click()")
        await tab.until("document.querySelector('#key-box')?.open")
        assert await tab.js("localStorage.getItem('parley.key')") is None
