"""`parley talk` where there is no microphone, or none is wanted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.programs import run_program

pytestmark = pytest.mark.slow

PATIENCE_S = 120


def test_a_conversation_is_typed_line_by_line_and_ends_with_q(tmp_path: Path) -> None:
    # A conversation translates nothing: a translator that cannot be had does not matter.
    (tmp_path / "parley.toml").write_text('[pipelines.default]\nmt = "bergamot:en-xx"\n')
    command = [str(Path(sys.executable).with_name("parley")), "talk", "--plain", "--typed"]
    command += ["--stt", "pocketsphinx", "--llm", "responder", "--tts", "hibari"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    with (tmp_path / "stderr").open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        timer = threading.Timer(PATIENCE_S, process.kill)
        timer.start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "state: type a message" in line and len(lines) < 6:
                    process.stdin.write("Good bread.\n")
                    process.stdin.flush()
                elif "figures of turn 1" in line:
                    process.stdin.write("/q\n")
                    process.stdin.flush()
            process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
    text = "".join(lines)
    assert "microphone: none" in text, text + (tmp_path / "stderr").read_text()
    assert "you: Good bread." in text
    assert "reply: I heard: Good bread." in text
    assert text.count("figures of turn 1 in ms: answer ") == 1
    assert "model ~" not in text
    assert sum(line.startswith("Loaded in ") for line in (tmp_path / "stderr").read_text().splitlines()) == 1
    assert process.returncode == 0


def test_the_lines_of_a_pipe_are_answered_in_turn_and_end_the_conversation(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("parley")), "talk", "--plain", "--typed"]
    command += ["--stt", "pocketsphinx", "--llm", "responder", "--tts", "hibari"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = run_program(
        *command, cwd=tmp_path, env=environment, stdin=b"Good bread.\n\nFresh milk.", timeout_s=PATIENCE_S
    )
    told = [line.partition("] ")[2] for line in done.stdout.splitlines()]
    spoken = [line.split(". ")[0].rstrip(".") for line in told if line.startswith(("you: ", "reply: "))]
    assert spoken == [
        "you: Good bread",
        "reply: I heard: Good bread",
        "you: Fresh milk",
        "reply: I heard: Fresh milk",
    ], done.stdout
    assert done.returncode == 0, done.stderr
