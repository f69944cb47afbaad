"""What the page does when something stands in the way, and when it goes away again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.browser import eventually, page
from tests.web.quick import KEY, Mortal, quick_pipeline, quick_server
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]


async def test_a_restarted_server_is_found_again_and_the_conversation_goes_on(
    tmp_path: Path, microphone: Microphone
) -> None:
    (tmp_path / "parley.toml").write_text(quick_pipeline())
    server = Mortal(tmp_path)
    try:
        async with page(server.url, microphone(1.0, "hello_world", 60.0)) as tab:
            await tab.js("parley.settings.chooseTurns('semantic_vad')")
            await tab.js("parley.say('Good bye.')", gesture=True)
            await tab.click("#heart")
            await tab.until("document.querySelector('.entry.assistant')")
            server.kill()
            await tab.until("document.querySelector('#alert').innerText.includes('Trying again in')")
            assert "The conversation goes on as soon as it is back." in await tab.text("#alert")
            assert await tab.js("document.querySelector('#link').dataset.state") in ("waiting", "connecting")
            server.live()
            await tab.until("parley.talk.connected && document.querySelector('#alert').hidden")
            await tab.until("document.querySelector('.entry.note')")
            assert await tab.text(".entry.note") == "Reconnected; the conversation goes on."
            await eventually(lambda: len(tab.told("session.updated")) == 2, "the settings are told again", tab)
            session = tab.told("session.updated")[-1]["session"]
            assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
            await tab.js("parley.say('Hello?')", gesture=True)
            await tab.until(
                "[...document.querySelectorAll('.entry.assistant .words')].at(-1).innerText.includes('Hello')"
            )
    finally:
        server.end()


async def test_a_locked_server_asks_for_its_key_and_says_when_it_is_wrong(locked: Server) -> None:
    async with page(locked.url) as tab:
        await tab.until("document.querySelector('#key-box').open")
        await tab.type("sk-wrong")
        await tab.press("Enter")
        await tab.until("document.querySelector('#key-why').innerText.includes('does not accept that key')")
        await tab.type(KEY)
        await tab.press("Enter")
        await tab.until(
            "!document.querySelector('#key-box').open && document.querySelector('#link').dataset.state === 'closed'"
        )
        await tab.js("parley.say('Hello')", gesture=True)
        await tab.until("document.querySelector('.entry.assistant .words')?.innerText.includes('Hello')")
        assert await tab.js("sessionStorage.getItem('parley.key')") == KEY
        assert "sesame" not in str(await tab.js("JSON.stringify(localStorage)"))


async def test_a_full_server_is_waited_for_and_says_why(tmp_path: Path) -> None:
    server = quick_server(tmp_path, settings="[server]\nmax_sessions = 1\n")
    try:
        async with page(server.url) as tab:
            await tab.js(
                "new Promise((resolve) => { globalThis.other = new WebSocket(location.href.replace('http', 'ws') + "
                "'v1/realtime', 'realtime'); other.onopen = () => resolve(true) })"
            )
            await tab.js("parley.say('Hello')", gesture=True)
            await tab.until("document.querySelector('#alert').innerText.includes('The server is full')")
            assert await tab.js("parley.talk.link.state.error.code") == "session_limit_reached"
            await tab.js("new Promise((resolve) => { other.onclose = resolve; other.close() })")
            await tab.click("#alert button")
            await tab.until("document.querySelector('.entry.assistant')")
    finally:
        server.end()


async def test_a_blocked_microphone_is_explained_and_typing_still_works(quick: Server) -> None:
    async with page(quick.url, allow=False) as tab:
        await tab.call("Browser.setPermission", permission={"name": "microphone"}, setting="denied", origin=quick.url)
        await tab.click("#heart")
        await tab.until("document.querySelector('#alert').innerText.includes('microphone is blocked')")
        await tab.js("parley.say('Hello')", gesture=True)
        await tab.until("document.querySelector('.entry.assistant')")
        assert tab.errors == []


async def test_a_blocked_microphone_is_said_by_the_test(quick: Server) -> None:
    async with page(quick.url, allow=False) as tab:
        await tab.call("Browser.setPermission", permission={"name": "microphone"}, setting="denied")
        await tab.until("document.querySelector('#microphone-test button')")
        await tab.click("#microphone-test button")
        await tab.until("document.querySelector('#microphone-test .note').textContent.includes('is blocked')")
        assert await tab.js("parley.visit.tests[0].running") is False
