"""A server to talk to, and recordings put together for the browser's microphone."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from tests.web.chromium import chromium
from tests.web.pipelines import PIPELINES
from tests.web.quick import KEY, quick_server
from tests.web.server import Server

MICROPHONE_HZ = 48_000
OFFLINE = ("--stt", "pocketsphinx", "--llm", "responder", "--tts", "hibari")
"""Engines that need no network, whatever runs on this machine."""

Speech = Callable[[str], tuple[NDArray[np.int16], int]]


@pytest.fixture(autouse=True)
def _browser(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("slow") is not None and chromium() is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium); PARLEY_TEST_CHROMIUM names another one")


@pytest.fixture
def microphone(tmp_path_factory: pytest.TempPathFactory, speech: Speech) -> Callable[..., Path]:
    """A WAV of recordings (by name) and silences (in seconds), one after the other; the same parts are the same file, and one browser's."""
    folder = tmp_path_factory.getbasetemp() / "microphones"
    folder.mkdir(exist_ok=True)

    def record(*parts: str | float) -> Path:
        path = folder / f"{'-'.join(map(str, parts))}.wav"
        if path.exists():
            return path
        pieces: list[NDArray[np.int16]] = []
        for part in parts:
            if isinstance(part, str):
                pcm, rate = speech(part)
                pieces.append(np.asarray(soxr.resample(pcm.astype(np.float32), rate, MICROPHONE_HZ)).astype(np.int16))
            else:
                pieces.append(np.zeros(int(part * MICROPHONE_HZ), np.int16))
        with wave.open(str(path), "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(MICROPHONE_HZ)
            wav.writeframes(np.concatenate(pieces).tobytes())
        return path

    return record


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests of a process; those that end it, lock it or fill it start their own."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "parley.toml").write_text(PIPELINES)
    running = Server(cwd=folder)
    yield running
    running.end()


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that need neither ears nor a voice, and that neither end it, nor lock it or fill it."""
    running = quick_server(tmp_path_factory.mktemp("quick"))
    yield running
    running.end()


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Such a one that others can reach, and that asks for a key."""
    public = '[server]\npublic_url = "https://voice.example"\n'
    running = quick_server(tmp_path_factory.mktemp("locked"), "--host", "0.0.0.0", "--api-key", KEY, settings=public)
    yield running
    running.end()
