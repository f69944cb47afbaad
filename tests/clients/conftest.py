"""A real `parley serve` for the stock clients: its own process and port, offline engines, a scripted chat endpoint."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import soxr

from tests.clients.chat_endpoint import ChatEndpoint, chat_endpoint
from tests.conftest import clip_path
from tests.speech import load as load_clip

START_LIMIT_S = 90


@dataclass(frozen=True)
class Server:
    """Where it listens: `host` is `127.0.0.1:PORT`."""

    host: str

    @property
    def http(self) -> str:
        return f"http://{self.host}/v1"

    @property
    def realtime(self) -> str:
        return f"ws://{self.host}/v1/realtime"


@pytest.fixture(scope="session")
def chat() -> Iterator[ChatEndpoint]:
    with chat_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def parley() -> Path:
    """The server's program, from the environment of the tests."""
    return Path(sys.executable).parent / "parley"


@pytest.fixture(scope="session")
def server(parley: Path, chat: ChatEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = [
        str(parley),
        "serve",
        "--port",
        "0",
        "--stt",
        "pocketsphinx",
        "--tts",
        "hibari",
    ]
    command += ["--llm", "openai:scripted", "--llm-base-url", chat.base_url]
    with serving(command, tmp_path_factory.mktemp("server")) as host:
        yield Server(host)


@contextmanager
def serving(command: list[str], folder: Path) -> Iterator[str]:
    """Run `parley serve` in that folder; gives where it listens, as `127.0.0.1:PORT`. It must not end by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "OPENAI_"))}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder)
    assert process.stderr is not None
    said: list[str] = []
    expired = threading.Timer(START_LIMIT_S, process.kill)
    expired.start()
    try:
        for line in process.stderr:
            said.append(line)
            if listening := re.search(r"listens on https?://([^\s]+)", line):
                break
        else:
            pytest.fail(f"parley serve did not start:\n{''.join(said)}")
        expired.cancel()
        drain = threading.Thread(target=lambda stream: said.extend(stream), args=(process.stderr,), daemon=True)
        drain.start()
        yield listening.group(1)
        assert process.poll() is None, f"the server ended by itself:\n{''.join(said)}"
    finally:
        expired.cancel()
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def speech() -> Callable[[str], bytes]:
    """A speech clip by name, PCM16 at 24 kHz, followed by 1.5 s of silence: a turn that ends."""

    def load(name: str) -> bytes:
        samples, rate = load_clip(clip_path(name))
        pcm = samples if rate == 24_000 else soxr.resample(samples, rate, 24_000)
        return pcm.astype("<i2").tobytes() + bytes(2 * 36_000)

    return load


def chunks(pcm: bytes, length_ms: int = 100) -> Iterator[bytes]:
    """Sample positions, not arrival times, decide where a turn ends: tests need not take as long as the speech."""
    size = 48 * length_ms
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]
