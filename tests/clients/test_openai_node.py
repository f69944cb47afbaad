"""The `openai` package in Node: sessions over its own WebSocket client, which speaks TLS only, calls, audio over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import serving
from tests.clients.pages import NODE_DIR, wav
from tests.server.caller import calling
from tests.server.certificates import certificate

PATIENCE_S = 40

CONFIGURATION = """\
[server]
tls_cert = "server.crt"
tls_key = "server.key"

[pipelines.default]
stt = "pocketsphinx"
tts = "hibari"
llm = "openai:scripted"

[pipelines.default.llm_options]
base_url = "URL"
"""


@dataclass(frozen=True)
class Secure:
    """A server that speaks TLS; `http` as `calling` wants it."""

    host: str
    authority: str

    @property
    def http(self) -> str:
        return f"https://{self.host}"

    def task(self, scenario: str, **more: str) -> str:
        return json.dumps({"http": f"{self.http}/v1", "ca": self.authority, "scenario": scenario, **more})

    async def node(self, scenario: str, **more: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            "node",
            "openai.mjs",
            self.task(scenario, **more),
            cwd=NODE_DIR,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": self.authority},
        )

    async def saw(self, scenario: str, **more: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            client = await self.node(scenario, **more)
            out, err = await client.communicate()
        assert client.returncode == 0, err.decode()
        seen: dict[str, Any] = json.loads(out.splitlines()[-1])
        return seen


@pytest.fixture(scope="module")
def secure(parley: Path, chat: ChatEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (NODE_DIR / "node_modules").exists():
        pytest.skip(f"the JavaScript clients are not installed; run: npm ci --prefix {NODE_DIR}")
    folder = tmp_path_factory.mktemp("secure")
    files = certificate(folder)
    (folder / "parley.toml").write_text(CONFIGURATION.replace("URL", chat.base_url), encoding="utf-8")
    with serving([str(parley), "serve", "--port", "0", "--config", "parley.toml"], folder) as host:
        yield Secure(host, str(files.cert))


@pytest.fixture(scope="module")
def recording(speech: Callable[[str], bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "question.wav"
    path.write_bytes(wav(speech("weather_question")))
    return path


async def test_a_tool_is_called_and_its_answer_spoken(secure: Secure) -> None:
    seen = await secure.saw("tool")
    assert json.loads(seen["arguments"]) == {"city": "Paris"}
    assert "sunny in Paris" in seen["transcript"]
    assert seen["audioBytes"] > 24_000  # half a second
    assert seen["errors"] == []


async def test_talking_over_the_answer_stops_it_and_keeps_what_was_heard(
    secure: Secure, speech: Callable[[str], bytes], chat: ChatEndpoint, tmp_path: Path
) -> None:
    (tmp_path / "speech.pcm").write_bytes(speech("weather_question"))
    seen = await secure.saw("barge_in", audio=str(tmp_path / "speech.pcm"))
    assert (seen["status"], seen["errors"]) == ("cancelled", [])
    heard = "".join(str(one["content"]) for one in chat.last_messages if one["role"] == "assistant")
    assert len(heard) < len("".join(STORY)) / 2


async def test_an_error_reaches_the_client_and_the_session_goes_on(secure: Secure) -> None:
    seen = await secure.saw("error")
    assert seen["errors"] == [{"code": "response_cancel_not_active", "event_id": "nothing_to_cancel"}]
    assert "You said: Good morning" in seen["transcript"]


async def test_a_call_is_made_and_hung_up(secure: Secure) -> None:
    clients: list[asyncio.subprocess.Process] = []

    async def made(offer: str) -> tuple[str, str]:
        client = await secure.node("call", sdp=offer)
        clients.append(client)
        assert client.stdout is not None
        line = await client.stdout.readline()
        assert line, (await client.communicate())[1].decode()
        answered = json.loads(line)
        return answered["answer"], answered["location"]

    trusting = ssl.create_default_context(cafile=secure.authority)
    async with asyncio.timeout(PATIENCE_S), calling(secure, made=made, verify=trusting) as caller:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Good morning."}]}
        caller.send(type="conversation.item.create", item=item)
        caller.send(type="response.create")
        await caller.hears(500)
        (client,) = clients
        out, err = await client.communicate(b"hangup\n")
        assert client.returncode == 0, err.decode()
    assert json.loads(out.splitlines()[-1]) == {"status": 404, "code": "call_id_not_found"}


async def test_text_is_spoken_a_recording_translated_and_a_voice_refused(secure: Secure, recording: Path) -> None:
    seen = await secure.saw("audio", audio=str(recording))
    assert seen["bytes"] > 24_000
    assert "weather" in seen["text"].lower()
    assert seen["refused"] == {"status": 400, "param": "voice"}


async def test_a_recording_is_transcribed_as_json_words_subtitles_and_events(secure: Secure, recording: Path) -> None:
    seen = await secure.saw("transcription", audio=str(recording))
    assert "weather" in seen["text"]
    assert seen["words"] == seen["text"].split()
    assert " --> " in seen["subtitles"]
    assert seen["last"] == {"type": "transcript.text.done", "text": seen["text"]}
    assert seen["refused"] == {"status": 404, "param": "model"}
