"""The Vercel AI SDK (`ai`, `@ai-sdk/openai`): its realtime session in Chromium, speech and transcription in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import Server
from tests.clients.pages import NODE_DIR, pages, wav
from tests.web.browser import browsing
from tests.web.chromium import chromium

LIMIT_S = 60

Talk = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (NODE_DIR / "node_modules").exists():
        pytest.skip(f"the JavaScript clients are not installed; run: npm ci --prefix {NODE_DIR}")


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=NODE_DIR, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def node(server: Server, scenario: str, **more: str) -> dict[str, Any]:
    task = {"http": server.http, "scenario": scenario, **more}
    seen: dict[str, Any] = json.loads(run("node", "ai.mjs", json.dumps(task)).splitlines()[-1])
    return seen


@pytest.fixture(scope="module")
def address(server: Server, speech: Callable[[str], bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is; its server hands out what the SDK has made of a client secret. The SDK's own address would be `wss:`."""
    if chromium() is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium); PARLEY_TEST_CHROMIUM names another one")
    bundle = tmp_path_factory.mktemp("bundle") / "session.mjs"
    run("node_modules/.bin/esbuild", "ai-session.mjs", "--bundle", "--format=esm", f"--outfile={bundle}")
    made = {"/speech.wav": wav(speech("weather_question")), "/ai-session.bundle.mjs": bundle.read_bytes()}
    setup = node(server, "token") | {"url": f"{server.realtime}?model=gpt-realtime"}
    with pages(made, {"/token": lambda: setup}) as host:
        yield f"{host}/ai.html"


@pytest.fixture
def talk(address: str, tmp_path: Path) -> Talk:
    async def converse(scenario: str) -> dict[str, Any]:
        async with browsing() as tab:
            await tab.goto(address)
            await tab.until("globalThis.talk")
            seen: dict[str, Any] = await tab.js(f"talk({json.dumps({'scenario': scenario})})", gesture=True)
            assert tab.errors == []
            return seen

    return converse


def said(seen: dict[str, Any]) -> str:
    """The words of the last message of the assistant."""
    spoken = [message for message in seen["messages"] if message["role"] == "assistant"]
    return "".join(part.get("text") or "" for part in spoken[-1]["parts"])


async def test_a_text_message_is_answered_in_sound(talk: Talk) -> None:
    seen = await talk("text")
    assert "You said: Good morning" in said(seen)
    assert (seen["played"], seen["errors"]) == (True, [])


async def test_a_tool_is_called_in_the_page_and_its_answer_spoken(talk: Talk) -> None:
    seen = await talk("tool")
    assert seen["toolCalls"] == ["Paris"]
    assert "sunny in Paris" in said(seen)
    assert seen["errors"] == []


async def test_talking_over_the_answer_stops_it(talk: Talk, chat: ChatEndpoint) -> None:
    seen = await talk("barge_in")
    assert seen["statuses"][0] == "cancelled"
    heard = "".join(str(message["content"]) for message in chat.last_messages if message["role"] == "assistant")
    assert len(heard) < len("".join(STORY))
    assert seen["errors"] == []


async def test_an_error_reaches_the_page_and_the_session_goes_on(talk: Talk) -> None:
    seen = await talk("error")
    (error,) = seen["errors"]
    assert "Cancellation failed" in error
    assert "You said: Good morning" in said(seen)


def test_a_recording_is_written_down_and_a_refusal_read(
    server: Server, speech: Callable[[str], bytes], tmp_path: Path
) -> None:
    (tmp_path / "question.wav").write_bytes(wav(speech("weather_question")))
    seen = node(server, "transcribe", audio=str(tmp_path / "question.wav"))
    assert "weather" in seen["text"]
    assert seen["segments"]
    assert seen["error"]["status"] == 404
    assert "no-such-model" in seen["error"]["message"]


def test_text_is_spoken_and_a_refusal_read(server: Server) -> None:
    seen = node(server, "speech")
    assert seen["mediaType"] == "audio/mpeg"
    assert seen["bytes"] > 4_000
    assert seen["error"]["status"] == 400
    assert "nobody" in seen["error"]["message"]
