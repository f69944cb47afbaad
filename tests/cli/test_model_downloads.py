"""A command fetches the models that its engines lack: after one question on a terminal, otherwise only where a setting says so."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.tiny_models import whisper_folder
from tests.models.model_hosts import ModelHosts
from tests.programs import run_program

CLIP = Path(__file__).parents[1] / "clips" / "hello_world.wav"
COMMAND = ["transcribe", str(CLIP), "--stt", "whisper:tiny.en"]

PROGRAM = """
import dataclasses, json, os, sys
from parley.cli.main import run
from parley.models.catalogue import HubSource, ModelFile, catalogue
known = catalogue()["whisper:tiny.en"]
files = tuple(ModelFile(**file) for file in json.loads(os.environ["TOY_FILES"]))
catalogue()[known.name] = dataclasses.replace(known, files=files, sources=(HubSource("org/model"),), accept="TOY_ACCEPT" in os.environ)
sys.argv[0] = "parley"
sys.exit(run(sys.argv[1:]))
"""
"""`parley`, whose catalogue has a tiny model of random weights as `whisper:tiny.en`."""

LIMIT_S = 120


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = whisper_folder(tmp_path_factory.mktemp("weights"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hosts(weights: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModelHosts]:
    """The Hub and the mirror have the model, this machine does not."""
    files = [
        {"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in weights.items()
    ]
    with ModelHosts() as made:
        made.files = dict(weights)
        made.mirrored = {f"whisper/tiny.en/{name}": data for name, data in weights.items()}
        for variable, value in {
            "TOY_FILES": json.dumps(files),
            "HF_ENDPOINT": made.url,
            "HF_HOME": str(tmp_path / "hub"),
            "PARLEY_MODELS_DIR": str(tmp_path / "models"),
            "COLUMNS": "200",
        }.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield made


def installed(tmp_path: Path) -> bool:
    return (tmp_path / "models" / "whisper" / "tiny.en").is_dir()


def piped(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_program("-c", PROGRAM, *COMMAND, *arguments, timeout_s=LIMIT_S)


class Terminal:
    """The command on a terminal of its own: `until` reads, `type` writes, `end` waits for its exit code."""

    def __init__(self) -> None:
        self.shown = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", PROGRAM, *COMMAND])

    def until(self, text: str) -> str:
        """All that was shown, once `text` was."""
        began = time.monotonic()
        while text not in self.shown:
            assert self._read(began), f"{text!r} was not shown: {self.shown}"
        return self.shown

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def end(self) -> int:
        """The exit code."""
        began = time.monotonic()
        while self._read(began):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.descriptor)

    def _read(self, began: float) -> bool:
        left = LIMIT_S - (time.monotonic() - began)
        if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # the other side has gone
            return False
        self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode(errors="replace"))
        return bool(data)


@pytest.fixture
def terminal(hosts: ModelHosts) -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@pytest.mark.slow
def test_on_a_terminal_one_question_names_size_licence_and_source_and_enter_means_yes(
    terminal: Terminal, tmp_path: Path
) -> None:
    question = terminal.until("Fetch it now? [Y/n]")
    assert re.search(r"whisper:tiny\.en  \d+ MB, MIT, from the Hub \(org/model\)", question)
    assert not installed(tmp_path)
    terminal.type("\n")
    assert terminal.end() in (0, 1), terminal.shown  # random weights may hear nothing
    assert installed(tmp_path)


@pytest.mark.slow
def test_a_no_fetches_nothing_and_leaves_the_command_that_does(
    terminal: Terminal, hosts: ModelHosts, tmp_path: Path
) -> None:
    terminal.until("[Y/n]")
    terminal.type("n\n")
    assert terminal.end() == 2
    assert "parley models pull whisper:tiny.en" in terminal.shown
    assert not hosts.requests
    assert not installed(tmp_path)


@pytest.mark.slow
def test_ctrl_c_ends_a_download_cleanly_and_the_next_start_goes_on(
    hosts: ModelHosts, weights: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PARLEY_MODELS_MIRROR", f"{hosts.url}/mirror")
    hosts.stall_after = len(next(iter(weights.values()))) // 2
    terminal = Terminal()
    try:
        terminal.until("[Y/n]")
        terminal.type("y\n")
        assert hosts.stalled.wait(LIMIT_S)
        terminal.type("\x03")
        assert terminal.end() == 130
    finally:
        terminal.close()
    assert "Traceback" not in terminal.shown
    assert not installed(tmp_path)
    done = piped("--pull", "always")
    assert done.returncode in (0, 1), done.stderr
    assert installed(tmp_path)
    assert hosts.ranges


@pytest.mark.slow
def test_without_a_terminal_nothing_is_fetched_unless_a_setting_says_so(
    hosts: ModelHosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for refused in (piped(), piped("--pull", "never")):
        assert refused.returncode == 2
        assert "parley models pull whisper:tiny.en" in refused.stderr
    assert not hosts.requests
    monkeypatch.setenv("PARLEY_MODELS_PULL", "always")
    fetched = piped()
    assert fetched.returncode in (0, 1), fetched.stderr
    assert "from the Hub (org/model)" in fetched.stderr
    assert installed(tmp_path)


@pytest.mark.slow
def test_a_download_that_fails_is_reported_and_the_engine_says_what_it_lacks(hosts: ModelHosts, tmp_path: Path) -> None:
    hosts.files = {}
    failed = piped("--pull", "always")
    assert failed.returncode == 2
    assert "could not be fetched. the Hub (org/model)" in failed.stderr
    assert "is not on this machine" in failed.stderr
    assert not installed(tmp_path)


@pytest.mark.slow
def test_a_licence_that_restricts_use_is_never_accepted_on_the_way(
    hosts: ModelHosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_ACCEPT", "1")
    refused = piped("--pull", "always")
    assert refused.returncode == 2
    assert "parley models pull whisper:tiny.en --accept" in refused.stderr
    assert not hosts.requests
    assert not installed(tmp_path)


@pytest.mark.slow
def test_a_repository_whose_licence_restricts_use_is_never_fetched_on_the_way(hosts: ModelHosts) -> None:
    hosts.licence = "cc-by-nc-4.0"
    refused = piped("--stt", "whisper:org/model", "--pull", "always")
    assert refused.returncode == 2
    assert "parley models pull hub:org/model --accept" in refused.stderr
    assert not any("/resolve/" in path for path in hosts.requests)
