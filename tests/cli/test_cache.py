"""`parley cache`, as a person and a program see it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from parley.cli.main import run
from parley.runtime.speech_files import SpeechFiles, StoredSpeech


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_SPEECH_CACHE_FOLDER", str(tmp_path / "speech"))
    return tmp_path / "speech"


def fill(folder: Path) -> None:
    files = SpeechFiles(folder, 1 << 20)
    files.open()
    for number in range(2):
        files.store(f"{number:064x}", StoredSpeech(np.zeros(2_400, np.float32), 24_000))


def test_it_says_where_the_cache_is_and_how_large(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "info"]) == 0
    said = capsys.readouterr().out
    assert str(folder) in said
    assert "speech_cache.enabled" in said
    assert not folder.exists(), "asking about it makes no folder"
    fill(folder)
    assert run(["cache", "info", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["enabled"], told["folder"]) == (2, False, str(folder))
    assert told["bytes"] == sum(path.stat().st_size for path in folder.iterdir())


def test_it_is_emptied_and_other_files_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "clear"]) == 0
    fill(folder)
    (folder / "notes.txt").write_text("mine")
    assert run(["cache", "clear"]) == 0
    assert "2 clauses removed" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_folder_that_is_none_is_a_clear_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write_text("a file")
    for command in ("info", "clear"):
        assert run(["cache", command]) == 2
        assert "parley:" in capsys.readouterr().err
