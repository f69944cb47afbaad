"""The dial: idle time is idle, what is drawn is explained and can be read, and one can stop listening and go on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import DRAWN, Tab
from tests.web.pipelines import talking_to
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

SLOTS = 240
LATER = "parley.dial.epoch -= {} * 20_000 / 240"
"""So many slots go by."""

OUTERMOST = 0.385 + 0.007 + 0.1
"""Where a full bar ends, of the dial's width."""


async def say(tab: Tab, text: str) -> None:
    """Types it, and waits until the reply is over."""
    before = await tab.js("document.querySelectorAll('.entry.assistant[data-state=done]').length")
    await tab.js(f"parley.say({text!r})", gesture=True)
    await tab.until(
        f"document.querySelectorAll('.entry.assistant[data-state=done]').length > {before} && parley.talk.phase === 'idle'"
    )


async def slots(tab: Tab) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = await tab.js(
        "Array.from({ length: 240 }, (_, age) => parley.dial.last - 239 + age).filter((index) => index >= 0)"
        ".map((index) => ({ index, ...parley.dial.slots[index % 240] }))"
    )
    return found


async def test_time_in_which_nothing_went_on_is_drawn_as_idle(server: Server) -> None:
    async with talking_to("beeps", server) as tab:
        await say(tab, "Thanks")
        last = await tab.js("parley.dial.last")
        await tab.js(LATER.format(150))
        await say(tab, "Thanks")
        between = [slot for slot in await slots(tab) if last < slot["index"] <= last + 150]
        assert len(between) > 50, "some of the pause is still to be seen"
        assert {slot["phase"] for slot in between} == {"idle"}
        assert {slot["input"] + slot["output"] for slot in between} == {0}
        after = {slot["phase"] for slot in await slots(tab) if slot["index"] > last + 150}
        assert {"thinking", "speaking"} <= after
        assert tab.errors == []


async def test_what_went_on_while_the_page_was_hidden_is_drawn_as_it_was(server: Server) -> None:
    async with talking_to("beeps", server) as tab:
        await tab.js("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
        await tab.js("globalThis.drawn = 0; parley.dial.advance = () => { drawn += 1 }")
        await say(tab, "Thanks")
        assert await tab.js("drawn") == 0, "nothing was drawn"
        runs = [(phase, list(run)) for phase, run in itertools.groupby(await slots(tab), lambda slot: slot["phase"])]
        assert [phase for phase, _ in runs if phase != "idle"] == ["thinking", "speaking"]
        spoken = next(run for phase, run in runs if phase == "speaking")
        loud = [slot for slot in spoken if slot["output"] > 0.045]
        assert len(loud) > len(spoken) / 3, "with its voice where it was heard, not all of it at the end"
        *waited, _ = next(run for phase, run in runs if phase == "thinking")  # In its last slot the reply may begin.
        assert all(slot["output"] == 0 for slot in waited)


async def test_a_pause_invents_nothing_and_a_new_conversation_begins_with_the_example(
    server: Server, microphone: Microphone
) -> None:
    async with talking_to("beeps", server, microphone(60.0)) as tab:
        assert not await tab.js("document.querySelector('#legend-open').checkVisibility()"), (
            "the legend is there by itself"
        )
        assert "This is an example" in await tab.text("#legend")
        assert await tab.js("parley.dial.labels().map(({ text }) => text)") == ["you", "wait", "Parley"]
        await tab.click("#heart")
        await tab.until("parley.talk.phase === 'listening'")
        await tab.js("parley.say('Thanks')", gesture=True)
        await tab.until("document.querySelector('details.figures') && parley.talk.phase === 'listening'")
        assert "the last twenty seconds" in await tab.js("document.querySelector('#legend').textContent")
        assert "example" not in await tab.js("document.querySelector('#ring').getAttribute('aria-label')")
        await tab.click("#pause")
        await tab.until("parley.talk.phase === 'idle'")
        last = await tab.js("parley.dial.last")
        await tab.js(LATER.format(60))
        await tab.js("dispatchEvent(new Event('theme'))")  # it is drawn anew
        assert await tab.js("parley.dial.last") == last, "it stands still"
        await tab.click("#heart")
        await tab.until("parley.talk.phase === 'listening'")
        paused = [slot for slot in await slots(tab) if last < slot["index"] <= last + 60]
        assert len(paused) == 60
        assert {(slot["phase"], slot["input"], slot["output"]) for slot in paused} == {("idle", 0, 0)}

        await tab.click("#pause")
        await tab.until("parley.talk.phase === 'idle'")
        assert await tab.text("#last b")
        await tab.js("document.querySelector('#anew').click()")
        await tab.until("!parley.dial.used")
        assert await tab.js("getComputedStyle(document.querySelector('#last')).display") == "none", "no old figures"
        assert await tab.js("parley.dial.slots.every((slot) => slot === null)")
        assert await tab.js("parley.dial.labels().map(({ text }) => text)") == ["you", "wait", "Parley"]
        assert "This is an example" in await tab.text("#legend")
        assert tab.errors == []


INK = """(() => {
  const { dial } = parley;
  const scale = dial.canvas.width / dial.canvas.clientWidth;
  const middle = dial.canvas.clientWidth / 2;
  return dial.labels().map((label) => {
    const [x, y] = [middle + label.x - label.width / 2, middle + label.y - label.height / 2];
    const { data } = dial.brush.getImageData(...[x, y, label.width, label.height].map((px) => px * scale));
    return { ...label, ink: Math.max(...data.filter((_, at) => at % 4 === 3)) / 255 };
  });
})()"""
"""The labels, and how strong the strongest of what is drawn there is."""


async def test_the_times_on_the_dial_are_beside_the_bars_and_stay_legible(server: Server) -> None:
    async with talking_to("beeps", server) as tab:
        await say(tab, "Thanks")
        for begins in range(0, SLOTS, 20):  # All around.
            await tab.js("parley.dial.clear()")
            await tab.js(
                f"(() => {{ const {{ dial }} = parley; dial.setPhase('thinking'); dial.epoch -= {begins} * 20_000 / 240; dial.reach(); "
                "dial.answered('r', 1234, performance.now()); dial.setPhase('idle') })()"
            )
            (label,) = await tab.js(INK)
            assert label["text"] == "1.23 s"
            size = await tab.js("parley.dial.size")
            nearest = math.hypot(
                max(0, abs(label["x"]) - label["width"] / 2), max(0, abs(label["y"]) - label["height"] / 2)
            )
            assert nearest >= OUTERMOST * size, f"at {begins}: no bar reaches it"
            await tab.js(
                "(() => { const { dial } = parley; dial.setPhase('thinking'); dial.epoch -= 200 * 20_000 / 240; dial.setPhase('idle') })()"
            )
            (old,) = await tab.js(INK)
            assert old["ink"] > 0.9, "legible as long as it is there"
        await tab.js(
            "(() => { const { dial } = parley; dial.setPhase('thinking'); dial.epoch -= 60 * 20_000 / 240; dial.setPhase('idle') })()"
        )
        assert await tab.js(INK) == [], "and gone after a round"
        assert tab.errors == []


async def test_the_legend_can_be_opened_on_a_phone_and_is_there_for_screen_readers(server: Server) -> None:
    phones = (320, 390)
    async with talking_to("beeps", server, width=phones[0]) as tab:
        tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        (ring,) = [
            node for node in tree if node.get("role", {}).get("value") in ("image", "img") and not node["ignored"]
        ]
        assert ring["name"]["value"] == "An example of twenty seconds of a conversation"
        for words in ("outward: your voice", "inward: Parley's voice", "the wait for the reply"):
            assert words in ring["description"]["value"]
        inside = (
            "(({ left, right, top, bottom }) => left >= 0 && right <= innerWidth && top >= 0 && bottom <= innerHeight)"
        )
        for width in phones:
            await tab.size(width, 844)
            assert await tab.text("#legend-open") == "Example"
            await tab.click("#legend-open")
            await tab.until("document.querySelector('#legend:popover-open')")
            assert "outward: your voice" in await tab.text("#legend")
            assert await tab.js(f"{inside}(document.querySelector('#legend').getBoundingClientRect())")
            await tab.press("Escape")
            await tab.until("!document.querySelector('#legend:popover-open')")
        await say(tab, "Thanks")
        figure = await tab.text("details.figures strong")
        for width in phones:
            await tab.size(width, 844)
            await tab.js(DRAWN)
            assert await tab.text("#legend-open") == figure, "where the ring has no room for times, here is the newest"
            assert await tab.js("parley.dial.labels()") == []
            assert await tab.js("document.querySelector('#legend-open').getAttribute('aria-label')") == (
                f"{figure}: what the ring shows"
            )
            await tab.click("#legend-open")
            await tab.until("document.querySelector('#legend:popover-open')")
            assert await tab.text("#legend-figure") == figure
            await tab.press("Escape")
            await tab.until("!document.querySelector('#legend:popover-open')")
        await tab.js("document.querySelector('#anew').click()")
        await tab.until("document.querySelector('#legend-open').innerText === 'Example'")
        assert tab.errors == []


async def test_what_stands_beside_the_dial_covers_nothing_and_is_large_enough(
    server: Server, microphone: Microphone
) -> None:
    sizes = [(320, 568), (390, 844), (844, 390), (1024, 640), (1280, 800)]
    async with talking_to("beeps", server, microphone(60.0), width=sizes[0][0]) as tab:
        await say(tab, "Thanks")
        await tab.click("#heart")
        await tab.until("!document.querySelector('#pause').hidden")
        for (width, height), selector in itertools.product(sizes, ("#pause", "#legend-open")):
            await tab.size(width, height)
            await tab.js(DRAWN)
            box = await tab.js(
                "(() => { const box = (found) => document.querySelector(found).getBoundingClientRect(); "
                "const dial = box('#dial'); "
                "const [x, y] = [dial.x + dial.width / 2, dial.y + dial.height / 2]; "
                f"const {{ left, right, top, bottom }} = box('{selector}'); "
                "return { left, right, top, bottom, width: right - left, height: bottom - top, size: dial.width, "
                "distance: Math.hypot(Math.max(left - x, 0, x - right), Math.max(top - y, 0, y - bottom)) } })()"
            )
            assert min(box["width"], box["height"]) >= 43.9, f"{selector} can be hit with a thumb"
            assert box["distance"] >= OUTERMOST * box["size"], f"{selector} lies beside the ring"
            assert 0 <= box["left"] < box["right"] <= width
            assert 0 <= box["top"] < box["bottom"] <= height
        assert tab.errors == []


async def test_one_can_stop_listening_and_resume_with_a_button_that_says_so(
    server: Server, microphone: Microphone
) -> None:
    async with talking_to("beeps", server, microphone(60.0)) as tab:
        assert await tab.text("#heart-state") == "Start"
        assert await tab.js("document.querySelector('#pause').hidden"), "there is nothing to pause"
        await tab.click("#heart")
        await tab.until("parley.talk.phase === 'listening'")
        assert await tab.text("#pause") == "Pause"
        assert "Connected" in await tab.text("#link")
        await tab.js("document.querySelector('#pause').focus()")
        await tab.press("Enter")
        await tab.until("document.querySelector('#heart-state').innerText === 'Resume'")
        assert await tab.js("parley.microphone.track === null"), "the browser shows that nothing is recorded"
        assert (await tab.text("#link")).startswith("Paused, connected to")
        assert await tab.text("#heart-hint") == "the microphone is off"
        assert await tab.js("document.activeElement.id") == "heart", "where one can go on"
        assert (await tab.js("document.activeElement.getAttribute('aria-label')")).startswith("Resume listening")
        await tab.press("Enter")
        await tab.until("parley.talk.phase === 'listening'")
        assert (await tab.text("#link")).startswith("Connected to")

        await tab.js("document.getElementsByName('mode')[1].click()")
        await tab.until("document.querySelector('#heart-state').innerText === 'Hold'")
        await tab.click("#pause")
        await tab.until("document.querySelector('#heart-state').innerText === 'Resume'")
        assert not await tab.js("parley.talk.listening"), "in this mode the dial itself cannot stop it"
        await say(tab, "Thanks")
        assert await tab.text("#heart-state") == "Resume"
        await tab.js("document.querySelector('#anew').click()")
        await tab.until("document.querySelector('#heart-state').innerText === 'Start'")
        assert tab.errors == []


async def test_the_dial_does_not_promise_what_cannot_be_done(server: Server) -> None:
    words = {
        "phase: 'idle'": ["Start", "and just speak"],
        "phase: 'idle', hold: true": ["Start", "then hold to talk"],
        "phase: 'idle', paused: true": ["Resume", "the microphone is off"],
        "phase: 'idle', paused: true, hold: true": ["Resume", "then hold to talk"],
        "phase: 'speaking'": ["Speaking", "press to talk"],
        "phase: 'speaking', listening: true": ["Speaking", "cut in any time"],
        "phase: 'speaking', listening: true, muted: true": ["Speaking", "unmute to be heard"],
        "phase: 'speaking', listening: true, hold: true": ["Speaking", "hold to cut in"],
        "phase: 'listening', listening: true, connected: true": ["Your turn", "just speak"],
        "phase: 'idle', listening: true": ["Waiting", "for the server"],
    }
    async with talking_to("beeps", server) as tab:
        for now, expected in words.items():
            said = await tab.js(f"import('/assets/js/states.js').then(({{ dialWords }}) => dialWords({{ {now} }}))")
            assert said == expected, now


async def test_an_entry_without_words_says_that_they_are_being_written_down(
    server: Server, microphone: Microphone
) -> None:
    async with talking_to("beeps", server, microphone(0.5, "weather_question", 60.0)) as tab:
        await tab.media(prefers_reduced_motion="reduce")
        await tab.js(
            "globalThis.seen = new Set(); new MutationObserver(() => { const words = document.querySelector('.entry.user .words'); "
            "if (words) seen.add(words.innerText + (words.querySelector('.writing') ? "
            "getComputedStyle(words.querySelector('.writing'), '::after').animationName : '')) })"
            ".observe(document.querySelector('#entries'), { childList: true, subtree: true })"
        )
        await tab.click("#heart")
        await tab.until("document.querySelector('.entry.user[data-state=final] .words')?.innerText.includes('weather')")
        seen = await tab.js("[...seen]")
        assert seen[0] == "writing downnone", "and nothing moves for those who asked for that"
        assert "writing" not in seen[-1]
        assert tab.errors == []
