"""The interpreter view over WebRTC: hearing, muting, stopping, and a call that broke; the WebSocket where no call can be made."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.web.browser import PLAYED, page, sounding
from tests.web.server import Server
from tests.web.test_calls import NO_UDP
from tests.web.test_interpreting import LAGS, PHASE, PIPELINES, ROWS, interpreting, start_and_hear

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

LISTEN = """(() => {
  globalThis.recorded = [];
  parley.interpreter.session.voice.addEventListener("started", () => {
    if (globalThis.tap) return;
    globalThis.tap = import("/assets/js/sound.js").then(({ measured }) =>
      measured(parley.interpreter.session.voice.element.srcObject, ({ pcm }) => recorded.push(pcm)));
  });
})()"""
"""Keeps what the call brings, from the first clause on."""


@pytest.fixture(scope="module")
def translating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("translating")
    (folder / "parley.toml").write_text(PIPELINES)
    running = Server(cwd=folder)
    yield running
    running.end()


async def test_what_is_said_is_translated_shown_and_heard_in_a_call(
    translating: Server, microphone: Microphone
) -> None:
    mic = microphone(0.2, "hello_world", 1.0, "weather_question", 60.0)  # spoken while the call is still being made
    async with page(translating.url, mic, connection="automatic") as tab:
        await interpreting(tab)
        await tab.js(LAGS)
        await tab.js(LISTEN)
        await tab.click("#interpreter-heart")
        await tab.until("document.querySelector('#lag').dataset.playing === 'true'")
        assert await tab.js("parley.interpreter.session.byCall && parley.interpreter.session.link.socket === null")
        await tab.until(f"{ROWS}.length === 2")
        await tab.click("#interpreter-heart")
        await tab.until(f"{PHASE} === 'finished'")

        rows = await tab.js(ROWS)
        assert [row["state"] for row in rows] == ["heard", "heard"]
        assert "weather" in rows[1]["source"]
        assert rows[1]["text"] == re.sub(r"\w+", lambda word: word.group()[::-1], rows[1]["source"])
        for side in ("source", "text"):
            shown = await tab.js(
                f"[...document.querySelectorAll('.pair .{side.replace('text', 'target')} .text')].map((at) => at.textContent)"
            )
            assert shown == [row[side] for row in rows], "and is on the page"
        assert await tab.js("document.querySelector('.pair .ahead')?.textContent") == ""
        assert tab.told("session.output_audio.delta") == [], "the translation comes as media"
        assert len(sounding(np.frombuffer(base64.b64decode(await tab.js(PLAYED)), "<i2"))) > 12_000

        playing = tab.told("parley.translation.playing")
        ends = [record["end_ms"] for record in tab.told("parley.translation.clause")]
        assert [event["end_ms"] for event in playing if event["end_ms"] is not None] == ends
        lag_ms, input_ms = (await tab.js("lags"))[0]
        assert input_ms == playing[0]["input_ms"]
        assert input_ms - ends[0] <= lag_ms
        assert await tab.js("parley.interpreter.session.lag.quantile(0.5)") > 0
        assert tab.received[-1]["type"] == "session.closed"
        assert len(tab.asked("session.close")) == 1
        assert not await tab.js("parley.interpreter.microphone.open")
        await tab.until("parley.interpreter.session.link.state.name === 'closed'")
        assert await tab.js("document.querySelector('#interpreter-way').hidden")
        assert tab.told("error") == []
        assert tab.errors == []


async def test_a_muted_microphone_is_silent_in_a_call_and_a_call_that_broke_is_gone_on_with(
    translating: Server, microphone: Microphone
) -> None:
    async with page(translating.url, microphone(0.2, "hello_world", 60.0), connection="webrtc") as tab:
        await interpreting(tab)
        await tab.press(" ")
        await tab.until(f"{PHASE} === 'open'")
        await tab.until("parley.interpreter.session.link.call.track?.enabled")
        await tab.press("m")
        assert not await tab.js("parley.interpreter.session.link.call.track.enabled")
        await tab.press("m")
        assert await tab.js("parley.interpreter.session.link.call.track.enabled")
        await tab.until(f"{ROWS}.length === 1")

        await tab.js("parley.interpreter.session.link.call.channel.close()")
        await tab.until("document.querySelector('#interpreter-alert').innerText.includes('cannot be resumed')")
        assert await tab.text("#interpreter-state") == "Interrupted"
        assert await tab.js("parley.interpreter.session.voice.element.srcObject") is None
        await tab.click("#interpreter-alert button")
        await tab.until(f"{PHASE} === 'open' && parley.interpreter.session.byCall")
        assert await tab.js(f"{ROWS}.map((row) => row.text).at(-1)") == "The session broke off here."
        await tab.click("#interpreter-heart")
        await tab.until(f"{PHASE} === 'finished'")
        assert tab.told("error") == []
        assert tab.errors == []


async def test_pressing_again_while_it_finishes_is_silence_at_once(translating: Server, microphone: Microphone) -> None:
    async with page(translating.url, microphone(0.2, "hello_world", 60.0), connection="webrtc") as tab:
        await interpreting(tab)
        await tab.click("#interpreter-heart")
        await tab.until("parley.interpreter.session.audible")
        await tab.click("#interpreter-heart")
        assert await tab.js(PHASE) == "finishing"
        await tab.click("#interpreter-heart")
        assert await tab.js(PHASE) == "finished"
        assert await tab.js("parley.interpreter.session.voice.element.srcObject") is None
        assert await tab.js("parley.interpreter.session.link.call") is None
        assert tab.errors == []


async def test_where_no_call_can_be_made_the_interpreter_takes_the_websocket_and_says_so(
    translating: Server, microphone: Microphone
) -> None:
    mic = microphone(0.2, "hello_world", 60.0)
    async with page(translating.url, mic, connection="automatic", before=NO_UDP) as tab:
        await start_and_hear(tab)
        assert await tab.js("parley.interpreter.session.link.call === null && !parley.interpreter.session.byCall")
        said = await tab.text("#interpreter-way")
        assert said.startswith("Connected over a WebSocket, because no WebRTC call could be made. ")
        assert "UDP may be blocked." in said
        assert "The WebSocket is used." in await tab.js("document.querySelector('#connection-note').textContent")
        assert tab.told("session.output_audio.delta")
        await tab.js("parley.settings.open()")
        await tab.js("document.querySelector('#connection').value = 'websocket'")
        await tab.js("document.querySelector('#connection').dispatchEvent(new Event('change'))")
        assert await tab.js(PHASE) == "open", "the session goes on"
        assert await tab.js("document.querySelector('#interpreter-way').hidden")
        assert tab.told("error") == []
        assert tab.errors == []
