"""The sheet of voices: two are compared and one chosen, and the header says which one speaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.browser import page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

OPEN = ("#settings-open", "#voices-open")


async def test_two_voices_are_compared_and_the_chosen_one_speaks(server: Server, tmp_path: Path) -> None:
    async with page(server.url, tmp_path) as tab:
        await tab.until("parley.settings.pipelines.length > 0")
        for selector in OPEN:
            await tab.click(selector)
        await tab.until("document.querySelector('#voices').open")
        choices = await tab.js("[...document.querySelector('#voice-a').options].map((option) => option.value)")
        assert "alloy" in choices
        assert len(choices) == len(set(choices))
        lengths = {}
        for side in ("a", "b"):
            await tab.click(f"#play-{side}")
            await tab.until("document.querySelector('#compare-note').textContent.endsWith(', speaks.')")
            lengths[side] = await tab.until("parley.voices.player.duration")
        assert all(seconds > 2 for seconds in lengths.values()), "each says the whole sentence"
        chosen = await tab.js("document.querySelector('#voice-b').value")
        assert chosen != await tab.js("document.querySelector('#voice-a').value")
        await tab.click("#use-b")
        await tab.click("#voices-close")
        await tab.click("#message")
        await tab.type("Hello.")
        await tab.press("Enter")
        await tab.until(f"document.querySelector('#link-text').textContent.endsWith(', voice {chosen}')")
        await tab.until("document.querySelector('.entry.assistant')")
        assert tab.told("session.updated")[-1]["session"]["audio"]["output"]["voice"] == chosen
        assert tab.told("error") == []
        assert tab.errors == []


async def test_an_empty_text_is_asked_for_and_a_refusal_is_shown(server: Server, tmp_path: Path) -> None:
    async with page(server.url, tmp_path) as tab:
        await tab.until("parley.settings.pipelines.length > 0")
        for selector in OPEN:
            await tab.click(selector)
        await tab.js("document.querySelector('#sample').value = '  '")
        await tab.click("#play-a")
        assert await tab.text("#compare-note") == "Write what they are to say."
        await tab.js("document.querySelector('#sample').value = 'Hello.'; parley.voices.pipeline = {name: 'nowhere'}")
        await tab.click("#play-a")
        await tab.until("document.querySelector('#compare-note').textContent.includes('nowhere')")
