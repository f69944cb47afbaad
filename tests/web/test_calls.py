"""The page over WebRTC: talking, interrupting, being cut to what was heard, holding to talk; the WebSocket where no call can be made."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.web.browser import PLAYED, Tab, eventually, kept_and_struck, page, sounding
from tests.web.server import Server
from tests.web.test_interpreting import start_and_hear
from tests.web.test_talking import AGAIN, WEATHER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

LISTEN = """(() => {
  globalThis.recorded = [];
  parley.talk.voice.addEventListener("started", () => {
    if (globalThis.tap) return;
    globalThis.tap = import("/assets/js/sound.js").then(({ measured }) =>
      measured(parley.talk.voice.element.srcObject, ({ pcm }) => recorded.push(pcm)));
  });
})()"""
"""Keeps what the call brings, from the first reply on."""

DONE = "document.querySelector('.entry.assistant[data-state=done]')"


async def heard_s(tab: Tab) -> float:
    """Seconds of more than silence that the call has brought."""
    pcm = np.frombuffer(base64.b64decode(await tab.js(PLAYED)), "<i2")
    return len(sounding(pcm)) / 24_000


async def test_a_spoken_question_is_answered_in_a_call(server: Server, microphone: Microphone) -> None:
    mic = microphone(0.2, "weather_question", 60.0)  # spoken while the call is still being made
    async with page(server.url, mic, connection="automatic") as tab:
        await tab.js(LISTEN)
        await tab.click("#heart")
        said = await tab.until("document.querySelector('.entry.user[data-state=final] .words')?.innerText")
        assert {"what", "weather", "paris"} & set(said.lower().split()), "what was said before the call, too"
        await tab.until(DONE)
        await tab.until("parley.talk.phase === 'listening'")
        assert await tab.js("parley.talk.byCall && parley.talk.link.socket === null")
        assert said in await tab.text(".entry.assistant .words")
        assert await tab.js("document.querySelector('.entry.assistant .ahead')") is None
        assert tab.told("response.output_audio.delta") == [], "the reply comes as media"
        assert await heard_s(tab) > 1
        assert "as the server heard it" in await tab.text("#last caption")
        rows = await tab.js(
            "Object.fromEntries([...document.querySelectorAll('#last tr')].map((row) => [row.cells[0].innerText, row.cells[2].innerText]))"
        )
        pause_ms = float(rows["Sure you were done"].removesuffix(" ms"))
        assert 450 <= pause_ms <= 900
        assert "Reaching your ear" in rows
        assert await tab.js("document.querySelector('#way').hidden")
        assert tab.told("error") == []
        assert tab.errors == []


async def test_talking_over_a_call_silences_it_and_strikes_out_what_was_not_heard(
    server: Server, microphone: Microphone
) -> None:
    async with page(server.url, microphone("two_cities", 60.0), connection="automatic") as tab:
        await tab.until("document.querySelector('.try')")
        await tab.click(".try")
        await tab.until("parley.talk.phase === 'speaking'")
        await tab.click("#heart")  # the microphone begins to hear the recording
        await tab.until("document.querySelector('.entry.assistant[data-state=cut] del')")
        item = await kept_and_struck(tab)
        (cut, *_) = tab.told("conversation.item.truncated")
        assert cut["item_id"] == item["id"]
        assert cut["audio_end_ms"] > 0
        assert tab.asked("conversation.item.truncate") == [], "the server knows what it has played"
        assert [error["error"] for error in tab.told("error")] == []
        assert tab.errors == []


async def test_the_stop_button_ends_the_reply_in_a_call_and_a_call_that_breaks_is_made_again(server: Server) -> None:
    async with page(server.url, connection="automatic") as tab:
        await tab.until("document.querySelector('.try')")
        await tab.click(".try")
        await tab.until("parley.talk.phase === 'speaking'")
        await tab.click("#quiet")
        assert await tab.js("parley.talk.voice.element.muted"), "silence does not wait for the server"
        await eventually(lambda: bool(tab.told("output_audio_buffer.cleared")), "the server stops", tab)
        assert len(tab.asked("output_audio_buffer.clear")) == 1
        await eventually(lambda: bool(tab.told("conversation.item.truncated")), "the item is cut", tab)
        await tab.until("document.querySelector('.entry.assistant[data-state=cut] del')")
        await tab.until("parley.talk.phase !== 'speaking'")

        await tab.click("#message")
        await tab.type("Set the theme to dark, please.")
        await tab.press("Enter")
        await tab.until("document.querySelector('.entry.tool[data-state=done]')")
        await tab.until("parley.talk.phase === 'speaking' && !parley.talk.voice.element.muted")
        assert tab.told("error") == []

        first = await tab.js("parley.talk.session.id")
        await tab.js("parley.talk.link.call.channel.close()")
        await tab.until(f"parley.talk.session && parley.talk.session.id !== {first!r} && parley.talk.byCall")
        await tab.until("document.querySelector('.entry.note')")
        assert await tab.text(".entry.note") == "Reconnected; the conversation goes on."
        replayed = [event["item"]["type"] for event in tab.asked("conversation.item.create") if "item" in event]
        assert replayed.count("function_call") == 1, "what was said and heard is told again"
        assert tab.errors == []


async def test_holding_to_talk_in_a_call_is_a_turn(server: Server, microphone: Microphone) -> None:
    async with page(server.url, microphone(*AGAIN, 60.0), connection="automatic") as tab:
        await tab.press("h")
        await tab.press(" ")
        await tab.until("parley.talk.holdable")
        assert await tab.js("parley.talk.link.call.track === null"), "nothing is sent while nothing is held"
        await tab.key("keyDown", " ", text=" ")
        await tab.until(f"parley.talk.hold && {WEATHER}")
        await tab.key("keyUp", " ")
        await tab.until("document.querySelector('.entry.assistant')")
        await tab.until("document.querySelector('.entry.user[data-state=final]')")
        assert "weather" in await tab.text(".entry.user .words")
        asked = [event["type"] for event in tab.sent]
        assert asked[-2:] == ["input_audio_buffer.commit", "response.create"]
        assert await tab.js("parley.talk.link.call.track === null")
        assert tab.errors == []


NO_UDP = """
const { setRemoteDescription } = RTCPeerConnection.prototype;
RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
  return setRemoteDescription.call(this, { type, sdp: sdp.replace(/^a=candidate:.*$\\r\\n/gm, "") });
};
"""
"""As in a network where the server cannot be reached by UDP."""


async def test_where_the_server_cannot_be_reached_the_page_talks_over_the_websocket_and_says_so(server: Server) -> None:
    async with page(f"{server.url}/?pipeline=bench", connection="automatic", before=NO_UDP) as tab:
        await tab.until("document.querySelector('.try')")
        await tab.click(".try")
        await tab.until(DONE)
        assert await tab.js("parley.talk.link.call === null && parley.talk.link.socket !== null")
        said = await tab.text("#way")
        assert said.startswith("Connected over a WebSocket, because no WebRTC call could be made. ")
        assert "UDP may be blocked." in said
        note = await tab.js("document.querySelector('#connection-note').textContent")
        assert "UDP may be blocked. The WebSocket is used." in note


WITHOUT_CALLS = """
[pipelines.default]
stt = "pocketsphinx"
llm = "bench"
tts = "bench"
mt = "bench"

[webrtc]
calls = "off"
"""


@pytest.fixture(scope="module")
def without_calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("without-calls")
    (folder / "parley.toml").write_text(WITHOUT_CALLS)
    running = Server(cwd=folder)
    yield running
    running.end()


async def test_where_the_server_makes_no_calls_the_page_talks_over_the_websocket_and_says_so(
    without_calls: Server,
) -> None:
    async with page(without_calls.url, connection="automatic") as tab:
        await tab.until("document.querySelector('.try')")
        await tab.click(".try")
        await tab.until(DONE)
        assert await tab.js("parley.talk.link.call === null && parley.talk.link.socket !== null")
        note = await tab.js("document.querySelector('#connection-note').textContent")
        assert await tab.js("document.querySelector('#way').hidden"), "nothing has gone wrong"
        assert note == "This server has no WebRTC. The WebSocket is used."
        await tab.js("parley.settings.open()")
        await tab.js("document.querySelector('#connection').value = 'webrtc'")
        await tab.js("document.querySelector('#connection').dispatchEvent(new Event('change'))")
        await tab.until("parley.talk.link.state.name === 'refused'")
        await tab.js("parley.settings.dialog.close()")
        assert "The WebRTC call could not be made" in await tab.text("#alert")
        assert "This server has no WebRTC." in await tab.text("#alert")
        assert tab.errors == []


async def test_a_server_without_calls_has_gone_wrong_in_nothing_for_the_interpreter(
    without_calls: Server, microphone: Microphone
) -> None:
    async with page(without_calls.url, microphone(*AGAIN, 60.0), connection="automatic") as tab:
        await start_and_hear(tab)
        assert await tab.js("document.querySelector('#interpreter-way').hidden")
        note = await tab.js("document.querySelector('#connection-note').textContent")
        assert note == "This server has no WebRTC. The WebSocket is used."
        assert tab.errors == []
