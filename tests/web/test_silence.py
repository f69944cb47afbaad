"""What the page says of a microphone that gives no sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.browser import Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WATCH = """
globalThis.said = [];
globalThis.watching = import("/assets/js/silence-watch.js").then(({ SilenceWatch }) => {
  const onSilence = ({ heard }) => said.push(heard ? "again" : "never");
  globalThis.watch = new SilenceWatch({ onSilence, onSound: () => said.push("sound") });
  globalThis.feed = (seconds, level, muted = false) => {
    for (let frame = 0; frame < Math.round(seconds * 50); frame += 1) watch.hear({ level }, { muted });
    return said.splice(0);
  };
});
"""


async def feeds(tab: Tab, seconds: float, level: float = 0.0, *, muted: bool = False) -> list[str]:
    said: list[str] = await tab.js(f"feed({seconds}, {level}, {str(muted).lower()})")
    return said


async def test_silence_is_counted_from_what_was_heard_last(quick: Server) -> None:
    async with page(quick.url) as tab:
        await tab.js(f"(async () => {{ {WATCH} await watching; }})()")
        assert await feeds(tab, 3.9) == []
        assert await feeds(tab, 0.2) == ["never"]
        assert await feeds(tab, 100) == [], "it is said once"
        assert await feeds(tab, 1, 0.1) == ["sound"]
        for _ in range(5):
            assert await feeds(tab, 59) == []
            assert await feeds(tab, 0.02, 0.001) == []
        await tab.js("watch.reset()")
        assert await feeds(tab, 59) == [], "it was heard before the pause"
        assert await feeds(tab, 10, muted=True) == []
        assert await feeds(tab, 59) == [], "what is muted here is not complained of, and neither is the time before"
        assert await feeds(tab, 2) == ["again"]
        assert await feeds(tab, 0.02, muted=True) == ["sound"], "muting it settles the note"
        await tab.js("watch.change()")
        assert await feeds(tab, 5) == ["never"], "another microphone was never heard"


async def test_the_note_says_what_to_check(quick: Server, microphone: Callable[..., Path]) -> None:
    async with page(quick.url, microphone(1.0, "hello_world", 60.0)) as tab:
        await tab.click("#heart")
        await tab.until("parley.talk.listening && parley.visit.silence.heard")
        await tab.until("parley.visit.silence.frames > 10")
        assert await tab.js("document.querySelector('#alert').hidden")
        await tab.js("parley.visit.silence.frames = 60 * 50")
        await tab.until("document.querySelector('#alert').innerText.includes('Nothing heard for a minute')")
        text = await tab.text("#alert")
        assert "There was sound before" in text
        assert "Fake" in text, "it names the device"
        assert "switch or key" in text
        await tab.click("#pause")
        await tab.until("document.querySelector('#alert').hidden")
        assert tab.errors == []
