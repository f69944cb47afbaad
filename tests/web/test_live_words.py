"""What the user says is written down while they say it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.browser import page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SHOWN = """
globalThis.shown = [];
parley.talk.transcript.addEventListener("entry", ({ detail }) => detail.kind === "user" && shown.push({
  partial: detail.partial, text: detail.text, words: document.querySelector(".entry.user:last-child .words")?.innerText,
}));
"""


async def test_words_are_shown_before_the_turn_is_over(server: Server, microphone: Callable[..., Path]) -> None:
    async with page(server.url, microphone(1.0, "two_cities", 60.0)) as tab:
        await tab.js(SHOWN)
        await tab.click("#heart")
        await tab.until("document.querySelector('.entry.user[data-state=final] .words')?.innerText")
        shown = await tab.js("shown")
        live = [one["words"] for one in shown if one["partial"] and one["words"]]
        assert live[0] == "writing down", "nothing has been heard yet"
        words = [one for one in live if one != "writing down"]
        assert len(set(words)) >= 4, "they grow while one speaks"
        early = next(one for one in shown if one["partial"] and one["words"] not in ("", None, "writing down"))
        assert early["text"] == "", "before the recogniser has promised any of them"
        assert tab.told("error") == []
        assert tab.errors == []
