"""What a visitor is offered to try: only what comes out well with what is connected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chat_endpoint import chat_endpoint
from tests.web.browser import Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MODEL: dict[str, Any] = {
    "answers": {"by": "model"},
    "engines": {"tts": {}},
    "speaks": ["en", "de", "fr"],
    "voices": [
        {"name": "alloy", "of": "openai", "language": "de"},
        {"name": "anna", "of": "engine", "language": "de-AT"},
        {"name": "bob", "of": "engine", "language": "en"},
        {"name": "mei", "of": "engine", "language": "cmn"},
    ],
}


async def offered(tab: Tab, wanted: list[str], **changes: Any) -> list[dict[str, Any]]:
    """The starters in another language for this pipeline and this visitor."""
    pipeline, options = json.dumps({**MODEL, **changes}), json.dumps({"wanted": wanted})
    found: list[dict[str, Any]] = await tab.js(
        f"(async () => (await import('/assets/js/starters.js')).starters({pipeline}, {options}).filter((one) => one.language))()"
    )
    return found


CASES: list[tuple[str, list[str], dict[str, Any], tuple[str, str] | None]] = [
    ("one that is read", ["en-GB", "de-DE"], {}, ("Hear a story in German", "anna")),
    ("one that is familiar", ["en"], {}, ("Hear a story in French", "")),
    ("Mandarin", ["zh-TW"], {}, ("Hear a story in Chinese", "mei")),
    ("a voice without a name", ["pl"], {"speaks": ["en", "pl"], "voices": []}, ("Hear a story in Polish", "")),
    ("rules", ["de"], {"answers": {"by": "rules"}}, None),
    ("no voice", ["de"], {"speaks": ["en"], "voices": MODEL["voices"][2:3]}, None),
    ("no knowing", ["de"], {"speaks": [], "voices": []}, None),
    ("a language that the owner has fixed", ["de"], {"language": "en"}, None),
]


async def test_a_story_in_another_language_is_offered_where_there_is_a_voice_for_it(quick: Server) -> None:
    async with page(quick.url) as tab:
        for name, wanted, changes, starter in CASES:
            found = [(one["label"], one["voice"]) for one in await offered(tab, wanted, **changes)]
            assert found == ([] if starter is None else [starter]), name


async def test_tools_are_offered_and_declared_only_where_what_answers_calls_some(quick: Server) -> None:
    async with page(quick.url) as tab:
        await tab.until("parley.settings.pipeline")
        assert await tab.js("parley.settings.pipeline.tools") is True
        await tab.js("parley.settings.pipeline.tools = false; parley.settings.show(); parley.visit.first.show()")
        assert await tab.js("document.querySelector('#with-tools').disabled") is True
        labels: list[str] = await tab.js("[...document.querySelectorAll('.try')].map((one) => one.textContent)")
        assert labels
        assert not any("dice" in label for label in labels)
        await tab.js("parley.say('Hello')", gesture=True)
        await tab.until("document.querySelector('.entry.assistant')")
        assert tab.asked("session.update")[0]["session"]["tools"] == []


async def test_the_story_is_told_in_its_own_voice(tmp_path: Path) -> None:
    with chat_endpoint() as endpoint:
        model = ("--llm", "openai:scripted", "--llm-base-url", endpoint.base_url)
        server = Server("--stt", "bench", "--tts", "espeak", *model, cwd=tmp_path)
        try:
            async with page(server.url) as tab:
                labelled = "[...document.querySelectorAll('.try')].find((one) => one.textContent === 'Hear a story in Spanish')"
                await tab.until(labelled)
                await tab.js(f"{labelled}.click()", gesture=True)
                await tab.until("document.querySelector('.entry.assistant .words')?.innerText")
                assert await tab.text(".entry.user .words") == "Cuéntame un cuento corto, por favor."
                asked = tab.asked("response.create")[0]
                assert asked["response"]["audio"]["output"]["voice"] == "es"
                assert tab.told("response.created")[0]["response"]["audio"]["output"]["voice"] == "es"
                assert tab.told("error") == []
                assert tab.errors == []
        finally:
            server.end()
