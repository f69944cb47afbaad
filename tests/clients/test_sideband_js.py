"""The `openai` package in Node, attached to a call over WebRTC that aiortc holds."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.conftest import serving
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


async def test_a_backend_is_attached_to_a_call_until_it_ends(parley: Path, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (NODE_DIR / "node_modules").exists():
        pytest.skip(f"the JavaScript client is not installed; run: npm ci --prefix {NODE_DIR}")
    files = certificate(tmp_path)
    (tmp_path / "parley.toml").write_text(CONFIGURATION, encoding="utf-8")
    with serving([str(parley), "serve", "--port", "0", "--config", "parley.toml"], tmp_path) as host:
        trusting = ssl.create_default_context(cafile=str(files.cert))
        async with calling(Secure(host), verify=trusting) as caller, asyncio.timeout(PATIENCE_S):
            task = {"http": f"https://{host}/v1", "ca": str(files.cert), "callID": caller.location.rpartition("/")[2]}
            node = await asyncio.create_subprocess_exec(
                "node",
                "sideband.mjs",
                json.dumps(task),
                cwd=NODE_DIR,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert node.stderr is not None
            said = await node.stderr.readline()
            assert said == b"answered\n", said + await node.stderr.read()
            await caller.connection.close()
            out, err = await node.communicate()
            assert node.returncode == 0, err
    seen = json.loads(out.splitlines()[-1])
    assert seen["types"][0] == "session.created"
    assert seen["errors"] == ["response_cancel_not_active"]
    assert seen["instructions"] == ["Be brief."]
    assert "response.output_audio.delta" not in seen["types"]
    assert seen["code"] == 1000
    assert not caller.of("error")
