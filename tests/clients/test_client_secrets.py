"""Client secrets with the stock clients: made with `openai` for Python and Node, used by their holders."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from openai import AuthenticationError, OpenAI, PermissionDeniedError
from openai.types.realtime import RealtimeSessionCreateResponse

from tests.clients.conftest import Server

NODE_DIR = Path(__file__).parent / "node"
LIMIT_S = 90


def test_openai_for_python_makes_one_and_its_holder_talks(server: Server) -> None:
    backend = OpenAI(base_url=server.http, api_key="none")
    secret = backend.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "realtime", "model": "gpt-realtime", "instructions": "You answer for a bakery."},
    )
    assert isinstance(secret.session, RealtimeSessionCreateResponse)
    assert secret.session.instructions == "You answer for a bakery."
    holder = OpenAI(base_url=server.http, api_key=secret.value, max_retries=0)
    with holder.realtime.connect(model="gpt-realtime") as connection:
        created = connection.recv()
        assert created.type == "session.created"
        assert created.session.type == "realtime"
        assert created.session.instructions == "You answer for a bakery."
        connection.response.create(response={"output_modalities": ["text"]})
        while (event := connection.recv()).type != "response.done":
            assert event.type != "error"
        assert event.response.status == "completed"
    with pytest.raises(PermissionDeniedError):
        holder.models.list()
    with pytest.raises(AuthenticationError):
        OpenAI(base_url=server.http, api_key=secret.value + "x", max_retries=0).models.list()


def test_openai_for_node_makes_one_and_its_holders_talk(server: Server) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (NODE_DIR / "node_modules").exists():
        pytest.skip(f"the JavaScript client is not installed; run: npm ci --prefix {NODE_DIR}")
    task = json.dumps({"http": server.http, "url": server.realtime})
    done = subprocess.run(
        ["node", "client_secret.mjs", task], cwd=NODE_DIR, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["value"].startswith("ek_")
    assert seen["session"]["instructions"] == "You answer for a bakery."
    assert seen["browser"]["protocol"] == "realtime"
    assert seen["browser"]["event"]["session"]["instructions"] == "You answer for a bakery."
    assert seen["status"] == "completed"
    assert seen["errors"] == []
    assert seen["forged"] == {"status": 401, "code": "invalid_api_key"}
