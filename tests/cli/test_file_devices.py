"""`parley say` through a loudspeaker and `parley transcribe --mic` from a microphone, both of them virtual."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import clip_path
from tests.talk.virtual_room import Room, virtual_room

pytestmark = pytest.mark.slow

MAIN = "from parley.cli.main import main; main()"


def environment(room: Room) -> dict[str, str]:
    return {**room.environment, "PARLEY_STT": "pocketsphinx", "PARLEY_LLM": "responder"}


def test_a_text_is_heard_from_the_loudspeaker_to_its_end(tmp_path: Path) -> None:
    with virtual_room(tmp_path) as room, room.tapped() as (_, speakers):
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "say", "The kettle is on the stove. It is hot."],
            env=environment(room),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seconds = float(done.stderr.strip().splitlines()[-1].split()[0])
    spans = speakers.spans(gap_s=1.0)
    assert len(spans) == 1
    # The words begin and end with some silence of the synthesizer's own.
    assert seconds - 0.8 < spans[0][1] - spans[0][0] <= seconds + 0.1
    assert np.abs(speakers.sound()[1]).max() > 1000


def test_what_is_said_into_the_microphone_is_written_until_ctrl_c(tmp_path: Path) -> None:
    recording = clip_path("hello_world")
    with virtual_room(tmp_path) as room:
        listener = subprocess.Popen(
            [sys.executable, "-c", MAIN, "transcribe", "--mic"],
            env=environment(room),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        giving_up = threading.Timer(60, listener.kill)
        giving_up.start()
        try:
            assert listener.stdout is not None
            assert listener.stderr is not None
            assert "Listening" in listener.stderr.readline()
            room.play(recording)
            assert listener.stdout.readline().startswith("hello")
            listener.send_signal(signal.SIGINT)
            rest, errors = listener.communicate()
            assert listener.returncode == 0, errors
            assert rest == ""
            assert "Traceback" not in errors
        finally:
            giving_up.cancel()
            listener.kill()
            listener.communicate()
