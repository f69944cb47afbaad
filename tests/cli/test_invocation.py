"""Notices spell the command so that it runs as it stands: found by the PATH, as it was typed, or by the path of its script."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import sysconfig
from pathlib import Path

import pytest

from parley.invocation import command, install


def script(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "parley"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The current folder, with `.venv/bin/parley` in it and no `parley` on the PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    script(tmp_path / ".venv" / "bin")
    return tmp_path


def test_a_script_off_the_path_is_named_as_it_was_typed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/parley", "serve"])
    assert command("models", "pull", "whisper:base") == ".venv/bin/parley models pull whisper:base"
    monkeypatch.setattr(sys, "argv", [str(here / ".venv/bin/parley")])
    assert command("serve") == ".venv/bin/parley serve"
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    assert command("serve") == f"{here}/.venv/bin/parley serve"


def test_a_script_on_the_path_is_named_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(here / ".venv/bin/parley")])
    monkeypatch.setenv("PATH", str(here / ".venv/bin"))
    assert command("serve") == "parley serve"


def test_another_installation_on_the_path_is_not_taken_for_this_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(here / "bin")
    monkeypatch.setattr(sys, "argv", [".venv/bin/parley"])
    assert command("serve") == ".venv/bin/parley serve"


def test_a_link_on_the_path_leads_to_this_installation(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "bin").mkdir()
    os.symlink(here / ".venv/bin/parley", here / "bin/parley")
    monkeypatch.setattr(sys, "argv", [".venv/bin/parley"])
    assert command("serve") == "parley serve"


def test_a_program_that_imports_parley_names_the_script_beside_its_interpreter(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/something"])
    monkeypatch.setattr(sys, "executable", str(here / ".venv/bin/python"))
    assert command("serve") == ".venv/bin/parley serve"


def test_without_any_script_the_name_alone_is_left(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setattr(sys, "executable", str(here / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(here / "nowhere"))
    assert command("serve") == "parley serve"


def test_what_a_shell_would_split_is_quoted(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = script(here / "my tools").parent
    monkeypatch.setattr(sys, "argv", [f"{folder}/parley"])
    assert command("models", "pull") == "'my tools/parley' models pull"


def test_an_extra_is_installed_by_the_packages_that_it_demands(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(here / ".venv/bin/python"))
    assert install("phonon") == ".venv/bin/python -m pip install 'ptts>=0.4.2'"
    packages = "'pulsectl>=24.12' 'sounddevice>=0.5' 'soxr>=1.1' 'textual>=1.0'"
    assert install("talk") == f".venv/bin/python -m pip install {packages}"


def test_without_metadata_the_extra_of_the_checkout_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    monkeypatch.setattr(sys, "executable", str(here / ".venv/bin/python"))
    assert install("talk") == ".venv/bin/python -m pip install --editable '.[talk]'"
