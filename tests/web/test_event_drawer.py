"""The drawer of raw events: all that went over the link, in order, folded, filtered, masked, bounded, and taken away."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.web.browser import Tab, page
from tests.web.quick import line
from tests.web.server import Server
from tests.web.test_small_screens import fits, sized
from tests.web.test_taking_away import downloaded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

STREAMS = (".delta", ".append", ".unstable")
LOG = "parley.events.log"
LINES = (
    f"{LOG}.lines.map(({{ direction, type, note, at, count, session, kept, sound }}) => "
    "({ direction, type, note, at: at - session.startedAt, count, kept: kept.length, sound }))"
)
SHOWN = """[...document.querySelectorAll("#events-list > .event")].map((row) => ({
  type: row.querySelector(".type").textContent.replaceAll("\\u200B", ""), way: row.dataset.direction,
  about: row.querySelector(".about").textContent }))"""
LAST = "document.querySelector('#events-list > .event:last-child')"


async def answered(tab: Tab, text: str) -> None:
    await tab.js(f"parley.say({text!r})", gesture=True)
    await tab.until("parley.talk.phase === 'idle' && document.querySelector('details.figures')")


async def receive(tab: Tab, event: dict[str, Any]) -> None:
    """As if the server had sent it."""
    await tab.js(f"parley.talk.link.receive({json.dumps(json.dumps(event, ensure_ascii=False))})")


async def drawn(tab: Tab) -> None:
    await tab.until("parley.events.timer === null")


async def opened(tab: Tab) -> None:
    await tab.js("parley.events.dialog.open || parley.events.open()")
    await tab.js(
        "document.querySelector('[name=events-way]').click(); document.querySelector('#events-filter').value = ''; "
        "parley.events.clear()"
    )


async def shown(tab: Tab) -> list[dict[str, str]]:
    await drawn(tab)
    lines: list[dict[str, str]] = await tab.js(SHOWN)
    return lines


async def sieve(tab: Tab, words: str, way: str = "") -> list[str]:
    """The types of the lines that pass."""
    await tab.js(f"document.querySelector('[name=events-way][value={way}]').click()" if way else "0")
    await tab.js(
        f"(() => {{ const field = document.querySelector('#events-filter'); field.value = {words!r}; "
        "field.dispatchEvent(new Event('input')) })()"
    )
    return [line["type"].strip() for line in await shown(tab)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talked(quick: Server) -> AsyncIterator[Tab]:
    """A page on which something was said already."""
    async with page(quick.url) as tab:
        await answered(tab, "Please get the time for me.")
        await tab.media(prefers_reduced_motion="reduce")
        yield tab


@pytest.mark.parametrize("connection", ["websocket", "webrtc"])
async def test_everything_that_went_over_the_link_is_there_in_order(quick: Server, connection: str) -> None:
    if connection == "webrtc":
        pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")
    async with page(quick.url, connection=connection) as tab:
        await answered(tab, "Please get the time for me.")
        assert await tab.js("parley.events.rows.size") == 0, "closed, it draws nothing"
        await tab.js("document.activeElement.blur()")
        await tab.press("e")
        await tab.until("document.querySelector('#events').open")
        for way, traffic in (("sent", tab.sent), ("received", tab.received)):
            lines = [one for one in await tab.js(LINES) if one.get("direction") == way]
            seen = [line["type"] for line in lines if not line["type"].endswith(STREAMS)]
            assert seen == [event["type"] for event in traffic if not event["type"].endswith(STREAMS)]
            folded: Counter[str] = Counter()
            for line in lines:
                folded[line["type"]] += line["count"]
            assert folded == Counter(event["type"] for event in traffic)
        lines = await tab.js(LINES)
        assert "WebRTC" in lines[0]["note"] if connection == "webrtc" else "WebSocket" in lines[0]["note"]
        times = [line["at"] for line in lines]
        assert times == sorted(times)
        assert times[0] == 0, "counted from the session's start"
        rows = await shown(tab)
        assert [row["way"] for row in rows] == [line["direction"] for line in lines if "direction" in line]
        if connection == "websocket":
            sound = next(line for line in lines if line.get("type") == "response.output_audio.delta")
            assert sound["kept"] == 2, "of sound the first and the last"
            assert sum(line["sound"]["bytes"] for line in lines if line.get("sound")) == len(tab.received_audio)
        kept = await tab.js(f"{LOG}.lines.flatMap(({{ kept }}) => kept.map(({{ text }}) => text)).join('')")
        for event in tab.received:
            if event["type"] == "response.output_audio.delta":
                assert event["delta"] not in kept
        assert tab.errors == []


async def test_lines_are_filtered_by_type_id_and_direction(talked: Tab) -> None:
    await opened(talked)
    for number in range(3):
        await receive(talked, {"type": "parley.one.delta", "item_id": "item_a", "delta": f"w{number} "})
    await receive(talked, {"type": "parley.two", "item_id": "item_b"})
    await talked.js("parley.talk.send('conversation.item.retrieve', { item_id: 'item_b' })")
    await talked.until(f"{LOG}.lines.at(-1).type === 'error'")
    every = ["parley.one.delta × 3", "parley.two", "conversation.item.retrieve", "error"]
    assert await sieve(talked, "") == every
    assert (await shown(talked))[0]["about"] == "“w0 w1 w2” · item_a"
    assert await sieve(talked, "parley") == every[:2]
    assert await sieve(talked, "ITEM_B") == every[1:3]
    assert await sieve(talked, "parley -delta") == every[1:2]
    assert await sieve(talked, "", "sent") == every[2:3]
    assert await sieve(talked, "nowhere", "received") == []
    assert "No event passes" in await talked.text("#events-none")
    assert await sieve(talked, "", "received") == [every[0], every[1], every[3]]
    assert await talked.js(f"{LAST}.dataset.grave") == "true", "an error stands out"
    assert "1 error" in await talked.text("#events-count")


async def test_it_is_paused_and_goes_on_and_is_cleared(talked: Tab) -> None:
    await opened(talked)
    await receive(talked, {"type": "parley.before"})
    await shown(talked)
    await talked.click("#events-pause")
    await receive(talked, {"type": "parley.after"})
    assert [line["type"].strip() for line in await shown(talked)] == ["parley.before"]
    assert "paused, 1 newer" in await talked.text("#events-count")
    assert await sieve(talked, "parley") == ["parley.before"], "a filter does not let it go on"
    assert await sieve(talked, "") == ["parley.before"]
    await talked.click("#events-pause")
    assert [line["type"].strip() for line in await shown(talked)] == ["parley.before", "parley.after"]
    await talked.click("#events-clear")
    assert await shown(talked) == []
    assert await talked.text("#events-count") == "0 events"


async def test_an_event_opens_is_copied_and_all_are_downloaded(talked: Tab, quick: Server, tmp_path: Path) -> None:
    await opened(talked)
    event = {"type": "parley.shape", "list": [1, True, None], "text": "größer 🦜"}
    await receive(talked, event)
    for payload in ("AAAA" * 480, "AAA="):
        await receive(talked, {"type": "response.audio.delta", "item_id": "item_s", "delta": payload})
    await shown(talked)
    rows = "document.querySelectorAll('#events-list > .event')"
    await talked.js(f"{rows}[0].querySelector('summary').click()")
    await talked.until(f"{rows}[0].querySelector('.raw pre')")
    assert json.loads(await talked.js(f"{rows}[0].querySelector('pre').textContent")) == event
    await talked.call(
        "Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"], origin=quick.url
    )
    await talked.call("Emulation.setFocusEmulationEnabled", enabled=True)
    await talked.js(f"{rows}[0].querySelector('.raw button').click()", gesture=True)
    await talked.until(f"{rows}[0].querySelector('.raw button').dataset.done === 'true'")
    assert json.loads(await talked.js("navigator.clipboard.readText()")) == event

    await talked.js('parley.interpreter.session.link.receive(\'{"type": "session.closed"}\')')
    file = await downloaded(talked, tmp_path / "downloads", "#events-save")
    head, shape, sound, closed = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert file.suffix == ".jsonl"
    assert (head["format"], head["version"], head["dropped"]) == ("parley.events", 1, 0)
    assert shape["event"] == event
    assert (shape["direction"], shape["link"], shape["session"]) == ("received", "conversation", 1)
    assert (sound["count"], sound["sound_bytes"], sound["sound_ms"]) == (2, 1442, 30)
    assert sound["event"]["delta"] == "[sound: 1,440 bytes, 30 ms]"
    assert (closed["link"], closed["event"]) == ("interpreter", {"type": "session.closed"})
    assert talked.errors == []


async def test_what_is_shown_copied_and_saved_has_no_secrets(talked: Tab, tmp_path: Path) -> None:
    await opened(talked)
    await talked.js("sessionStorage.setItem('parley.tool-servers', '{\"shelf\": \"open-sesame\"}')")
    tool = {
        "type": "mcp",
        "server_label": "shelf",
        "server_url": "https://me:pass@tools.example/mcp?api_key=hush-hush",
        "authorization": "open-sesame",
        "headers": {"X-Any": "under-headers"},
    }
    await receive(
        talked,
        {
            "type": "parley.session",
            "session": {"tools": [tool], "client_secret": {"value": "ek_0123456789", "expires_at": 5}},
            "error": {
                "message": "The server answered 401 to Bearer abcdefghi with open-sesame and sk-parley-12345678."
            },
            "usage": {"total_tokens": 12, "input_token_details": {"text_tokens": 3}},
            "logprobs": [{"token": "Hello", "logprob": -0.1}],
        },
    )
    await shown(talked)
    await talked.js(f"{LAST}.querySelector('summary').click()")
    await talked.until(f"{LAST}.querySelector('pre')")
    seen = await talked.js(f"{LAST}.textContent")
    saved = (await downloaded(talked, tmp_path / "downloads", "#events-save")).read_text("utf-8")
    await talked.js("sessionStorage.removeItem('parley.tool-servers')")
    for text in (seen, saved):
        for secret in ("sesame", "pass@", "hush-hush", "under-headers", "ek_0", "abcdefghi", "12345678"):
            assert secret not in text
        assert "[masked]" in text
    event = json.loads(saved.splitlines()[-1])["event"]
    assert event["session"]["tools"][0]["server_url"] == "https://[masked]@tools.example/mcp?api_key=[masked]"
    assert event["usage"] == {"total_tokens": 12, "input_token_details": {"text_tokens": 3}}
    assert event["logprobs"][0]["token"] == "Hello"


async def test_markup_in_an_event_is_text(talked: Tab) -> None:
    await opened(talked)
    evil = "<img src=x onerror='globalThis.evil = 1'><b>bold</b>"
    await receive(talked, {"type": f"parley.{evil}", "item_id": evil, "delta": evil, evil: evil})
    await receive(talked, {"type": "error", "error": {"type": "server_error", "message": evil, "code": None}})
    await shown(talked)
    await talked.js("for (const one of document.querySelectorAll('#events-list summary')) one.click()")
    await talked.until("document.querySelectorAll('#events-list pre').length === 2")
    assert await talked.js("document.querySelectorAll('#events-list img').length") == 0
    assert await talked.js("globalThis.evil === undefined")
    assert evil in (await shown(talked))[0]["type"]


async def test_a_large_event_opens_at_once_and_the_rest_is_asked_for(talked: Tab) -> None:
    await opened(talked)
    await receive(talked, {"type": "parley.large", "text": "ä🦜" * 350_000})
    await shown(talked)
    await talked.js(f"{LAST}.querySelector('summary').click()")
    await talked.until(f"{LAST}.querySelector('.raw .plain')")
    assert await talked.js(f"{LAST}.querySelector('pre').textContent.length") < 5000
    assert "\ufffd" not in await talked.js(f"{LAST}.querySelector('pre').textContent")
    assert "characters" in await talked.js(f"{LAST}.querySelector('.raw .plain').textContent")
    await talked.js(f"{LAST}.querySelector('.raw .plain').click()")
    assert await talked.js(f"{LAST}.querySelector('pre').textContent.length") > 1_050_000
    # Larger than what is kept at all.
    await talked.js("parley.talk.link.receive(JSON.stringify({ type: 'parley.huge', text: 'x'.repeat(3e6) }))")
    assert await talked.js(f"{LOG}.lines.at(-1).kept[0].text.length") < 200
    await talked.js("parley.events.clear()")


async def test_the_newest_are_kept_and_it_says_how_many_are_gone(talked: Tab) -> None:
    await opened(talked)
    await talked.js(
        'for (let n = 0; n < 10000; n += 1) parley.talk.link.receive(`{"type":"parley.n${n % 2}","n":${n}}`)'
    )
    rows = await shown(talked)
    assert len(rows) == 200, "the newest, and the earlier ones when they are asked for"
    assert await talked.text("#events-count") == "2,000 events · 8,000 older dropped"
    texts = await talked.js(f"{LOG}.lines.map(({{ kept }}) => JSON.parse(kept[0].text).n)")
    assert texts == list(range(8000, 10000))
    await talked.js("document.querySelector('#events-earlier').click()")
    assert len(await shown(talked)) == 400
    top = "document.querySelectorAll('#events-list > .event')[200].querySelector('summary')"
    assert await talked.js(f"document.activeElement === {top}"), "the reader is where they were"
    await receive(talked, {"type": "parley.newest"})
    assert len(await shown(talked)) == 401, "and stays there"
    await talked.js("document.querySelector('#events-down').click()")
    await receive(talked, {"type": "parley.newest"})
    await talked.until("document.querySelectorAll('#events-list > .event').length === 200")
    # One run of deltas is bounded, too, and so are characters.
    await opened(talked)
    await talked.js(
        'for (let n = 0; n < 5000; n += 1) parley.talk.link.receive(`{"type":"parley.delta","delta":"${n} "}`)'
    )
    assert await talked.js(f"[{LOG}.lines.length, {LOG}.lines[0].count, {LOG}.dropped]") == [1, 2000, 3000]
    await talked.js(
        "for (let n = 0; n < 12; n += 1) parley.talk.link.receive(JSON.stringify({ type: 'parley.mb', text: 'x'.repeat(1e6) }))"
    )
    assert await talked.js(f"{LOG}.lines.length") == 7
    assert await talked.js(f"{LOG}.characters") <= 8_000_000
    await talked.js("parley.events.clear()")
    assert await talked.js(f"[{LOG}.kept, {LOG}.characters]") == [0, 0]


async def test_it_stands_beside_the_page_or_over_it(talked: Tab) -> None:
    await opened(talked)
    await talked.js("parley.events.dialog.close()")
    await receive(talked, {"type": "conversation.item.input_audio_transcription.delta", "item_id": "item_" + "x" * 60})
    for width, height in ((1280, 800), (820, 1180), (844, 390), (390, 844), (320, 568)):
        await sized(talked, width, height)
        await talked.js("parley.events.open()")
        await drawn(talked)
        over = width < 1000
        assert await talked.js("document.querySelector('#events').matches(':modal')") is over
        left = await talked.js("document.querySelector('#events').getBoundingClientRect().left")
        if over:
            assert left == 0
        else:
            right = "Math.max(...[...document.querySelectorAll('header.top *, main *')].map((one) => one.getBoundingClientRect().right))"
            assert await talked.js(right) <= left + 1, "nothing of the page is beneath it"
        await fits(talked, width)
        await talked.js("parley.events.dialog.close()")
    await sized(talked, 1280, 800)
    await talked.js("parley.events.open()")
    await sized(talked, 390, 844)
    assert await talked.js("document.querySelector('#events').matches(':modal')"), "the window became smaller"
    await sized(talked, 1280, 800)
    assert await talked.js("document.querySelector('#events:not(:modal)').open")
    await talked.js("parley.events.dialog.close()")


async def test_the_keyboard_goes_through_the_lines(talked: Tab) -> None:
    await opened(talked)
    for name in ("one", "two", "three"):
        await receive(talked, {"type": f"parley.{name}"})
    await shown(talked)
    await talked.js("parley.events.dialog.close()")
    await talked.js("document.querySelector('#events-open').focus()")
    await talked.press("Enter")
    await talked.until("document.activeElement.id === 'events-title'")
    assert await talked.js("document.querySelector('#events-open').ariaExpanded") == "true"
    summary = "[...document.querySelectorAll('#events-list summary')]"
    assert await talked.js(f"{summary}.map((one) => one.tabIndex).filter((index) => index === 0).length") == 1
    await talked.js(f"{summary}.at(-1).focus()")
    at = f"{summary}.indexOf(document.activeElement)"
    await talked.press("ArrowUp")
    assert await talked.js(at) == 1
    await talked.press("Home")
    assert await talked.js(at) == 0
    await talked.press("End")
    assert await talked.js(at) == 2
    await talked.press("Enter")
    await talked.until(f"{summary}[2].parentElement.open && document.querySelector('#events-list pre')")
    await talked.press("Escape")
    await talked.until("!document.querySelector('#events').open")
    assert await talked.js("document.activeElement.id") == "events-open", "the focus returns"
    await talked.js("document.activeElement.blur()")
    await talked.press("e")
    await talked.until("document.querySelector('#events').open")
    await talked.press("e")
    await talked.until("!document.querySelector('#events').open")
    await talked.press("n")
    assert await talked.js(f"{LOG}.lines.filter(({{ note }}) => note === undefined).length") == 0, "a new conversation"


async def test_it_survives_a_broken_link_and_marks_it(quick: Server) -> None:
    async with line(quick) as way, page(way.url) as tab:
        await answered(tab, "Hello")
        await tab.js("parley.events.open()")
        way.cut()
        await tab.until("document.querySelector('#events-list .mark[data-grave=true]')")
        await way.mend()
        await tab.until("parley.talk.askable")
        await drawn(tab)
        marks = await tab.js("[...document.querySelectorAll('#events-list .mark')].map((one) => one.textContent)")
        assert marks == [
            "Connected over the WebSocket",
            "The connection broke. The page tries again.",
            "Connected again over the WebSocket",
        ]
        lines = await tab.js(LINES)
        created = [one for one in lines if one.get("type") == "session.created"]
        assert len(created) == 2
        assert created[1]["at"] < created[0]["at"] + 60_000, "counted from its own session's start"
        assert await tab.js(f"{LOG}.lines.at(-1).session.number") == 2
        assert await tab.js("parley.events.end.following")
