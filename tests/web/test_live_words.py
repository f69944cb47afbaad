"""What the user says is written down while they say it, and what is said while a key is held before it is let go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.browser import Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

SHOWN = """
globalThis.shown = [];
parley.talk.transcript.addEventListener("entry", ({ detail }) => detail.kind === "user" && shown.push({
  partial: detail.partial, text: detail.text, words: document.querySelector(".entry.user:last-child .words")?.innerText,
}));
"""

GROWN = "new Set(shown.filter(({ partial, words }) => partial && words && words !== 'writing down').map(({ words }) => words))"
"""All the words that were shown before the turn was over."""

HELD = "parley.talk.hold && document.querySelector('.entry.user[data-state=partial] .partial')?.innerText.trim()"
"""The words that are on the page while the key is held."""


async def test_words_are_shown_before_the_turn_is_over(server: Server, microphone: Microphone) -> None:
    async with page(server.url, microphone("two_cities", 60.0)) as tab:
        await tab.js(SHOWN)
        await tab.click("#heart")
        await tab.until(f"{GROWN}.size >= 4")  # they grow while one speaks
        shown = await tab.js("shown")
        live = [one["words"] for one in shown if one["partial"] and one["words"]]
        assert live[0] == "writing down", "nothing has been heard yet"
        heard = [one for one in shown if one["partial"] and one["words"] not in ("", None, "writing down")]
        assert any(len(one["words"]) > len(one["text"]) for one in heard), "before the recogniser has promised them"
        assert tab.told("error") == []
        assert tab.errors == []


async def hold(tab: Tab) -> None:
    """Choose to hold, open the microphone, and hold the space bar."""
    await tab.press("h")
    await tab.press(" ")
    await tab.until("parley.talk.holdable")
    await tab.key("keyDown", " ", text=" ")


@pytest.mark.parametrize("connection", ["websocket", "webrtc"])
async def test_words_are_shown_while_the_space_bar_is_held(
    server: Server, microphone: Microphone, connection: str
) -> None:
    async with page(server.url, microphone("two_cities", 60.0)) as tab:
        await tab.js(
            f"(async () => (await import('/assets/js/preferences.js')).prefer({{ connection: '{connection}' }}))()"
        )
        await hold(tab)
        words = await tab.until(HELD)
        assert len(tab.told("input_audio_buffer.committed")) == 0
        assert await tab.text(".entry.user .words") != "writing down"
        item = tab.told("parley.input_transcript.unstable")[0]["item_id"]
        await tab.key("keyUp", " ")
        await tab.until("document.querySelector('.entry.user[data-state=final] .words')?.innerText")
        assert [event["item_id"] for event in tab.told("input_audio_buffer.committed")] == [item]
        assert await tab.js("document.querySelectorAll('.entry.user').length") == 1, "they are the turn's own"
        assert words
        assert tab.errors == []


async def test_cleared_words_leave_the_page_and_those_of_the_next_hold_come(
    server: Server, microphone: Microphone
) -> None:
    async with page(server.url, microphone("two_cities", 60.0)) as tab:
        await hold(tab)
        await tab.until(HELD)
        first = tab.told("parley.input_transcript.unstable")[0]["item_id"]
        await tab.js("parley.talk.send('input_audio_buffer.clear')")
        await tab.until(f"!parley.talk.transcript.entries.has('{first}')")
        await tab.until(HELD)
        await tab.key("keyUp", " ")
        await tab.key("keyDown", " ", text=" ")
        await tab.until("document.querySelectorAll('.entry.user').length === 2")
        await tab.key("keyUp", " ")
        await tab.until("document.querySelectorAll('.entry.user[data-state=final]').length === 2")
        assert first not in [event["item_id"] for event in tab.told("input_audio_buffer.committed")]
        assert tab.errors == []


async def test_turn_detection_in_mid_hold_commits_what_was_said(server: Server, microphone: Microphone) -> None:
    async with page(server.url, microphone("two_cities", 60.0)) as tab:
        await hold(tab)
        await tab.until(HELD)
        item = tab.told("parley.input_transcript.unstable")[0]["item_id"]
        await tab.js("parley.setMode('free')")
        await tab.until(f"parley.talk.transcript.entries.get('{item}').partial === false")
        assert tab.told("input_audio_buffer.committed")[0]["item_id"] == item
        assert tab.errors == []
