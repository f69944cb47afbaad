"""The `openai` package in Node: its own client of translation sessions, which speaks TLS only and shows no event that is incomplete.

The server's engines take fixed times (`bench`); where the language must really change, the translator is a scripted language model.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chat_endpoint import ChatEndpoint
from tests.clients.conftest import serving
from tests.server.certificates import certificate

NODE_DIR = Path(__file__).parent / "node"
LIMIT_S = 90

Interpret = Callable[..., dict[str, Any]]

CONFIGURATION = """\
[server]
tls_cert = "server.crt"
tls_key = "server.key"

[pipelines.default]
stt = "bench"
llm = "bench"
tts = "bench"
mt = "bench"

[pipelines.model]
stt = "bench"
llm = "bench"
tts = "bench"
mt = "llm:openai:scripted"

[pipelines.model.mt_options]
guard = false
openai = { base_url = "URL" }
"""


@pytest.fixture(scope="module")
def interpret(
    parley: Path, chat: ChatEndpoint, speech: Callable[[str], bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interpret]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (NODE_DIR / "node_modules").exists():
        pytest.skip(f"the JavaScript client is not installed; run: npm ci --prefix {NODE_DIR}")
    folder = tmp_path_factory.mktemp("translations")
    files = certificate(folder)
    (folder / "parley.toml").write_text(CONFIGURATION.replace("URL", chat.base_url), encoding="utf-8")
    recording = folder / "speech.pcm"
    recording.write_bytes(speech("weather_question"))

    with serving([str(parley), "serve", "--port", "0", "--config", "parley.toml"], folder) as host:

        def run(model: str, *languages: str) -> dict[str, Any]:
            task = {"http": f"https://{host}/v1", "ca": str(files.cert), "audio": str(recording)}
            arguments = json.dumps({**task, "model": model, "languages": languages})
            done = subprocess.run(
                ["node", "translation.mjs", arguments], cwd=NODE_DIR, capture_output=True, text=True, timeout=LIMIT_S
            )
            assert done.returncode == 0, done.stderr
            seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            assert seen["types"] == seen["typed"], "events of ours that this client finds incomplete"
            assert seen["types"][-1] == "session.closed"
            return seen

        yield run


def test_recorded_speech_is_heard_translated_and_spoken_to_the_close(interpret: Interpret) -> None:
    seen = interpret("gpt-realtime-translate", "fr", "x-bench")
    (error,) = seen["errors"]
    assert (error["param"], "x-bench" in error["message"]) == ("session.audio.output.language", True)
    assert seen["typed"][:3] == ["session.created", "error", "session.updated"]
    assert (seen["heard"], seen["said"]) == ("bench", "hcneb")
    assert seen["audioBytes"] > 4_800  # a tenth of a second
    deltas = {f"session.{kind}.delta" for kind in ("input_transcript", "output_transcript", "output_audio")}
    assert deltas <= set(seen["typed"])
    assert seen["typed"].count("session.closed") == 1


def test_the_language_changes_between_two_sentences(interpret: Interpret, chat: ChatEndpoint) -> None:
    asked = len(chat.requests)
    seen = interpret("model", "pt", "es")
    assert seen["errors"] == []
    assert seen["settings"][1:] == ["pt", "es"]
    assert seen["heard"].split() == ["bench", "bench"]
    systems = [request["messages"][0]["content"] for request in chat.requests[asked:]]
    assert [name for system in systems for name in ("Portuguese", "Spanish") if name in system] == [
        "Portuguese",
        "Spanish",
    ]
