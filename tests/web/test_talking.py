"""Talking to the page: what is heard, shown, interrupted, timed. The microphone is a WAV, the loudspeaker is listened to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.web.browser import RECORD, eventually, kept_and_struck, page, played, sounding
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

AGAIN = ("weather_question", 0.5) * 8
"""Whenever the key goes down, the whole question is still to come."""

WEATHER = "document.querySelector('.entry.user[data-state=partial] .partial')?.innerText.includes('weather')"
"""It was heard while the key is still held."""


async def test_a_spoken_question_is_captioned_answered_aloud_and_timed(server: Server, microphone: Microphone) -> None:
    mic = microphone(0.2, "weather_question", 60.0)  # spoken while the connection is still being made
    async with page(server.url, mic) as tab:
        assert await tab.js(RECORD, gesture=True) == 24_000
        await tab.click("#heart")
        await tab.until("document.querySelector('.entry.user[data-state=partial]')")
        said = await tab.until("document.querySelector('.entry.user[data-state=final] .words')?.innerText")
        assert "weather" in said
        assert "paris" in said.lower()
        await tab.until(
            "document.querySelector('.entry.assistant[data-state=done] .heard') && !document.querySelector('.ahead')"
        )
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
        # A speculative reply that was ready before the turn was over was held until then.
        assert [row[0] for row in rows if row[0] != "Held until sure"] == [
            "Sure you were done", "Writing down your words", "Finding the first word", "Making the first sound", "Reaching your ear",
        ]  # fmt: skip
        pause_ms = float(rows[0][2].removesuffix(" ms"))
        assert 450 <= pause_ms <= 900, "the silence of half a second, and no more than a moment"
        assert "from your last sound" in await tab.text("#last caption")
        assert "You: " + said in await tab.js("document.querySelector('#said').textContent")
        assert tab.told("error") == []
        assert tab.errors == []


async def test_talking_over_the_reply_silences_it_and_strikes_out_what_was_not_heard(
    server: Server, microphone: Microphone
) -> None:
    async with page(server.url, microphone("two_cities", 60.0)) as tab:
        await tab.js(RECORD, gesture=True)
        await tab.js("parley.setMuted(true)")  # however long it takes until the reply is heard, nobody speaks before
        await tab.click("#heart")
        await tab.until("parley.talk.phase === 'listening'")
        await tab.js("parley.say('Who are you?')", gesture=True)
        await tab.until("document.querySelector('.entry.assistant .heard')?.textContent.length > 10")
        await tab.press("m")
        await tab.until("document.querySelector('.entry.assistant[data-state=cut] del')?.textContent")
        await eventually(lambda: bool(tab.asked("conversation.item.truncate")), "the item is truncated", tab)
        (truncate, *_) = tab.asked("conversation.item.truncate")
        item = await kept_and_struck(tab)
        assert item["id"] == truncate["item_id"]

        sent = np.frombuffer(bytes(tab.received_audio), "<i2")[: truncate["audio_end_ms"] * 24]
        off = len(sounding(await played(tab))) - len(sounding(sent))
        assert abs(off) < 40 * 24, "the server was told, to the millisecond, what was played"
        started = tab.received.index(tab.told("input_audio_buffer.speech_started")[0])
        assert not any(
            event["type"] == "response.output_audio.delta" and event["item_id"] == item["id"]
            for event in tab.received[started:]
        )
        assert [error["error"] for error in tab.told("error")] == []
        assert tab.errors == []


async def test_muting_sends_silence_until_the_turn_is_over(server: Server, microphone: Microphone) -> None:
    async with page(server.url, microphone("two_cities", 60.0)) as tab:
        await tab.click("#heart")
        await tab.until("parley.talk.phase === 'hearing'")
        await tab.press("m")
        assert await tab.js("document.querySelector('#mute').getAttribute('aria-pressed')") == "true"
        await eventually(lambda: bool(tab.told("input_audio_buffer.speech_stopped")), "the turn ends by itself", tab)
        last = base64.b64decode(tab.asked("input_audio_buffer.append")[-1]["audio"])
        assert last == bytes(len(last)), "nothing that is said meanwhile leaves the page"
        assert tab.errors == []


async def test_holding_the_space_bar_is_a_turn(server: Server, microphone: Microphone) -> None:
    async with page(server.url, microphone(*AGAIN, 60.0)) as tab:
        await tab.press("h")
        assert await tab.js("document.querySelector('input[name=mode][value=hold]').checked")
        await tab.press(" ")
        await tab.until("parley.talk.holdable")
        assert tab.asked("session.update")[0]["session"]["audio"]["input"]["turn_detection"] is None
        await tab.key("keyDown", " ", text=" ")
        await tab.until(f"parley.talk.hold && {WEATHER}")
        await tab.key("keyUp", " ")
        await tab.until("document.querySelector('.entry.assistant[data-state=done]')")
        assert "weather" in await tab.text(".entry.user .words")
        assert [event["type"] for event in tab.sent if "audio" not in event][-2:] == [
            "input_audio_buffer.commit", "response.create",
        ]  # fmt: skip
        sent_before = len(tab.asked("input_audio_buffer.append"))
        await tab.until("document.querySelector('.entry.assistant .heard')?.textContent.length > 20")
        await tab.press("Escape")
        await tab.until("parley.talk.phase === 'listening'")
        assert len(tab.asked("input_audio_buffer.append")) == sent_before, "nothing is sent while nothing is held"
        assert tab.errors == []
