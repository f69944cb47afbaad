"""`@openai/agents-realtime` in Node: a RealtimeSession over its WebSocket transport, configured with nothing but the URL."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import Server
from tests.clients.mcp_library import Library, mcp_library

NODE_DIR = Path(__file__).parent / "node"
LIMIT_S = 90

Converse = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    with mcp_library() as books:
        yield books


@pytest.fixture
def converse(server: Server, library: Library, speech: Callable[[str], bytes], tmp_path: Path) -> Converse:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (NODE_DIR / "node_modules").exists():
        pytest.skip(f"the JavaScript client is not installed; run: npm ci --prefix {NODE_DIR}")

    def run(scenario: str) -> dict[str, Any]:
        task = {"url": f"{server.realtime}?model=gpt-realtime", "scenario": scenario}
        if scenario.startswith("mcp"):
            task["mcp"] = library.url
        if scenario in ("speech", "barge_in"):
            recording = tmp_path / "speech.pcm"
            recording.write_bytes(speech("weather_question"))
            task["audio"] = str(recording)
        done = subprocess.run(
            ["node", "session.mjs", json.dumps(task)], cwd=NODE_DIR, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert seen["errors"] == []
        assert seen["unparsed"] == [], "events of ours that this client's schemas refuse"
        return seen

    return run


def said(item: dict[str, Any]) -> str:
    return " ".join(part.get("transcript") or part.get("text") or "" for part in item["content"])


def messages(seen: dict[str, Any], role: str) -> list[str]:
    return [said(item) for item in seen["history"] if item["type"] == "message" and item["role"] == role]


def test_a_text_message_is_answered_in_speech(converse: Converse) -> None:
    seen = converse("text")
    assert seen["audioBytes"] > 24_000  # half a second
    assert "You said: Good morning" in messages(seen, "assistant")[-1]


def test_a_conversation_is_remembered(converse: Converse, chat: ChatEndpoint) -> None:
    seen = converse("two_turns")
    assert len(messages(seen, "assistant")) == 2
    roles = [message["role"] for message in chat.last_messages if message["role"] != "system"]
    assert roles == ["user", "assistant", "user"]


def test_recorded_speech_is_answered(converse: Converse) -> None:
    seen = converse("speech")
    assert seen["audioBytes"] > 0
    assert len(messages(seen, "user")) == 1
    assert messages(seen, "user")[0]


def test_a_tool_is_called_once_and_its_answer_spoken(converse: Converse) -> None:
    seen = converse("tool")
    assert seen["toolCalls"] == ["Paris"]
    assert "sunny in Paris" in messages(seen, "assistant")[-1]


@pytest.mark.parametrize("scenario", ["mcp", "mcp_approval"])
def test_an_mcp_servers_tool_is_called_once_and_its_answer_spoken_once(
    converse: Converse, library: Library, chat: ChatEndpoint, scenario: str
) -> None:
    asked, called = len(chat.requests), len(library.calls)
    seen = converse(scenario)
    assert library.calls[called:] == ["Paris"]
    assert [message for message in messages(seen, "assistant") if message] == [
        "The tool says: Paris is on the third shelf."
    ]
    assert len(chat.requests) - asked == 2


def test_talking_over_the_answer_stops_it_and_keeps_what_was_heard(converse: Converse, chat: ChatEndpoint) -> None:
    seen = converse("barge_in")
    assert seen["interruptions"] >= 1
    assert seen["statuses"][0] == "cancelled"
    heard = "".join(str(message["content"]) for message in chat.last_messages if message["role"] == "assistant")
    assert len(heard) < len("".join(STORY)) / 2
