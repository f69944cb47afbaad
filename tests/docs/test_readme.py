"""The README's programs and file commands, word for word, against a server started as the README says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.docs.commands import commands
from tests.programs import run_program, run_program_in_bytes

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NODE_MODULES = ROOT / "tests/clients/node/node_modules"
START_LIMIT_S = 60

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    command = [sys.executable, "-c", "from parley.cli.main import main; main()", "serve", "--port", "0"]
    command += ["--stt", "pocketsphinx", "--llm", "responder"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    folder = tmp_path_factory.mktemp("server")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder)
    assert process.stderr is not None
    limit = threading.Timer(START_LIMIT_S, process.kill)
    limit.start()
    printed = []
    try:
        for line in process.stderr:
            printed.append(line)
            if listening := re.search(r"listens on http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            pytest.fail(f"parley serve did not start:\n{''.join(printed)}")
        limit.cancel()
        yield int(listening[1])
    finally:
        limit.cancel()
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def program(language: str, port: int) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1].replace("127.0.0.1:8765", f"127.0.0.1:{port}")


def test_the_python_program_gets_a_spoken_answer_to_what_was_said(
    port: int, tmp_path: Path, speech: Callable[[str], tuple[np.ndarray[Any, np.dtype[np.int16]], int]]
) -> None:
    pcm, rate = speech("weather_question")
    with wave.open(str(tmp_path / "question.wav"), "wb") as question:
        question.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        question.writeframes(pcm.tobytes())
    talk = tmp_path / "talk.py"
    talk.write_text(program("python", port), encoding="utf-8")
    done = run_program(str(talk), cwd=tmp_path, timeout_s=60)
    assert done.returncode == 0, done.stderr
    assert "paris" in done.stdout.lower()
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        heard = np.frombuffer(answer.readframes(answer.getnframes()), dtype="<i2")
    assert len(heard) > answer.getframerate()
    assert np.abs(heard).max() > 1000


def test_the_javascript_program_is_answered(port: int, tmp_path: Path) -> None:
    if not shutil.which("node") or not (NODE_MODULES / "@openai/agents-realtime").exists():
        pytest.skip("needs Node and `make test-clients`, which installs @openai/agents-realtime")
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "talk.mjs").write_text(program("javascript", port), encoding="utf-8")
    done = subprocess.run(["node", "talk.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "bytes of speech" in done.stdout
    assert "Parley" in done.stdout


# --- what `parley say` speaks, `parley transcribe` writes down -----------------------------------------------------------


def parley(folder: Path, arguments: list[str], stdin: bytes = b"") -> bytes:
    """What the command prints, with the engines of a base installation."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = run_program_in_bytes(
        *("-c", "from parley.cli.main import main; main()", *arguments),
        cwd=folder,
        stdin=stdin,
        timeout_s=100,
        env={**environment, "PARLEY_STT": "pocketsphinx", "PARLEY_TTS": "hibari"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def words(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def test_parley_transcribes_the_very_words_that_parley_say_wrote(tmp_path: Path) -> None:
    said, written = [
        command.words
        for command in commands(README)
        if command.words[:2] in (["parley", "say"], ["parley", "transcribe"])
    ]
    parley(tmp_path, said[1:])
    assert parley(tmp_path, written[1:]).decode().strip() == words(said[2])


PIPED = {
    said
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/parley/cli/*.py")]
    for said in re.findall(r'parley say "([^"]+)" -o - \| parley transcribe -', page.read_text(encoding="utf-8"))
}


def test_what_the_help_and_the_pages_pipe_comes_out_word_for_word(tmp_path: Path) -> None:
    assert PIPED
    for said in PIPED:
        sound = parley(tmp_path, ["say", said, "-o", "-"])
        assert parley(tmp_path, ["transcribe", "-"], sound).decode().strip() == words(said)
