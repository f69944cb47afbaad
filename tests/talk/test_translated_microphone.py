"""`parley translate --mic`, the whole of it, on virtual sound devices: what is said is shown in the other language, and heard."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest

from tests.conftest import clip_path
from tests.talk.virtual_room import Tap, require_tools, virtual_room

pytestmark = pytest.mark.slow

START_S = 60
PATIENCE_S = 30


def read_until(stream: IO[str] | None, wanted: str, process: subprocess.Popen[str]) -> str:
    """All that is written up to the line that holds `wanted`."""
    assert stream is not None
    seen = ""
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    try:
        for line in stream:
            seen += line
            if wanted in line:
                return seen
    finally:
        timer.cancel()
    pytest.fail(f"nothing holds {wanted!r}: {seen}")


def test_what_is_said_is_translated_on_the_screen_and_in_the_loudspeaker(tmp_path: Path) -> None:
    require_tools()
    with virtual_room(tmp_path) as room:
        environment = {name: value for name, value in room.environment.items() if not name.startswith("PARLEY_")}
        command = [sys.executable, "-c", "from parley.cli.main import main; main()", "translate", "--mic"]
        options = ["--to", "x-bench", "--mt", "bench", "--stt", "pocketsphinx", "--tts", "bench", "--bilingual"]
        process = subprocess.Popen(
            [*command, *options],
            env=environment,
            cwd=tmp_path,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert "headphones" in read_until(process.stderr, "Ctrl-C ends", process)
            tap = Tap("speakers", environment)
            room.play(clip_path("hello_world"))
            assert read_until(process.stdout, "olleh dlrow", process)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)
            tap.stop()
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, said
        assert "hello world" in said
        assert "Traceback" not in said
        assert tap.spans(), "the translation was not heard"
