"""`@openai/agents-realtime` over WebRTC in Chromium, with an ephemeral key: what its page sees and its listener hears."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import Server
from tests.clients.pages import NODE_DIR, pages, wav
from tests.web.browser import browsing
from tests.web.chromium import chromium

Talk = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
def address(speech: Callable[[str], bytes]) -> Iterator[str]:
    """Where the page is: a server of its own, as an application's would be."""
    if chromium() is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium); PARLEY_TEST_CHROMIUM names another one")
    if not (NODE_DIR / "node_modules").exists():
        pytest.skip(f"the JavaScript client is not installed; run: npm ci --prefix {NODE_DIR}")
    with pages({"/speech.wav": wav(speech("weather_question"))}) as host:
        yield f"{host}/call.html"


@pytest.fixture
def talk(server: Server, address: str, tmp_path: Path) -> Talk:
    async def run(scenario: str) -> dict[str, Any]:
        backend = OpenAI(base_url=server.http, api_key="none")
        secret = backend.realtime.client_secrets.create(session={"type": "realtime", "model": "gpt-realtime"})
        key = secret.value + ("x" if scenario == "wrong_key" else "")
        task = {"url": f"{server.http}/realtime/calls", "key": key, "scenario": scenario}
        async with browsing() as tab:
            await tab.goto(address)
            await tab.until("globalThis.talk")
            seen: dict[str, Any] = await tab.js(f"talk({json.dumps(task)})", gesture=True)
            assert scenario == "wrong_key" or tab.errors == [], tab.errors
        return seen

    return run


def messages(seen: dict[str, Any], role: str) -> list[str]:
    return [
        " ".join(part.get("transcript") or part.get("text") or "" for part in item["content"])
        for item in seen["history"]
        if item["type"] == "message" and item["role"] == role
    ]


async def test_a_text_message_is_answered_in_sound(talk: Talk) -> None:
    seen = await talk("text")
    assert "You said: Good morning" in messages(seen, "assistant")[-1]
    assert seen["energy"] > 0.01
    assert seen["statuses"] == ["completed"]
    assert seen["errors"] == []


async def test_recorded_speech_is_answered(talk: Talk) -> None:
    seen = await talk("speech")
    assert seen["energy"] > 0.01
    assert len(messages(seen, "user")) == 1
    assert messages(seen, "user")[0]
    assert seen["errors"] == []


async def test_a_tool_is_called_once_in_the_page_and_its_answer_spoken(talk: Talk) -> None:
    seen = await talk("tool")
    assert seen["toolCalls"] == ["Paris"]
    assert "sunny in Paris" in messages(seen, "assistant")[-1]
    assert seen["errors"] == []


async def test_talking_over_the_answer_stops_it_and_keeps_what_was_heard(talk: Talk, chat: ChatEndpoint) -> None:
    seen = await talk("barge_in")
    assert seen["statuses"][0] == "cancelled"
    assert 0 < seen["cuts"][0] < 6_000
    heard = "".join(str(message["content"]) for message in chat.last_messages if message["role"] == "assistant")
    assert heard
    assert len(heard) < len("".join(STORY)) / 2
    assert seen["errors"] == []


async def test_the_pages_stop_button_ends_the_answer(talk: Talk) -> None:
    seen = await talk("by_hand")
    assert seen["statuses"] == ["cancelled"]
    assert len(seen["cuts"]) == 1
    assert seen["errors"] == []


async def test_an_error_reaches_the_page_and_the_call_goes_on(talk: Talk) -> None:
    seen = await talk("error")
    (error,) = seen["errors"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "nothing_to_cancel")
    assert "output_audio_buffer.started" in seen["types"]


async def test_a_wrong_key_is_refused_in_words_that_the_page_can_read(talk: Talk) -> None:
    seen = await talk("wrong_key")
    assert "client secret" in seen["rejected"]
