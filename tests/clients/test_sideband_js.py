"""The `openai` package in Node and `@openai/agents-realtime`, attached to a call over WebRTC that aiortc holds."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Server, serving
from tests.server.caller import calling
from tests.server.certificates import certificate

NODE_DIR = Path(__file__).parent / "node"
PATIENCE_S = 40
CONFIGURATION = """\
[server]
tls_cert = "server.crt"
tls_key = "server.key"

[pipelines.default]
stt = "bench"
llm = "bench"
tts = "bench"
"""


@dataclass(frozen=True)
class Secure:
    host: str

    @property
    def http(self) -> str:
        return f"https://{self.host}"


@pytest.fixture(autouse=True)
def installed() -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (NODE_DIR / "node_modules").exists():
        pytest.skip(f"the JavaScript clients are not installed; run: npm ci --prefix {NODE_DIR}")


async def node(script: str, task: dict[str, str]) -> asyncio.subprocess.Process:
    """A client that runs."""
    arguments, pipe = (script, json.dumps(task)), asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec("node", *arguments, cwd=NODE_DIR, stdout=pipe, stderr=pipe)


async def saw(client: asyncio.subprocess.Process) -> dict[str, Any]:
    """What the client saw, once it has ended."""
    out, err = await client.communicate()
    assert client.returncode == 0, err
    seen: dict[str, Any] = json.loads(out.splitlines()[-1])
    assert seen["types"][0] == "session.created"
    assert "response.output_audio.delta" not in seen["types"]
    return seen


async def test_a_backend_is_attached_to_a_call_until_it_ends(parley: Path, tmp_path: Path) -> None:
    files = certificate(tmp_path)
    (tmp_path / "parley.toml").write_text(CONFIGURATION, encoding="utf-8")
    with serving([str(parley), "serve", "--port", "0", "--config", "parley.toml"], tmp_path) as host:
        trusting = ssl.create_default_context(cafile=str(files.cert))
        async with calling(Secure(host), verify=trusting) as caller, asyncio.timeout(PATIENCE_S):
            task = {"http": f"https://{host}/v1", "ca": str(files.cert), "callID": caller.location.rpartition("/")[2]}
            client = await node("sideband.mjs", task)
            assert client.stderr is not None
            said = await client.stderr.readline()
            assert said == b"answered\n", said + await client.stderr.read()
            await caller.connection.close()
            seen = await saw(client)
    assert seen["errors"] == ["response_cancel_not_active"]
    assert seen["instructions"] == ["Be brief."]
    assert seen["code"] == 1000
    assert not caller.of("error")


async def test_an_agent_attached_to_a_call_runs_its_tool(server: Server) -> None:
    async with calling(server, path="/realtime/calls") as caller, asyncio.timeout(PATIENCE_S):
        call = caller.location.rpartition("/")[2]
        seen = await saw(await node("sideband_agent.mjs", {"url": server.realtime, "callId": call}))
        assert (seen["asked"], seen["errors"]) == (["Paris"], [])
        assert abs(caller.heard).max() > 1000, "the caller heard the answer"
        assert "sunny in Paris" in " ".join(
            one.transcript for one in caller.of("response.output_audio_transcript.done")
        )
        assert not caller.of("error")
