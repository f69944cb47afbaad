"""Phones, upright and on their side, large text, and the keyboard on the screen: the conversation has room at every size."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.web.browser import DRAWN, Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

SIZES = [
    (320, 568),
    (360, 640),
    (390, 844),
    (390, 400),
    (568, 320),
    (667, 200),
    (844, 390),
    (820, 1180),
    (1024, 640),
    (1280, 800),
]
ROOM = {(320, 568): 270, (360, 640): 330, (390, 844): 410, (568, 320): 180, (667, 200): 80, (844, 390): 240}
"""What was said has so much of the height at least; 150 elsewhere."""

ALERTED = [size for size in SIZES if size != (667, 200)]
"""Above a keyboard on a phone's side, an alert has all the room until it is dismissed."""

LARGE = [(320, 568), (390, 844), (844, 390), (1280, 800)]
"""Also with text of twice the size."""

LONG = "What can you do? Please help me. " * 3
ALERT = {
    "title": "The server does not answer",
    "text": "Start it with `parley serve`, or check that this device is online.",
}
SHOW = f"parley.view.alerts.show('server', {{ ...{json.dumps(ALERT)}, action: ['Try now', () => {{}}], until: 1e9 }})"

OUTSIDE = """(() => {
  const clipped = (one) => { for (let at = one; at; at = at.parentElement) { const style = getComputedStyle(at);
    if (style.clipPath !== "none" || at.classList.contains("skip")) return true } return false };
  const shown = (one) => one.getClientRects().length > 0 && one.checkVisibility() && !clipped(one);
  const out = (one) => { const { left, right } = one.getBoundingClientRect(); return right > WIDTH + 1 || left < -1 };
  return [...document.querySelectorAll("header.top *, main *, dialog[open] *")].filter((one) => shown(one) && out(one))
    .map((one) => one.outerHTML.slice(0, 120));
})()"""

PLACES = """(() => {
  const box = (selector) => { const { left, top, right, bottom } = document.querySelector(selector).getBoundingClientRect();
    return { left, top, right, bottom, width: right - left, height: bottom - top } };
  return Object.fromEntries(Object.entries(WANTED).map(([name, selector]) => [name, box(selector)]));
})()"""

CONVERSATION = {
    "header": ".top",
    "dial": "#dial",
    "heart": "#heart",
    "alert": "#alert",
    "scroll": "#scroll",
    "message": "#message",
    "stage": "#conversation .stage",
}
INTERPRETER = {
    "header": ".top",
    "dial": "#interpreter-dial",
    "heart": "#interpreter-heart",
    "alert": "#interpreter-alert",
    "scroll": "#pairs-scroll",
    "stage": "#interpreter .stage",
}


async def sized(tab: Tab, width: int, height: int, *, text: int = 100) -> None:
    """A screen of this size, laid out; `text` in per cent."""
    await tab.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 1000
    )
    await tab.js(f"document.documentElement.style.fontSize = '{text}%'")
    await drawn(tab)


async def drawn(tab: Tab) -> None:
    """Two frames later: observers of sizes have had their say."""
    await tab.js(DRAWN)


async def alerted(tab: Tab) -> None:
    await tab.js(SHOW)
    await drawn(tab)


async def places(tab: Tab, wanted: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = await tab.js(PLACES.replace("WANTED", json.dumps(wanted)))
    return found


async def fits(tab: Tab, width: int) -> None:
    """Nothing is wider than the screen that was asked for: `innerWidth` grows with what is too wide."""
    assert await tab.js("document.documentElement.scrollWidth") <= width
    assert await tab.js("innerWidth") == width
    assert await tab.js(OUTSIDE.replace("WIDTH", str(width))) == []


def apart(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["right"] <= other["left"] + 1
        or other["right"] <= one["left"] + 1
        or one["bottom"] <= other["top"] + 1
        or other["bottom"] <= one["top"] + 1
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talked(server: Server) -> AsyncIterator[Tab]:
    """A page on which something was said already."""
    async with page(server.url) as tab:
        await tab.js("parley.say('Please get the time for me.')", gesture=True)
        await tab.until("parley.talk.phase === 'idle' && document.querySelector('details.figures')")
        await tab.js(f"parley.talk.transcript.user('long', {{ text: {LONG!r}, partial: false }})")
        await tab.js(
            f"parley.talk.transcript.said('reply', 'another', {LONG!r}); parley.talk.transcript.kept('reply', 'What')"
        )
        await tab.media(prefers_reduced_motion="reduce")
        yield tab


RESET = """(() => {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("given");
  for (const { alerts } of [parley, parley.interpreter]) [...alerts.current.keys()].forEach((kind) => alerts.clear(kind));
  document.activeElement.blur();
  location.hash = "#conversation";
})()"""


@pytest_asyncio.fixture(loop_scope="module")
async def tab(talked: Tab) -> Tab:
    """The page, as if nothing had been tried on it yet."""
    await talked.js(RESET)
    await talked.until("parley.view === parley")
    talked.errors.clear()
    return talked


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_nothing_is_wider_than_the_screen_and_the_conversation_has_room(
    tab: Tab, width: int, height: int
) -> None:
    await sized(tab, width, height)
    await fits(tab, width)
    before = await places(tab, CONVERSATION)
    assert before["scroll"]["height"] >= ROOM.get((width, height), 150)
    for name in ("heart", "message", "header"):
        assert 0 <= before[name]["top"] < before[name]["bottom"] <= height, f"{name} is on the screen"
    assert before["stage"]["bottom"] <= height + 1
    assert (
        await tab.js(
            "(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)(document.querySelector('.stage'))"
        )
        <= 1
    )


@pytest.mark.parametrize(("width", "height"), ALERTED)
async def test_an_alert_takes_its_room_from_neither_the_dial_nor_all_of_the_conversation(
    tab: Tab, width: int, height: int
) -> None:
    await sized(tab, width, height)
    before = await places(tab, CONVERSATION)
    await alerted(tab)
    await fits(tab, width)
    after = await places(tab, CONVERSATION)
    assert after["dial"] == before["dial"], "it stays where it is"
    assert after["alert"]["height"] > 0
    assert all(apart(after["alert"], after[name]) for name in ("scroll", "message", "heart", "header"))
    assert after["scroll"]["height"] >= 80
    last = await tab.js("document.querySelector('#entries').lastElementChild.getBoundingClientRect().bottom")
    assert last <= after["scroll"]["bottom"], "the end of the conversation is still in sight"
    await tab.click("#alert .dismiss")
    await drawn(tab)
    assert (await places(tab, CONVERSATION))["scroll"] == before["scroll"]


@pytest.mark.parametrize(("width", "height"), LARGE)
async def test_text_of_twice_the_size_leaves_room_for_the_conversation(tab: Tab, width: int, height: int) -> None:
    await sized(tab, width, height, text=200)
    await fits(tab, width)
    assert (await places(tab, CONVERSATION))["scroll"]["height"] >= 130
    await alerted(tab)
    await fits(tab, width)
    after = await places(tab, CONVERSATION)
    assert after["scroll"]["height"] >= 80
    assert after["stage"]["bottom"] <= height + 1
    assert all(apart(after["alert"], after[name]) for name in ("scroll", "message", "heart", "header"))
    await sized(tab, width, height)


@pytest.mark.parametrize(("width", "height"), ALERTED)
async def test_the_interpreter_fits_with_and_without_an_alert(tab: Tab, width: int, height: int) -> None:
    await sized(tab, width, height)
    await tab.js("location.hash = '#interpreter'")
    await tab.until("parley.view === parley.interpreter")
    await tab.js("document.querySelector('#pairs-actions').hidden = false")
    await fits(tab, width)
    before = await places(tab, INTERPRETER)
    await alerted(tab)
    await fits(tab, width)
    after = await places(tab, INTERPRETER)
    assert after["dial"] == before["dial"]
    assert after["scroll"]["height"] >= 60
    assert after["stage"]["bottom"] <= height + 1
    assert all(apart(after["alert"], after[name]) for name in ("scroll", "heart", "header"))


@pytest.mark.parametrize("sheet", ["settings", "voices", "shortcuts-box", "key-box"])
async def test_every_sheet_fits_on_the_smallest_phone(tab: Tab, sheet: str) -> None:
    await sized(tab, 320, 568)
    await tab.js(f"document.getElementById('{sheet}').showModal()")
    await fits(tab, 320)
    bottom = await tab.js(f"document.getElementById('{sheet}').getBoundingClientRect().bottom")
    assert bottom <= 568


STATUSES = ["Ready", "Not connected", "Reconnecting", "Waiting for the server", "Locked", "Connected"]


@pytest.mark.parametrize(("width", "height"), [(320, 568), (390, 844), (568, 320), (844, 390)])
async def test_the_header_has_two_rows_at_most_and_whole_words(tab: Tab, width: int, height: int) -> None:
    await sized(tab, width, height)
    assert await tab.js("document.querySelector('#anew').hidden") is False, "with all of its buttons"
    text, state, more = await tab.js("[parley.status.text, parley.status.state, parley.status.more]")
    for status in STATUSES:
        await tab.js(f"parley.linkText({status!r}, 'refused', ' to a server with quite a long name, voice alloy')")
        assert (await places(tab, {"header": ".top"}))["header"]["height"] <= 105, status
        await fits(tab, width)
        over = await tab.js(
            "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('#link'))"
        )
        assert over <= 0, status
        assert await tab.js("getComputedStyle(document.querySelector('#link-text')).textOverflow") == "clip"
        assert (await tab.text("#link")).startswith(status)
    tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
    names = " ".join(node.get("name", {}).get("value", "") for node in tree if not node["ignored"])
    assert "to a server with quite a long name, voice alloy" in names
    await tab.js(f"parley.linkText({text!r}, {state!r}, {more!r})")


async def reached(tab: Tab) -> list[str]:
    """What the keyboard comes to, in order, by id or by the view that it leads to."""
    await tab.js("document.activeElement.blur(); document.body.focus()")
    found: list[str] = []
    for _ in range(40):
        await tab.press("Tab")
        name = await tab.js("(({ activeElement: at }) => at === document.body ? '' : at.id || at.name)(document)")
        if name == "skip" and found:
            break
        if name:
            found.append(name)
    return found


@pytest.mark.parametrize(
    ("width", "height", "first"), [(390, 844, "scroll"), (844, 390, "heart"), (1280, 800, "heart")]
)
async def test_the_keyboard_goes_through_the_page_as_the_eye_does(
    tab: Tab, width: int, height: int, first: str
) -> None:
    await sized(tab, width, height)
    order = await reached(tab)
    others = {"scroll": "heart", "heart": "scroll"}
    assert order.index(first) < order.index(others[first])
    seen = await tab.js(
        f"{json.dumps([name for name in order if name not in ('skip', 'mode')])}.map((id) => document.getElementById(id)"
        ".getBoundingClientRect()).map(({ left, top }) => [left, top])"
    )
    header = [
        place
        for name, place in zip([n for n in order if n not in ("skip", "mode")], seen, strict=True)
        if place[1] < 100 and name.startswith(("to-", "anew", "theme", "help", "settings"))
    ]
    assert header == sorted(header, key=lambda place: (round(place[1] / 40), place[0]))


async def test_what_has_the_focus_keeps_it_when_the_phone_is_turned(tab: Tab) -> None:
    await sized(tab, 390, 844)
    await tab.js("document.querySelector('#message').focus(); document.querySelector('#message').value = 'half a'")
    await sized(tab, 844, 390)
    await tab.until("document.querySelector('#conversation').firstElementChild.classList.contains('stage')")
    assert await tab.js("document.activeElement.id") == "message"
    await tab.js("document.querySelector('#message').value = ''; document.activeElement.blur()")


async def test_what_one_touches_is_large_enough(tab: Tab) -> None:
    await sized(tab, 320, 568)
    small = await tab.js(
        "[...document.querySelectorAll('header button, #conversation button, #conversation input:not([type=radio])')]"
        ".filter((one) => one.getClientRects().length > 0).filter((one) => { const { width, height } = one.getBoundingClientRect(); "
        "return Math.min(width, height) < 40 && !one.matches('.down, .try') }).map((one) => one.id || one.className)"
    )
    assert small == []


async def test_every_icon_says_what_it_is(tab: Tab) -> None:
    silent = await tab.js(
        "[...document.querySelectorAll('button')].filter((one) => one.querySelector('svg'))"
        ".filter((one) => !one.title || !one.getAttribute('aria-label'))"
        ".map((one) => one.id || one.className)"
    )
    assert silent == []
