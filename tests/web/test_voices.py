"""The sheet of voices: two are compared and one chosen, the header says which one speaks, and one is made of what is read aloud."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from parley.library import synthesize
from parley.text.consent import PHRASES
from tests.engines.tiny_phonon import phonon_folder
from tests.web.browser import page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

OPEN = ("#settings-open", "#voices-open")


async def test_two_voices_are_compared_and_the_chosen_one_speaks(server: Server) -> None:
    async with page(server.url) as tab:
        await tab.until("parley.settings.pipelines.length > 0")
        for selector in OPEN:
            await tab.click(selector)
        await tab.until("document.querySelector('#voices').open")
        choices = await tab.js("[...document.querySelector('#voice-a').options].map((option) => option.value)")
        assert "alloy" in choices
        assert len(choices) == len(set(choices))
        lengths = {}
        for side in ("a", "b"):
            await tab.click(f"#play-{side}")
            await tab.until("document.querySelector('#compare-note').textContent.startsWith('Playing ')")
            lengths[side] = await tab.until("parley.voices.player.duration")
        assert all(seconds > 2 for seconds in lengths.values()), "each says the whole sentence"
        chosen = await tab.js("document.querySelector('#voice-b').value")
        assert chosen != await tab.js("document.querySelector('#voice-a').value")
        await tab.click("#use-b")
        await tab.click("#voices-close")
        await tab.click("#message")
        await tab.type("Hello.")
        await tab.press("Enter")
        await tab.until(f"document.querySelector('#link-text').textContent.endsWith(', voice {chosen}')")
        await tab.until("document.querySelector('.entry.assistant')")
        assert tab.told("session.updated")[-1]["session"]["audio"]["output"]["voice"] == chosen
        assert tab.told("error") == []
        assert tab.errors == []


async def test_an_empty_text_is_asked_for_and_a_refusal_is_shown(server: Server) -> None:
    async with page(server.url) as tab:
        await tab.until("parley.settings.pipelines.length > 0")
        for selector in OPEN:
            await tab.click(selector)
        await tab.js("document.querySelector('#sample').value = '  '")
        await tab.click("#play-a")
        assert await tab.text("#compare-note") == "Enter a text to say."
        await tab.js("document.querySelector('#sample').value = 'Hello.'; parley.voices.pipeline = {name: 'nowhere'}")
        await tab.click("#play-a")
        await tab.until("document.querySelector('#compare-note').textContent.includes('nowhere')")


async def test_a_voice_is_made_of_what_is_read_aloud_and_removed_again(tmp_path: Path) -> None:
    pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")
    weights = phonon_folder(tmp_path / "phonon")
    reading = np.concatenate([piece.samples for piece in synthesize(PHRASES["en"].text, tts="hibari")])
    spoken = np.asarray(soxr.resample(reading.astype(np.float32), 24_000, 48_000)).astype(np.int16)
    microphone = tmp_path / "microphone.wav"
    with wave.open(str(microphone), "wb") as wav:
        wav.setparams((1, 2, 48_000, 0, "NONE", ""))
        wav.writeframes(np.concatenate([np.zeros(24_000, np.int16), spoken, np.zeros(48_000 * 20, np.int16)]).tobytes())
    whole_s = 1.5 + len(reading) / 24_000
    offline = ("--stt", "pocketsphinx", "--llm", "responder", "--tts", f"phonon:{weights}")
    server = Server(*offline, cwd=tmp_path, environment={"PARLEY_OWN_VOICES_DIR": str(tmp_path / "own")})
    try:
        async with page(server.url, microphone) as tab:
            await tab.until("parley.settings.pipelines.length > 0")
            for selector in OPEN:
                await tab.click(selector)
            await tab.until(f"document.querySelector('#consent-phrase').textContent === {PHRASES['en'].text!r}")
            await tab.size(1280, 1400)  # the whole sheet can be clicked
            assert await tab.js("document.querySelector('#make-voice').disabled")
            await tab.js("document.querySelector('#new-voice').value = 'Carol'")
            # The phrase to its end; of the sample no more than is needed.
            for clip, seconds in (("consent", whole_s), ("sample", 3.5)):
                await tab.click(f"#record-{clip}")
                await tab.until(f"parley.voices.recorder.seconds > {seconds}")
                await tab.click(f"#record-{clip}")
                await tab.until(f"parley.voices.clips.{clip} !== null")
            await tab.click("#make-voice")
            await tab.until("document.querySelector('#make-note').textContent.includes('Carol is ready')")
            assert "Carol" in await tab.text("#own-voices")
            # It can be compared at once.
            await tab.until(
                "[...document.querySelector('#voice-a').options].some((option) => option.value === 'Carol')"
            )
            await tab.js("document.querySelector('#voice-a').value = 'Carol'")
            await tab.click("#play-a")
            await tab.until("document.querySelector('#compare-note').textContent === 'Playing A, Carol.'")
            for _ in range(2):
                await tab.click("#own-voices button")
            await tab.until("document.querySelector('#own-voices').children.length === 0")
            assert tab.errors == []
    finally:
        server.end()
