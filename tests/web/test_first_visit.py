"""The first screen: what answers, hears and speaks, what one may try, and whether the microphone is heard before anything else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.chat_endpoint import chat_endpoint
from tests.web.browser import Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

FOUND = "document.querySelector('.try') && !document.querySelector('#first-facts').hidden"


async def offered(tab: Tab) -> list[str]:
    await tab.until(FOUND)
    texts: list[str] = await tab.js("[...document.querySelectorAll('.try')].map((one) => one.textContent)")
    return texts


async def press(tab: Tab, label: str) -> None:
    await tab.until(FOUND)
    found = f"[...document.querySelectorAll('.try')].find((one) => one.textContent === {json.dumps(label)})"
    await tab.js(f"{found}.click()", gesture=True)


async def test_without_a_language_model_it_says_so_and_how_to_connect_one(server: Server) -> None:
    async with page(server.url) as tab:
        tries = await offered(tab)
        facts = await tab.text("#powers")
        assert "built-in rules, as no language model is connected" in facts
        assert "English (pocketsphinx)" in facts
        assert "English (hibari)" in facts
        assert not any("story" in one for one in tries), "rules tell no story"
        await tab.click("#connect-model summary")
        assert "ollama pull" in await tab.text("#connect-model")
        assert "parley serve --llm" in await tab.text("#connect-model")
        assert tab.errors == []


async def test_a_starter_calls_a_tool_and_another_gives_a_reply_to_talk_over(server: Server) -> None:
    async with page(server.url) as tab:
        await press(tab, "Roll the dice")
        await tab.until("document.querySelector('.entry.tool[data-state=done]')")
        assert await tab.text(".entry.tool .name") == "roll_dice"
        await tab.until("parley.talk.phase === 'idle'")
        assert await tab.js("document.querySelector('#alert').hidden"), "only what is there to be cut off says so"
        await press(tab, "How do I connect a language model?")
        await tab.until("document.querySelector('#alert').innerText.includes('Now talk over it')")
        assert "Press Start" in await tab.text("#alert")
        await tab.press("Escape")
        await tab.until("document.querySelector('#alert').hidden")
        await tab.until("document.querySelector('.entry.assistant[data-state=cut] del')")
        assert tab.errors == []


async def test_with_a_language_model_its_name_stands_there_and_a_story_is_offered(tmp_path: Path) -> None:
    with chat_endpoint() as endpoint:
        model = ("--llm", "openai:scripted", "--llm-base-url", endpoint.base_url)
        server = Server("--stt", "pocketsphinx", "--tts", "hibari", *model, cwd=tmp_path)
        try:
            async with page(server.url) as tab:
                tries = await offered(tab)
                assert tries[0] == "Tell me a story, then interrupt me"
                assert "scripted (openai)" in await tab.text("#powers")
                assert await tab.js("document.querySelector('#connect-model').hidden")
                await tab.js("parley.settings.open()")
                await tab.js("document.querySelector('#with-tools').click()")
                without = await offered(tab)
                assert set(tries) - set(without) == {"Roll two dice"}, "a tool is offered where it may be used"
                await tab.js(
                    "(() => { const text = document.querySelector('#instructions'); text.value = 'STORY'; "
                    "text.dispatchEvent(new Event('change')); parley.settings.dialog.close() })()"
                )
                await press(tab, tries[0])
                await tab.until("document.querySelector('#alert').innerText.includes('Now talk over it')")
                assert await tab.text(".entry.user .words") == "Tell me a story."
                await tab.press("Escape")
                await tab.until("document.querySelector('#alert').hidden")
        finally:
            server.end()


async def test_pipelines_for_benchmarks_are_shown_to_who_asks_for_them(server: Server) -> None:
    names = "[...document.querySelector('#pipeline').options].map((one) => one.value)"
    async with page(server.url) as tab:
        await tab.until(FOUND)
        usual = await tab.js(names)
        assert usual[0] == "default"
        assert not {"bench", "early"} & set(usual), "all of them is for benchmarks"
        await tab.goto(f"{server.url}/?pipeline=bench")
        await tab.until("globalThis.parley && document.querySelector('#pipeline').value === 'bench'")
        assert set(await tab.js(names)) == {*usual, "bench"}
        assert "for benchmarks" in await tab.text("#powers")
        await tab.goto(server.url)
        await tab.until(f"globalThis.parley && {FOUND}")
        usual = await tab.js(names)
        assert usual[0] == "default"
        assert not {"bench", "early"} & set(usual), "all of them is for benchmarks"
        assert await tab.js("parley.settings.model") == "default"


async def test_a_server_started_for_benchmarks_shows_them(tmp_path: Path) -> None:
    server = Server("--pipeline", "bench", cwd=tmp_path)
    try:
        async with page(server.url) as tab:
            await tab.until("parley.settings.model === 'bench'")
            assert "for benchmarks" in await tab.text("#powers")
    finally:
        server.end()


@pytest.mark.parametrize("place", ["#microphone-test", "#settings-microphone-test"])
async def test_the_microphone_is_tested_shown_and_played_back(
    server: Server, microphone: Microphone, place: str
) -> None:
    async with page(server.url, microphone("two_cities")) as tab:
        await tab.until(FOUND)
        if place.startswith("#settings"):
            await tab.js("parley.settings.open()")
        await tab.js(f"document.querySelector('{place} button').click()", gesture=True)
        await tab.until(f"Number(document.querySelector('{place} .level').getAttribute('aria-valuenow')) > 20")
        await tab.until(f"document.querySelector('{place} .note').textContent === 'This is how you sound.'")
        tested = 0 if place == "#microphone-test" else 1
        assert await tab.until(f"parley.visit.tests[{tested}].player.duration") == pytest.approx(3, abs=0.1)
        await tab.until(f"document.querySelector('{place} .note').textContent.endsWith(' works.')")
        assert "Fake" in await tab.text(f"{place} .note"), "it names the device"
        assert await tab.js(f"parley.visit.tests[{tested}].recorder.microphone.open") is False
        assert tab.sent == [], "the recording stays here"
        assert tab.errors == []


async def test_a_muted_microphone_is_found_out_before_the_conversation_and_in_it(
    server: Server, microphone: Microphone
) -> None:
    async with page(server.url, microphone(60.0)) as tab:
        await tab.until(FOUND)
        await tab.click("#microphone-test button")
        await tab.until("document.querySelector('#microphone-test .note').textContent.includes('No sound comes in')")
        assert "Is the microphone muted?" in await tab.text("#microphone-test .note")
        assert await tab.text("#microphone-test button") == "Test again"
        await tab.click("#heart")
        await tab.until("document.querySelector('#alert').innerText.includes('No sound comes in')")
        await tab.click("#heart")
        await tab.until("document.querySelector('#alert').hidden")
        assert tab.errors == []


async def test_a_conversation_ends_the_test_and_the_test_ends_the_listening(
    server: Server, microphone: Microphone
) -> None:
    async with page(server.url, microphone("two_cities", 60.0)) as tab:
        await tab.until(FOUND)
        await tab.click("#microphone-test button")
        await tab.until("parley.visit.tests[0].recorder.recording")
        await tab.click("#heart")
        await tab.until("parley.talk.listening && !parley.visit.tests[0].running")
        await tab.js("parley.settings.open()")
        await tab.js("document.querySelector('#settings-microphone-test button').click()", gesture=True)
        await tab.until("!parley.talk.listening && parley.visit.tests[1].recorder.recording")


async def test_a_blocked_microphone_is_said_by_the_test(server: Server) -> None:
    async with page(server.url, allow=False) as tab:
        await tab.call("Browser.setPermission", permission={"name": "microphone"}, setting="denied")
        await tab.until(FOUND)
        await tab.click("#microphone-test button")
        await tab.until("document.querySelector('#microphone-test .note').textContent.includes('is blocked')")
        assert await tab.js("parley.visit.tests[0].running") is False


async def test_starters_lead_to_the_interpreter_where_it_can_translate(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('[pipelines.default]\nmt = "bench"\ntts = "bench"\n')
    server = Server("--stt", "pocketsphinx", "--llm", "responder", cwd=tmp_path)
    try:
        async with page(server.url) as tab:
            tries = await offered(tab)
            assert tries[-1].startswith("Be heard in ")
            await press(tab, tries[-1])
            await tab.until("!document.querySelector('#interpreter').hidden")
            assert await tab.js("parley.interpreter.target") == "x-bench"
    finally:
        server.end()
