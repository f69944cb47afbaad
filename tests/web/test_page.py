"""The page in a real browser: what somebody who opens it sees, hears and can do."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.web import page_files
from tests.web.browser import Server, Tab, browsing, eventually, serve
from tests.web.conftest import OFFLINE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

RECORD = """(async () => {
  await parley.loudspeaker.open();
  const { context, output } = parley.loudspeaker;
  globalThis.recorded = [];
  globalThis.tap = new AudioWorkletNode(context, "parley-capture", { numberOfOutputs: 0 });
  tap.port.onmessage = ({ data }) => recorded.push(data.pcm);
  output.connect(tap);
  return context.sampleRate;
})()"""
"""Keeps everything that goes to the loudspeaker, from the last node before it, on the audio thread."""

PLAYED = """(() => {
  const length = recorded.reduce((sum, chunk) => sum + chunk.length, 0);
  const all = new Int16Array(length);
  let at = 0;
  for (const chunk of recorded) { all.set(chunk, at); at += chunk.length; }
  const bytes = new Uint8Array(all.buffer);
  let text = "";
  for (let from = 0; from < bytes.length; from += 32768) text += String.fromCharCode(...bytes.subarray(from, from + 32768));
  return btoa(text);
})()"""


@asynccontextmanager
async def page(
    server: Server, tmp_path: Path, microphone: Path | None = None, *, allow: bool = True, width: int = 1280
) -> AsyncIterator[Tab]:
    async with browsing(tmp_path / "profile", microphone, allow=allow) as tab:
        await tab.size(width, 844 if width < 600 else 900)
        await tab.goto(server.url)
        await tab.until("globalThis.parley")
        yield tab


async def played(tab: Tab) -> NDArray[np.int16]:
    return np.frombuffer(base64.b64decode(await tab.js(PLAYED)), "<i2")


def sounding(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """Without the silence before and after."""
    loud = np.flatnonzero(np.abs(pcm) > 100)
    return pcm[loud[0] : loud[-1] + 1] if loud.size else pcm[:0]


async def test_a_spoken_question_is_captioned_answered_aloud_and_timed(
    server: Server, tmp_path: Path, microphone: Microphone
) -> None:
    mic = microphone(1.0, "weather_question", 60.0)
    async with page(server, tmp_path, mic) as tab:
        assert await tab.js(RECORD, gesture=True) == 24_000
        await tab.click("#heart")
        await tab.until("document.querySelector('.entry.user[data-state=partial]')")
        said = await tab.until("document.querySelector('.entry.user[data-state=final] .words')?.innerText")
        assert "weather" in said
        assert "paris" in said.lower()
        await tab.until("document.querySelector('.entry.assistant[data-state=done] .ahead')?.textContent === ''")
        assert "weather" in await tab.text(".entry.assistant .words")
        await tab.until("parley.talk.phase === 'listening' && recorded.at(-1).every((sample) => sample === 0)")

        heard, sent = sounding(await played(tab)), sounding(np.frombuffer(bytes(tab.received_audio), "<i2"))
        assert len(sent) > 2 * 24_000, "the server sent a sentence"
        assert abs(len(heard) - len(sent)) <= 24, "what was played is as long as what was sent"
        alike = np.corrcoef(heard[: len(sent)].astype(float), sent[: len(heard)].astype(float))[0, 1]
        assert alike > 0.999, "what was played is what was sent"
        assert await tab.js("parley.loudspeaker.underruns") == 0

        rows = await tab.until(
            "[...document.querySelectorAll('#last tr')].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
        )
        assert [row[0] for row in rows] == [
            "Sure you were done", "Your words", "First token", "First sound made", "Reaching your ear",
        ]  # fmt: skip
        pause_ms = float(rows[0][2].removesuffix(" ms"))
        assert 450 <= pause_ms <= 900, "the silence of half a second, and no more than a moment"
        assert "from your last sound" in await tab.text("#last caption")
        assert "You: " + said in await tab.js("document.querySelector('#said').textContent")
        assert tab.told("error") == []
        assert tab.errors == []


async def test_talking_over_the_reply_silences_it_and_strikes_out_what_was_not_heard(
    server: Server, tmp_path: Path, microphone: Microphone
) -> None:
    async with page(server, tmp_path, microphone(0.5, "weather_question", 4.6, "two_cities", 60.0)) as tab:
        await tab.js(RECORD, gesture=True)
        await tab.click("#heart")
        struck = await tab.until("document.querySelector('.entry.assistant[data-state=cut] del')?.textContent")
        (truncate, *_) = tab.asked("conversation.item.truncate")
        await eventually(lambda: bool(tab.told("conversation.item.retrieved")), "the item is read back", tab)
        item = tab.told("conversation.item.retrieved")[0]["item"]
        kept = item["content"][0]["transcript"]
        await tab.until(f"document.querySelector('.entry.assistant .heard').textContent === {kept!r}.trimStart()")
        struck = await tab.js("document.querySelector('.entry.assistant del').textContent")
        whole = "".join(
            event["delta"]
            for event in tab.told("response.output_audio_transcript.delta")
            if event["item_id"] == item["id"]
        )
        assert kept
        assert struck.strip()
        assert f"{kept} {struck}".split() == whole.split(), "every word is either kept or struck out"
        assert item["id"] == truncate["item_id"]

        before = len(sounding(await played(tab))) / 24
        assert abs(before - truncate["audio_end_ms"]) < 40, "the server was told, to the millisecond, what was played"
        started = tab.received.index(tab.told("input_audio_buffer.speech_started")[1])
        assert not any(
            event["type"] == "response.output_audio.delta" and event["item_id"] == item["id"]
            for event in tab.received[started:]
        )
        assert [error["error"] for error in tab.told("error")] == []
        assert tab.errors == []


async def test_a_typed_message_is_answered_and_escape_stops_the_answer(server: Server, tmp_path: Path) -> None:
    async with page(server, tmp_path) as tab:
        await tab.press("/")
        await tab.type("What can you do? Please help me.")
        await tab.press("Enter")
        await tab.until("parley.talk.phase === 'speaking'")
        assert "What can you do?" in await tab.text(".entry.user")
        await tab.press("Escape")
        await tab.until("parley.talk.phase === 'idle'")
        await tab.until("document.querySelector('.entry.assistant[data-state=cut] del')")
        assert tab.asked("input_audio_buffer.append") == [], "the microphone was never opened"
        assert tab.errors == []


async def test_muting_sends_silence_until_the_turn_is_over(
    server: Server, tmp_path: Path, microphone: Microphone
) -> None:
    async with page(server, tmp_path, microphone(0.4, "two_cities")) as tab:
        await tab.click("#heart")
        await tab.until("parley.talk.phase === 'hearing'")
        await tab.press("m")
        assert await tab.js("document.querySelector('#mute').getAttribute('aria-pressed')") == "true"
        await eventually(lambda: bool(tab.told("input_audio_buffer.speech_stopped")), "the turn ends by itself", tab)
        last = base64.b64decode(tab.asked("input_audio_buffer.append")[-1]["audio"])
        assert last == bytes(len(last)), "nothing that is said meanwhile leaves the page"
        assert tab.errors == []


async def test_choices_reach_the_server_and_are_remembered(server: Server, tmp_path: Path) -> None:
    async with page(server, tmp_path) as tab:
        await tab.press(",")
        await tab.until(
            "document.querySelector('#settings').open && document.querySelector('#voice').options.length > 13"
        )
        assert await tab.text("#chain") == "pocketsphinx → responder → espeak"
        for control, value in (("voice", "echo"), ("silence", "800"), ("speed", "1.25")):
            await tab.js(
                f"(() => {{ const control = document.querySelector('#{control}'); control.value = '{value}'; "
                "control.dispatchEvent(new Event('change')) })()"
            )
        await tab.press("Escape")
        await tab.js("parley.say('Hello')", gesture=True)
        await eventually(lambda: bool(tab.told("session.updated")), "the settings are answered", tab)
        audio = tab.told("session.updated")[0]["session"]["audio"]
        assert audio["output"]["voice"] == "echo"
        assert audio["output"]["speed"] == 1.25
        assert audio["input"]["turn_detection"]["silence_duration_ms"] == 800
        await tab.goto(server.url)
        await tab.until("globalThis.parley && document.querySelector('#voice').value === 'echo'")
        assert await tab.js("document.querySelector('#silence').value") == "800"
        assert tab.told("error") == []


async def test_a_tool_is_shown_with_its_arguments_and_its_answer(server: Server, tmp_path: Path) -> None:
    async with page(server, tmp_path) as tab:
        await tab.js("parley.say('Set theme dark, please.')", gesture=True)
        await tab.until("document.querySelector('.entry.tool[data-state=done]')")
        assert '"dark"' in await tab.text(".entry.tool .answer")
        assert await tab.text(".entry.tool .name") == "set_theme"
        assert await tab.js("document.documentElement.dataset.theme") == "dark"
        await tab.until("document.querySelector('.entry.assistant .words')?.innerText.includes('tool answered')")
        assert tab.errors == []


async def test_holding_the_space_bar_is_a_turn(server: Server, tmp_path: Path, microphone: Microphone) -> None:
    async with page(server, tmp_path, microphone("weather_question", 60.0)) as tab:
        await tab.press("h")
        assert await tab.js("document.querySelector('input[name=mode][value=hold]').checked")
        await tab.press(" ")
        await tab.until("parley.talk.holdable")
        assert tab.asked("session.update")[0]["session"]["audio"]["input"]["turn_detection"] is None
        await tab.key("keyDown", " ", text=" ")
        await tab.until("parley.talk.sentSamples > 24000 * 2.2")
        await tab.key("keyUp", " ")
        await tab.until("document.querySelector('.entry.assistant[data-state=done]')")
        assert "weather" in await tab.text(".entry.user .words")
        assert [event["type"] for event in tab.sent if "audio" not in event][-2:] == [
            "input_audio_buffer.commit", "response.create",
        ]  # fmt: skip
        sent_before = len(tab.asked("input_audio_buffer.append"))
        await tab.until("parley.talk.phase === 'listening'")
        assert len(tab.asked("input_audio_buffer.append")) == sent_before, "nothing is sent while nothing is held"
        assert tab.errors == []


async def test_a_guess_that_was_right_is_shown_in_the_waterfall(tmp_path: Path, microphone: Microphone) -> None:
    (tmp_path / "parley.toml").write_text(
        '[pipelines.default]\nstt = "bench"\nllm = "bench"\ntts = "bench"\nspeculation = "on"\nspeculate_after_ms = 100\n'
    )
    server = await serve(cwd=tmp_path)
    try:
        async with page(server, tmp_path, microphone(0.5, "hello_world", 60.0)) as tab:
            await tab.click("#heart")
            await tab.until("document.querySelector('#last .guess')?.dataset.outcome === 'won'")
            assert "the guess was right" in await tab.text("#last")
            left = await tab.js(
                "[...document.querySelectorAll('#last i')].map((bar) => [bar.dataset.stage, bar.style.left])"
            )
            starts = {stage: float(start.removesuffix("%")) for stage, start in left}
            assert starts["pause"] <= starts["model"] < starts["playback"], "the model began in the pause"
    finally:
        await server.end()


async def test_a_restarted_server_is_found_again_and_the_conversation_starts_anew(
    server: Server, tmp_path: Path, microphone: Microphone
) -> None:
    async with page(server, tmp_path, microphone(2.0, "hello_world", 60.0)) as tab:
        await tab.js("parley.settings.chooseTurns('semantic_vad')")
        await tab.js("parley.say('Good bye.')", gesture=True)
        await tab.click("#heart")
        await tab.until("document.querySelector('.entry.assistant')")
        await server.end(kill=True)
        await tab.until("document.querySelector('#alert').innerText.includes('Trying again in')")
        assert "the conversation will start anew" in await tab.text("#alert")
        assert await tab.js("document.querySelector('#link').dataset.state") in ("waiting", "connecting")
        again = await serve(*OFFLINE, port=server.port, cwd=tmp_path)
        try:
            await tab.until("parley.talk.connected && document.querySelector('#alert').hidden")
            assert "remembers nothing" in await tab.text(".entry.note")
            await eventually(lambda: len(tab.told("session.updated")) == 2, "the settings are told again", tab)
            session = tab.told("session.updated")[-1]["session"]
            assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
            await tab.js("parley.say('Hello?')", gesture=True)
            await tab.until(
                "[...document.querySelectorAll('.entry.assistant .words')].at(-1).innerText.includes('Hello')"
            )
        finally:
            await again.end()


async def test_a_locked_server_asks_for_its_key_and_says_when_it_is_wrong(tmp_path: Path) -> None:
    server = await serve(*OFFLINE, "--api-key", "sk-open-sesame", cwd=tmp_path)
    try:
        async with page(server, tmp_path) as tab:
            await tab.until("document.querySelector('#key-box').open")
            await tab.type("sk-wrong")
            await tab.press("Enter")
            await tab.until("document.querySelector('#key-why').innerText.includes('does not open')")
            await tab.type("sk-open-sesame")
            await tab.press("Enter")
            await tab.until(
                "!document.querySelector('#key-box').open && document.querySelector('#link').dataset.state === 'closed'"
            )
            await tab.js("parley.say('Hello')", gesture=True)
            await tab.until("document.querySelector('.entry.assistant .words')?.innerText.includes('Hello')")
            assert await tab.js("sessionStorage.getItem('parley.key')") == "sk-open-sesame"
            assert "sesame" not in str(await tab.js("JSON.stringify(localStorage)"))
    finally:
        await server.end()


async def test_a_full_server_is_waited_for_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("[server]\nmax_sessions = 1\n")
    server = await serve(*OFFLINE, cwd=tmp_path)
    try:
        async with page(server, tmp_path) as tab:
            await tab.js(
                "new Promise((resolve) => { globalThis.other = new WebSocket(location.href.replace('http', 'ws') + "
                "'v1/realtime', 'realtime'); other.onopen = () => resolve(true) })"
            )
            await tab.js("parley.say('Hello')", gesture=True)
            await tab.until("document.querySelector('#alert').innerText.includes('The server is full')")
            assert await tab.js("parley.talk.link.state.error.code") == "session_limit_reached"
            await tab.js("new Promise((resolve) => { other.onclose = resolve; other.close() })")
            await tab.click("#alert button")
            await tab.until("document.querySelector('.entry.assistant')")
    finally:
        await server.end()


async def test_a_blocked_microphone_is_explained_and_typing_still_works(server: Server, tmp_path: Path) -> None:
    async with page(server, tmp_path, allow=False) as tab:
        await tab.call("Browser.setPermission", permission={"name": "microphone"}, setting="denied", origin=server.url)
        await tab.click("#heart")
        await tab.until("document.querySelector('#alert').innerText.includes('microphone is blocked')")
        await tab.js("parley.say('Hello')", gesture=True)
        await tab.until("document.querySelector('.entry.assistant')")
        assert tab.errors == []


@pytest.mark.parametrize("width", [320, 390, 820, 1440])
async def test_nothing_sticks_out_at_any_width(server: Server, tmp_path: Path, width: int) -> None:
    async with page(server, tmp_path, width=width) as tab:
        await tab.js("parley.say('Please get time for me.')", gesture=True)
        await tab.until("document.querySelector('details.figures')")
        assert await tab.js("document.documentElement.scrollWidth <= innerWidth")
        await tab.js("document.querySelector('details.figures').open = true")
        outside = await tab.js(
            "[...document.querySelectorAll('main *, header *')].filter((element) => element.getClientRects().length > 0 && "
            "!element.closest('.hidden') && element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.outerHTML)"
        )
        assert outside == []
        for selector in ("#heart", "#message", "#settings-open"):
            top, bottom = await tab.js(
                f"(({{ top, bottom }}) => [top, bottom])(document.querySelector('{selector}').getBoundingClientRect())"
            )
            assert 0 <= top < bottom <= await tab.js("innerHeight"), f"{selector} is on the screen"


async def test_every_control_can_be_reached_and_is_named(server: Server, tmp_path: Path) -> None:
    async with page(server, tmp_path) as tab:
        reached: list[str] = []
        for _ in range(20):
            await tab.press("Tab")
            found = await tab.js(
                "(() => { const { activeElement: at } = document; const ring = getComputedStyle(at.matches('.switch input') ? "
                "at.nextElementSibling : at).outlineStyle; "
                "return at === document.body ? null : [at.id || at.className || at.value, ring] })()"
            )
            if found is None:
                break
            reached.append(found[0])
            assert found[1] != "none", f"the focus on {found[0]} can be seen"
        assert {"skip", "theme", "help", "settings-open", "heart", "scroll", "try", "message"} <= set(reached)
        tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
        assert [
            node for node in nodes if node[0] in ("button", "radio", "textbox", "combobox", "slider") and not node[1]
        ] == []
        assert {"banner", "main"} <= {role for role, _ in nodes}


async def test_a_page_at_rest_draws_nothing_and_reduced_motion_is_respected(server: Server, tmp_path: Path) -> None:
    async with page(server, tmp_path) as tab:
        assert await tab.js("parley.dial.frame") == 0
        await tab.media(prefers_reduced_motion="reduce")
        assert await tab.js("getComputedStyle(document.querySelector('.lamp')).animationName") == "none"
        await tab.js("parley.say('Hello')", gesture=True)
        await tab.until("parley.talk.phase === 'speaking'")
        drawn = await tab.js(
            "new Promise((resolve) => { const { dial } = parley; const draw = dial.draw; let count = 0; "
            "dial.draw = () => { count += 1; draw.call(dial) }; setTimeout(() => resolve(count), 900) })"
        )
        assert drawn <= 2, "about once a second"


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000])
async def test_the_browsers_resampling_keeps_pitch_level_and_chunks_together(
    server: Server, tmp_path: Path, rate: int
) -> None:
    async with page(server, tmp_path) as tab:
        pcm = np.array(
            await tab.js(
                "(async () => { const { Resampler } = await import('/assets/js/resampler.js'); "
                f"const made = new Resampler({rate}, 24000); const out = []; let at = 0; "
                "for (const size of [128, 1, 777, 128, 4096, 9000, 3]) { const chunk = Float32Array.from({ length: size }, () => "
                f"0.5 * Math.sin(2 * Math.PI * 1000 * at++ / {rate})); out.push(...made.push(chunk)) }} return out }})()"
            )
        )
    middle = pcm[200:-200]
    tone = 0.5 * np.exp(-2j * np.pi * 1000 * np.arange(len(middle)) / 24_000)
    assert abs(abs(np.mean(middle * tone)) * 4 - 0.5) < 0.002, "a pure tone of its old level"
    power = float(np.mean(middle**2))
    assert abs(power - 0.125) < 0.001, "and nothing beside it"


def test_every_file_of_the_page_asks_only_its_own_server() -> None:
    for name, path in page_files().items():
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in text.replace("https://, or", ""), name
            assert "//cdn" not in text, name
