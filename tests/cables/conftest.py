"""A sound server of its own for each test, and nothing of the user's folders."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parley.cables.pulse import read_sound_server
from tests.talk.virtual_room import Room, virtual_room


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folders, empty."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def room(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """PulseAudio with the sinks `mic` and `speakers`, and this process as its client."""
    with virtual_room(own_folders) as room:
        for name in ("XDG_RUNTIME_DIR", "PULSE_SERVER"):
            monkeypatch.setenv(name, room.environment[name])
        yield room


def pactl(*arguments: str) -> str:
    """What pactl prints."""
    done = subprocess.run(["pactl", *arguments], check=True, capture_output=True, text=True, env=os.environ)
    return done.stdout.strip()


def load_sink(name: str, description: str, rate: int = 48_000) -> str:
    """A null sink; returns the index of its module. The description holds no quotes."""
    properties = f"sink_properties=\"device.description='{description}'\""
    return pactl("load-module", "module-null-sink", f"sink_name={name}", f"rate={rate}", properties)


@contextmanager
def playing(device: str) -> Iterator[int]:
    """A program that plays silence to a device; yields its process, once its stream is there."""
    command = ["pacat", f"--device={device}", "--latency-msec=20", "/dev/zero"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 10
        while not read_sound_server().streams_of(process.pid):
            assert time.monotonic() < deadline_s
            threading.Event().wait(0.02)
        yield process.pid
    finally:
        process.kill()
        process.wait()
