"""The page about audio over HTTP is correct: its examples run against a server, and it names every field and every capability."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from parley.audio.files import read
from parley.config import Config
from parley.runtime.engines import LoadedEngines
from parley.server.audio_upload import MAX_AUDIO_SECONDS, MAX_REQUESTS, MAX_UPLOAD_BYTES
from parley.server.speech_rest import SpeechBody
from parley.server.transcription_fields import FORM
from tests.server.harness import Running, loaded, running_in_thread
from tests.server.recordings import wav
from tests.server.test_audio_transcriptions import Hearing

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "audio-rest.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8765"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def fields(section: str, until: str = "\n## ") -> set[str]:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.split(f"\n{section}\n")[1].split(until)[0], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([\w\[\]]+)`", row)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "question.wav").write_bytes(wav())

    async def engines(config: Config) -> LoadedEngines:
        return loaded(config, Hearing())

    with running_in_thread(make=engines) as started:
        yield started, folder


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_do_what_they_say(server: tuple[Running, Path]) -> None:
    started, folder = server
    answers = []
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").strip().splitlines():
            words = shlex.split(line.replace(ADDRESS, started.http))
            command = [words[0], "--silent", "--show-error", "--fail", "--noproxy", "*", *words[1:]]
            answers.append(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)
    whole, _, stream, _, model = answers
    assert msgspec.json.decode(whole)["text"].startswith("Hello to all.")
    assert (folder / "question.srt").read_text(encoding="utf-8").startswith("1\n00:00:00,100 --> ")
    assert stream.count("data: ") == 3
    assert read(folder / "kettle.mp3").seconds > 0.3
    assert msgspec.json.decode(model)["capabilities"]["pipeline"] == "default"


def test_the_programs_run(server: tuple[Running, Path]) -> None:
    started, folder = server
    said = ""
    for block in blocks("python"):
        program = block.replace(ADDRESS, started.http)
        environment = {**os.environ, "NO_PROXY": "*", "PYTHONIOENCODING": "utf-8"}
        run = [sys.executable, "-c", program]
        said += subprocess.run(
            run, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=True
        ).stdout
    assert "  0.10   0.40 Hello\n" in said
    assert said.endswith("Hello to all. Olá <mundo>")
    assert read(folder / "kettle.wav").seconds > 0.3


def test_every_field_is_on_the_page_and_no_other() -> None:
    plain = {name for name in FORM.fields if "[" not in name}
    assert fields("## Transcriptions", "\n### ") == plain | {f"{name}[]" for name in FORM.lists} | {"file"}
    assert fields("## Speech") == set(SpeechBody.__struct_fields__)


def test_every_capability_is_on_the_page_and_no_other(server: tuple[Running, Path]) -> None:
    started, _ = server
    with started.sync_client() as client:
        shown = client.models.retrieve("default").model_dump()["capabilities"]
    assert fields("## Models") == set(shown)


def test_the_limits_are_those_of_the_server() -> None:
    assert f"{MAX_UPLOAD_BYTES >> 20} MB" in PAGE
    assert (MAX_AUDIO_SECONDS, MAX_REQUESTS) == (2 * 3600, 4), "the page says two hours, and four requests"
