"""What is on the page can be read and pressed: contrast in both schemes, targets for fingers, forced colours, and what pictures mean."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.web.browser import DRAWN, Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

FAINT = """(() => {
  const parsed = (colour) => {
    const numbers = colour.match(/[\\d.]+/g).map(Number);
    const [r, g, b, a = 1] = colour.startsWith("color(srgb") ? numbers.map((part, at) => (at < 3 ? 255 * part : part)) : numbers;
    return [r, g, b, a];
  };
  const over = (front, back) => { const a = front[3] + back[3] * (1 - front[3]);
    return a ? [0, 1, 2].map((at) => (front[at] * front[3] + back[at] * back[3] * (1 - front[3])) / a).concat(a) : [0, 0, 0, 0] };
  const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const chain = (one) => (one.matches("dialog, [popover], html") ? [one] : [one, ...chain(one.parentElement)]);
  const found = [];
  const place = document.querySelector("dialog:modal, :popover-open") ?? document.body;
  const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  for (let text; (text = walker.nextNode()); ) {
    const one = text.parentElement;
    const range = document.createRange();
    range.selectNodeContents(text);
    const style = getComputedStyle(one);
    if (!text.data.trim() || range.getBoundingClientRect().width === 0 || style.fontSize === "0px") continue;
    if (!one.checkVisibility({ checkOpacity: true }) || one.closest(".hidden, .skip, .more, option, :disabled")) continue;
    const grounds = [...chain(one), document.documentElement].map((at) => parsed(getComputedStyle(at).backgroundColor));
    const ground = grounds.reduce(over);
    const strength = chain(one).reduce((all, at) => all * getComputedStyle(at).opacity, 1);
    const [r, g, b, a] = parsed(style.color);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const contrast = ratio(over([r, g, b, a * strength], ground), ground);
    seen += 1;
    if (contrast < (large ? 3 : 4.5)) found.push(`${contrast.toFixed(2)} ${text.data.trim().slice(0, 40)}`);
  }
  return found;
})()"""
"""Text with less contrast than WCAG's AA, with what lies behind it and how opaque it is reckoned in."""

SMALL = """(() => {
  const place = document.querySelector("dialog:modal") ?? document.body;
  const hit = (one) => {
    if (one.matches("header nav a")) return one.parentElement;
    return one.matches("[type=radio], [type=checkbox]") ? one.closest("label") : one;
  };
  return [...place.querySelectorAll("button, select, input, textarea, summary, header nav a")]
    .filter((one) => one.checkVisibility()).map((one) => [one, hit(one).getBoundingClientRect()])
    .filter(([, { width, height }]) => Math.min(width, height) < 43.9)
    .map(([one, { width, height }]) => `${one.id || one.className || one.name} ${Math.round(width)} x ${Math.round(height)}`);
})()"""

ENTRIES = """(() => {
  const { transcript } = parley.talk;
  transcript.user("u1", { text: "These are words", unstable: " that may change" });
  transcript.add({ id: "t1", kind: "tool", callId: "t1", name: "roll_dice", args: "{}", output: '{"total": 3}', state: "done", ms: 4 });
  transcript.said("a1", "r1", "A reply that was **cut** off, with `code` and more words.");
  transcript.kept("a1", "A reply that was");
  transcript.failed("r2", "The reply broke off.", true);
  const failed = transcript.entries.get("failed_r2");
  transcript.changed(Object.assign(failed, { withdrawn: true, pieces: [{ text: "A reply that was asked again.", from: 0 }] }));
  transcript.user("u2", { text: "Not sent yet", partial: false, typed: true, sending: "waiting", retry: "send" });
  transcript.note("Now with another voice; the conversation goes on.");
})()"""

ROWS = """(() => {
  const { clauses } = parley.interpreter.session;
  const record = { from_language: "en", to_language: "pt", outcome: "translated", differences: [], end_ms: 1000 };
  clauses.clause({ ...record, source: "We begin with 3,450 patients.", text: "Começamos com 3 pacientes.", differences: ["3,450"] }, null);
  clauses.clause({ ...record, source: "Ward (12)?", text: "Ward (12)?", outcome: "shown", end_ms: 2000 }, null);
  clauses.said("And then", 3000);
  clauses.maySay(" we went");
})()"""

ALERT = (
    "parley.view.alerts.show('server', { title: 'The server does not answer', text: 'Start it with `parley serve`.', "
    "action: ['Try now', () => {}] })"
)

STATES = {
    "first visit": "",
    "conversation": ENTRIES,
    "alert": f"{ENTRIES}; {ALERT}",
    "settings": "parley.settings.open(); for (const one of document.querySelectorAll('#settings details')) one.open = true",
    "voices": "parley.voices.open({ ...parley.settings.pipeline, clones: true })",
    "shortcuts": "document.querySelector('#shortcuts-box').showModal()",
    "download": f"{ENTRIES}; document.querySelector('#take').click()",
    "key": "parley.keyBox.ask({ wrong: true })",
    "legend": "document.querySelector('#interpreter-legend').showPopover()",
    "interpreter": f"{ROWS}; {ALERT}",
}
INTERPRETER = ("legend", "interpreter")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(server: Server) -> AsyncIterator[Tab]:
    async with page(server.url) as tab:
        await tab.until("parley.settings.pipelines.length")
        await tab.js("globalThis.seen = 0")
        yield tab


@pytest_asyncio.fixture(loop_scope="module")
async def tab(opened: Tab) -> AsyncIterator[Tab]:
    """The page, as if nothing had been tried on it yet."""
    opened.errors.clear()
    yield opened
    await opened.media()
    await opened.call("Emulation.setTouchEmulationEnabled", enabled=False)
    await opened.js(
        """(() => {
          for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("given");
          document.querySelector(":popover-open")?.hidePopover();
          for (const { alerts } of [parley, parley.interpreter]) [...alerts.current.keys()].forEach((kind) => alerts.clear(kind));
          parley.actions.startAnew();
          parley.actions.hideUndo();
          parley.interpreter.clear();
          location.hash = "#conversation";
        })()"""
    )
    await opened.until("parley.view === parley")
    assert opened.errors == []


async def shown(tab: Tab, state: str, width: int, height: int) -> None:
    await tab.size(width, height)
    if state in INTERPRETER:
        await tab.js("location.hash = '#interpreter'")
        await tab.until("parley.view === parley.interpreter")
    await tab.js(f"(() => {{ {STATES[state]} }})()")
    await tab.js(DRAWN)


@pytest.mark.parametrize("state", STATES)
async def test_all_text_has_contrast_in_both_schemes(tab: Tab, state: str) -> None:
    await shown(tab, state, 1280, 800)
    for scheme in ("light", "dark"):
        await tab.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        before = await tab.js("seen")
        assert await tab.js(FAINT) == [], scheme
        assert await tab.js("seen") > before + 4, "something was looked at"


@pytest.mark.parametrize("state", STATES)
async def test_a_finger_hits_what_it_aims_at(tab: Tab, state: str) -> None:
    await tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    for width, height in ((320, 568), (844, 390)):
        await shown(tab, state, width, height)
        assert await tab.js(SMALL) == [], f"{width} x {height}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_forced_colours_leave_words_pictures_and_choices_to_be_seen(tab: Tab, scheme: str) -> None:
    await tab.media(forced_colors="active", prefers_color_scheme=scheme)
    await shown(tab, "alert", 390, 844)
    await tab.js(
        "parley.dial.setPhase('speaking'); parley.dial.sounded(0.4); parley.dial.draw(); parley.dial.setPhase('idle')"
    )
    for selector in ("#alert .actions button", ".send", ".switch input:checked + span"):
        colour, ground = await tab.js(
            f"(({{ color, backgroundColor }}) => [color, backgroundColor])(getComputedStyle(document.querySelector('{selector}')))"
        )
        assert colour != ground, selector
    outlines = await tab.js(
        "['.switch input:checked + span', '.views a[aria-current]', '.switch input:not(:checked) + span']"
        ".map((one) => getComputedStyle(document.querySelector(one)).outlineStyle)"
    )
    assert outlines == ["solid", "solid", "none"], "a choice is not told by its colour alone"


async def test_the_interpreters_ring_and_bar_are_explained(tab: Tab) -> None:
    await shown(tab, "interpreter", 390, 844)
    tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
    (ring,) = [node for node in tree if node.get("role", {}).get("value") in ("image", "img") and not node["ignored"]]
    assert "twenty seconds" in ring["name"]["value"]
    assert "outward: the speaker" in ring["description"]["value"]
    await tab.click("#interpreter-legend-open")
    await tab.until("document.querySelector('#interpreter-legend:popover-open')")
    assert "how far it is behind the speaker" in await tab.text("#interpreter-legend")
    await tab.press("Escape")
    await tab.until("!document.querySelector('#interpreter-legend:popover-open')")


async def test_nothing_leads_to_the_end_of_a_conversation_that_was_cleared(tab: Tab) -> None:
    await shown(tab, "conversation", 320, 568)
    await tab.js("for (let at = 0; at < 20; at += 1) parley.talk.transcript.note(`Line ${at}`)")
    await tab.js("document.querySelector('#scroll').scrollTop = 200")
    await tab.js("document.querySelector('#scroll').scrollTop = 0")
    await tab.until("!document.querySelector('#down').hidden")
    await tab.js("document.querySelector('#anew').click()")
    await tab.until("document.querySelector('#down').hidden")


async def test_the_question_for_a_key_says_each_time_how_to_get_one(tab: Tab) -> None:
    await tab.js("parley.keyBox.ask({ wrong: true })")
    assert "does not accept that key" in await tab.text("#key-why")
    await tab.js("parley.keyBox.dialog.close('given'); parley.keyBox.ask()")
    assert await tab.text("#key-why code") == "parley keys add NAME"


async def test_an_error_of_the_server_is_named_by_what_it_was_about(tab: Tab) -> None:
    for error, title in (
        ({"type": "invalid_request_error", "param": "session.audio.output.language"}, "A setting was refused"),
        ({"type": "invalid_request_error", "param": "item.content[0]"}, "A request was refused"),
        ({"type": "server_error", "param": None}, "An error in the server"),
    ):
        event = {"type": "error", "error": {**error, "message": "Because of that.", "event_id": None, "code": "x"}}
        await tab.js(f"parley.talk.take({json.dumps(event)})")
        told: dict[str, Any] = await tab.js("parley.alerts.current.get('fault')")
        assert (told["title"], told["text"]) == (title, "Because of that.")
