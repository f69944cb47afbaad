"""The voices in the settings: by language, each with a few words and a button that plays it; and what stays when the pipeline changes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.web.browser import Tab, eventually, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PIPELINES = """
[pipelines.default]
stt = "pocketsphinx"
llm = "responder"
tts = "auto"

[pipelines.english]
stt = "pocketsphinx"
llm = "responder"
tts = "hibari"
"""

GROUPS = """Object.fromEntries([...document.querySelectorAll('#voice section')].map((one) => [
  one.getAttribute('aria-label'),
  [...one.querySelectorAll('li label')].map((row) => row.innerText.replaceAll('\\n', ' ')),
]))"""

WATCH_SPEECH = """
globalThis.asked = [];
const real = fetch;
globalThis.fetch = (path, options) => {
  if (String(path).endsWith('/v1/audio/speech')) asked.push(JSON.parse(options.body));
  return real(path, options);
};
"""


@pytest.fixture(scope="module")
def two_pipelines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("two")
    (folder / "parley.toml").write_text(PIPELINES)
    running = Server(cwd=folder)
    yield running
    running.end()


async def open_list(tab: Tab) -> None:
    await tab.until("parley.settings.pipelines.length > 0")
    await tab.js("parley.settings.open()")
    await tab.js("document.querySelector('#voice-choice').open = true")
    await tab.until("document.querySelector('#voice li')")


async def choose(tab: Tab, voice: str) -> None:
    await tab.js(f"document.querySelector('#voice input[value={json.dumps(voice)}]').click()")


async def change(tab: Tab, control: str, value: str) -> None:
    await tab.js(
        f"(() => {{ const control = document.querySelector('{control}'); control.value = {json.dumps(value)}; "
        "control.dispatchEvent(new Event('change')) })()"
    )


async def test_voices_stand_by_language_with_a_few_words_each(two_pipelines: Server) -> None:
    async with page(two_pipelines.url) as tab:
        await open_list(tab)
        await tab.js("document.querySelector('.more-voices').open = true")
        groups = await tab.js(GROUPS)
        assert next(iter(groups)) == "English", "the language of the usual voice comes first"
        assert "heart American English, female" in groups["English"]
        assert "British English robotic" in groups["English"], "a voice of a language alone has the language's name"
        assert groups["German"] == ["German robotic"]
        assert "alloy default" in groups["OpenAI's names"]
        assert "All of them sound as heart here." in await tab.text('#voice section[aria-label="OpenAI\'s names"]')
        names = [row for rows in groups.values() for row in rows]
        assert len(names) == len(await tab.js("parley.settings.pipeline.voices"))
        assert not any("undefined" in name for name in names)
        assert tab.errors == []


async def test_a_voice_is_heard_in_its_language_and_a_second_press_stops_it(two_pipelines: Server) -> None:
    async with page(two_pipelines.url, before=WATCH_SPEECH) as tab:
        await open_list(tab)
        await tab.js("document.querySelector('.more-voices').open = true")
        german = "document.querySelector('#voice section[aria-label=German] .hear')"
        await tab.js(f"{german}.click()", gesture=True)
        await tab.until(f"{german}.dataset.state === 'playing'")
        assert await tab.js("asked") == [
            {"model": "default", "voice": "de", "input": "Guten Morgen! Heute scheint die Sonne."}
        ]
        assert await tab.until("parley.settings.voices.player.duration") > 1
        heart = "document.querySelector('#voice input[value=heart]').closest('li').querySelector('.hear')"
        await tab.js(f"{heart}.click()", gesture=True)
        assert await tab.js(f"{german}.getAttribute('aria-pressed')") == "false", "one at a time"
        await tab.until(f"{heart}.dataset.state === 'playing'")
        await tab.js(f"{heart}.click()", gesture=True)
        assert await tab.js("parley.settings.voices.player.paused")
        assert await tab.js(f"{heart}.getAttribute('aria-pressed')") == "false"
        await tab.js(f"{heart}.click()", gesture=True)
        await tab.until(f"{heart}.dataset.state === 'playing'")
        await tab.js("parley.settings.dialog.close()")
        await tab.until("parley.settings.voices.player.paused")
        assert await tab.js("parley.settings.voices.chosen") == "alloy", "hearing is not choosing"
        assert tab.errors == []


async def test_a_refused_preview_says_why(two_pipelines: Server) -> None:
    async with page(two_pipelines.url) as tab:
        await open_list(tab)
        await tab.js("parley.settings.pipeline.name = 'nowhere'")
        await tab.js("document.querySelector('#voice .hear').click()", gesture=True)
        await tab.until("document.querySelector('#voice-choice > .note').textContent.includes('nowhere')")


async def test_the_voice_and_the_instructions_stay_with_another_pipeline(two_pipelines: Server) -> None:
    async with page(two_pipelines.url) as tab:
        await open_list(tab)
        await choose(tab, "heart")
        assert "heart: American English, female" in await tab.text("#voice-choice output")
        await change(tab, "#instructions", "Speak of boats.")
        await change(tab, "#pipeline", "english")
        await tab.js("parley.settings.dialog.close()")
        await tab.js("parley.say('Hello')", gesture=True)
        await eventually(lambda: bool(tab.told("session.updated")), "the settings are answered", tab)
        session = tab.told("session.updated")[-1]["session"]
        assert session["model"] == "english"
        assert session["instructions"] == "Speak of boats."
        assert session["audio"]["output"]["voice"] == "heart"

        await open_list(tab)
        await change(tab, "#pipeline", "default")
        await choose(tab, "de")
        await change(tab, "#pipeline", "english")
        assert (await tab.text("#voice-choice output")).startswith("alloy"), "it has no German voice"
        assert await tab.js("document.querySelector('#instructions').value") == "Speak of boats."
        assert tab.told("error") == []
        assert tab.errors == []


async def test_the_way_back_to_the_defaults_is_asked_for_twice(two_pipelines: Server) -> None:
    async with page(two_pipelines.url) as tab:
        await open_list(tab)
        await choose(tab, "heart")
        await change(tab, "#instructions", "Speak of boats.")
        await change(tab, "#silence", "900")
        await change(tab, "#pipeline", "english")
        await tab.js("document.querySelector('#defaults').click()")
        assert await tab.js("document.querySelector('#silence').value") == "900", "once is not enough"
        await tab.js("parley.settings.dialog.close()")
        await tab.until("document.querySelector('#defaults').textContent === 'Reset to the defaults'")
        for _ in range(2):
            await tab.js("document.querySelector('#defaults').click()")
        assert await tab.js("document.querySelector('#silence').value") == "500"
        assert await tab.js("parley.settings.model") == "default"
        assert "boats" not in await tab.js("document.querySelector('#instructions').value")
        assert (await tab.text("#voice-choice output")).startswith("alloy")
        stored = json.loads(await tab.js("localStorage.getItem('parley.preferences')"))
        assert (stored["voice"], stored["instructions"]) == ("", None)
