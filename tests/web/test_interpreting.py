"""The interpreter view: a real translation session, its columns, its lag, its end, and what stands in its way."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

PIPELINES = """
[pipelines.default]
stt = "pocketsphinx"
llm = "bench"
tts = "bench"
mt = "bench"

[pipelines.many]
stt = "pocketsphinx"
llm = "bench"
tts = "bench"
mt = "llm:bench"
mt_options = { guard = false }
"""
"""Reversed letters into one language, and one sentence for whatever is said into many."""

ROWS = "parley.interpreter.session.clauses.rows"
PHASE = "parley.interpreter.session.phase"
CHOOSE = (
    "(([id, value]) => {{ const select = document.getElementById(id); select.value = value; "
    "select.dispatchEvent(new Event('change')) }})({})"
)
LAGS = (
    "globalThis.lags = []; parley.interpreter.session.addEventListener('lag', ({ detail }) => "
    "lags.push([detail.lagMs, parley.interpreter.session.lag.sentSamples / 24]))"
)


@pytest.fixture(scope="module")
def translating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("translating")
    (folder / "parley.toml").write_text(PIPELINES)
    running = Server(cwd=folder)
    yield running
    running.end()


async def interpreting(tab: Tab, pipeline: str = "default", target: str = "x-bench") -> None:
    """Opens the view as a user does, and chooses."""
    await tab.until("parley.interpreter.pipelines")
    await tab.click("#to-interpreter")
    await tab.until("!document.querySelector('#interpreter').hidden && document.querySelector('#conversation').hidden")
    await tab.js(CHOOSE.format(json.dumps(["translator", pipeline])))
    await tab.js(CHOOSE.format(json.dumps(["target", target])))


async def start_and_hear(tab: Tab) -> None:
    await interpreting(tab)
    await tab.click("#interpreter-heart")
    await tab.until(f"{ROWS}.some((row) => row.state === 'heard')")


async def take(tab: Tab, event: dict[str, Any]) -> None:
    """An event of the server's, as the link hands it on."""
    await tab.js(
        f"parley.interpreter.session.link.dispatchEvent(new CustomEvent('event', {{ detail: {json.dumps(event)} }}))"
    )


def clause(source: str, text: str, **members: Any) -> dict[str, Any]:
    record = {"from_language": "en", "to_language": "pt", "outcome": "translated", "differences": [], "end_ms": 1000}
    return {"type": "parley.translation.clause", "source": source, "text": text, **record, **members}


async def test_what_is_said_is_shown_beside_its_translation_which_is_heard_to_its_end(
    translating: Server, microphone: Microphone
) -> None:
    mic = microphone(0.2, "hello_world", 1.0, "weather_question", 60.0)
    async with page(translating.url, mic) as tab:
        await interpreting(tab)
        await tab.js(LAGS)
        await tab.click("#interpreter-heart")
        await tab.until(
            "document.querySelector('#lag').dataset.playing === 'true' &&"
            " document.querySelector('#lag .behind').textContent.replace(/\\s+/g, ' ').includes('s behind the speaker')"
        )
        await tab.until(f"{ROWS}.length === 2")
        await tab.click("#interpreter-heart")
        await tab.until(f"{PHASE} === 'finished'")
        assert await tab.text("#interpreter-state") == "Finished"

        rows = await tab.js(ROWS)
        assert [row["state"] for row in rows] == ["heard", "heard"]
        assert sum(row["played"] for row in rows) == sum(row["received"] for row in rows) > 24_000, "all was played out"
        for side, kind in (("source", "input"), ("text", "output")):
            said = "".join(event["delta"] for event in tab.told(f"session.{kind}_transcript.delta"))
            assert " ".join(row[side] for row in rows).split() == said.split()
            shown = await tab.js(
                f"[...document.querySelectorAll('.pair .{side.replace('text', 'target')} .text')].map((at) => at.textContent)"
            )
            assert shown == [row[side] for row in rows], "and is on the page"
        assert "weather" in rows[1]["source"]
        assert rows[1]["text"] == re.sub(r"\w+", lambda word: word.group()[::-1], rows[1]["source"])

        (update,) = tab.asked("session.update")
        assert update["session"]["include"] == ["parley.clauses", "parley.unstable_words"]
        assert len(tab.asked("session.close")) == 1
        assert tab.received[-1]["type"] == "session.closed"
        first_ms = tab.told("session.output_audio.delta")[0]["elapsed_ms"]
        lag_ms, sent_ms = (await tab.js("lags"))[0]
        assert abs(lag_ms - (sent_ms - first_ms)) < 300, "but for the loudspeaker's own delay"
        median, most = await tab.js("[0.5, 0.9].map((share) => parley.interpreter.session.lag.quantile(share))")
        assert 0 < median <= most
        assert await tab.text("[data-lag=median]") == f"{median / 1000:.1f} s"
        assert not await tab.js("parley.interpreter.microphone.open")
        assert tab.told("error") == []
        assert tab.errors == []


async def test_the_language_is_changed_in_mid_session_and_a_lost_session_is_gone_on_with(
    translating: Server, microphone: Microphone
) -> None:
    async with page(translating.url, microphone(0.2, "hello_world", 2.0, "hello_world", 60.0)) as tab:
        await interpreting(tab, "many", "pt")
        await tab.press(" ")
        await tab.until(f"{ROWS}.length === 1")
        assert await tab.js("document.querySelector('#translator').disabled")
        await tab.js(CHOOSE.format(json.dumps(["target", "es"])))
        await tab.until(f"{ROWS}.length === 2")
        assert await tab.js(f"{ROWS}.map((row) => row.to)") == ["pt", "es"]
        assert await tab.js("[...document.querySelectorAll('.pair:not(.live) .target')].map((at) => at.lang)") == [
            "pt",
            "es",
        ]
        await tab.js("document.querySelector('#target').append(new Option('Unknown', 'xx'))")
        await tab.js(CHOOSE.format(json.dumps(["target", "xx"])))
        await tab.until("document.querySelector('#interpreter-alert').innerText.includes('A setting was refused')")
        assert await tab.js("document.querySelector('#target').value") == "es", "a refused language changes nothing"
        assert tab.asked("session.update")[-1]["session"]["audio"]["output"]["language"] == "xx"
        assert await tab.js("JSON.parse(localStorage.getItem('parley.preferences')).target") == "es"

        await tab.js("parley.interpreter.session.link.socket.close(4000)")
        await tab.until("document.querySelector('#interpreter-alert').innerText.includes('cannot be resumed')")
        assert await tab.text("#interpreter-state") == "Interrupted"
        await tab.click("#interpreter-alert button")
        await tab.until(f"{PHASE} === 'open'")
        assert await tab.js(f"{ROWS}.map((row) => row.text).at(-1)") == "The session broke off here."
        await tab.click("#to-conversation")
        await tab.until(f"{PHASE} === 'finished'")
        assert tab.errors == []


async def test_a_phone_shows_all_of_it_and_says_what_is_wrong_with_a_translation(translating: Server) -> None:
    async with page(f"{translating.url}/#interpreter", width=390) as tab:
        await tab.until("parley.interpreter.pipelines")
        long_words = "um Dr. Donaudampfschiffahrtsgesellschaft sees 3,450 <b>patients</b>"
        await take(tab, {"type": "session.input_transcript.delta", "delta": long_words, "elapsed_ms": 800})
        await take(tab, clause(long_words.removeprefix("um "), "O Dr. vê <b>3</b> pacientes", differences=["3,450"]))
        await take(tab, clause("Ward (12)?", "Ward (12)?", outcome="shown", end_ms=2000))
        await take(tab, {"type": "session.input_transcript.delta", "delta": " And then", "elapsed_ms": 2000})
        silence = {"type": "session.output_audio.delta", "delta": "AAAA"}
        await take(tab, {**silence, "elapsed_ms": None})
        assert await tab.js("parley.interpreter.session.lag.spans.size") == 0, "the speaker's own voice has no lag"
        await take(tab, {**silence, "elapsed_ms": 2000})
        assert await tab.js("parley.interpreter.session.lag.spans.size") == 1
        rows = await tab.js("[...document.querySelectorAll('.pair:not(.live)')].map((row) => row.dataset.outcome)")
        assert rows == ["skipped", "translated", "shown"], "what was passed over is shown as well"
        assert "lacks “3,450”" in await tab.text(".pairs .pair:nth-child(2) .remark")
        assert "Not translated into Portuguese" in await tab.text(".pairs .pair:nth-child(3) .remark")
        assert "lacks “3,450”" in await tab.js("document.querySelector('#said').textContent")
        assert await tab.text(".pair.live .source .text") == "And then"
        unstable = {"type": "parley.input_transcript.unstable", "elapsed_ms": 2000}
        await take(tab, {**unstable, "text": " we <i>well"})
        assert await tab.text(".pair.live .source .text") == "And then we <i>well"
        assert (await tab.text(".pair.live .source .unstable")).strip() == "we <i>well"
        await take(tab, {"type": "session.input_transcript.delta", "delta": " we went", "elapsed_ms": 2000})
        assert await tab.text(".pair.live .source .text") == "And then we went"
        assert "<b>" in await tab.text(".pairs .pair:nth-child(2) .target")
        for width, height in ((320, 844), (667, 375), (820, 844), (390, 844)):
            await tab.size(width, height)
            assert await tab.js("[document.documentElement.scrollWidth, innerWidth]") == [width, width]
            outside = await tab.js(
                "[...document.querySelectorAll('#interpreter *, header *')].filter((at) => at.getClientRects().length > 0 && "
                "!at.closest('.hidden, .more') && (at.getBoundingClientRect().right > innerWidth + 1 || "
                "at.getBoundingClientRect().left < -1))"
                ".map((at) => at.outerHTML)"
            )
            assert outside == []
            for selector in ("#interpreter-heart", "#target", "#lag"):
                top, bottom = await tab.js(
                    f"(({{ top, bottom }}) => [top, bottom])(document.querySelector('{selector}').getBoundingClientRect())"
                )
                assert 0 <= top < bottom <= height, f"{selector} is on the screen"
        tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        nodes = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]}
        assert not [node for node in nodes if node[0] in ("button", "combobox", "link") and not node[1]]
        assert {
            ("combobox", "Translate into"),
            ("link", "Interpreter"),
            ("button", "Save both columns as a text file"),
        } <= nodes
        assert tab.errors == []


async def test_a_blocked_microphone_opens_no_session(translating: Server) -> None:
    async with page(f"{translating.url}/#interpreter", allow=False) as tab:
        await tab.call(
            "Browser.setPermission", permission={"name": "microphone"}, setting="denied", origin=translating.url
        )
        await tab.until("parley.interpreter.pipelines")
        await tab.click("#interpreter-heart")
        await tab.until("document.querySelector('#interpreter-alert').innerText.includes('microphone is blocked')")
        assert "Typing" not in await tab.text("#interpreter-alert")
        assert await tab.js(PHASE) == "idle"
        assert tab.errors == []


async def test_a_server_that_stops_finishes_the_session_and_the_page_says_so(
    translating: Server, microphone: Microphone
) -> None:
    """The last test here: it ends the server."""
    async with page(f"{translating.url}/#interpreter", microphone(0.2, "hello_world", 60.0)) as tab:
        await tab.until("parley.interpreter.pipelines")
        await tab.click("#interpreter-heart")
        await tab.until("parley.interpreter.session.lag.sentSamples > 24000 * 1.2")
        await asyncio.to_thread(translating.end)
        await tab.until(f"{PHASE} === 'finished'")
        rows = await tab.js(ROWS)
        assert [row["kind"] for row in rows] == ["clause", "note"]
        assert rows[0]["played"] == rows[0]["received"] > 0
        assert await tab.text(".entry.note") == "The server ended the session here."
        assert await tab.text("#interpreter-alert strong") in ("", "Wear headphones"), "nothing stands in the way"
        assert not await tab.js("parley.interpreter.microphone.open")
