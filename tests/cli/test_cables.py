"""`parley cables` and `parley uninstall`, on a real PulseAudio and in folders of their own; the arguments of the install scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.cables import persistence
from parley.cables.pulse import read_sound_server
from parley.cli.main import run
from tests.talk.virtual_room import Room, virtual_room

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without anything, and without a sound server."""
    for name in ("PARLEY_MODELS_DIR", "PARLEY_VOICES_DIR", "PARLEY_CONFIG", "PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nothing")
    return tmp_path


@pytest.fixture
def room(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    with virtual_room(home) as room:
        for name in ("XDG_RUNTIME_DIR", "PULSE_SERVER"):
            monkeypatch.setenv(name, room.environment[name])
        yield room


def test_create_says_what_to_choose_in_the_call(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cables", "create"]) == 0
    said = capsys.readouterr().out
    assert "microphone:  Parley microphone" in said
    assert "loudspeaker: Parley call" in said
    assert "open already must choose them again" in said
    assert run(["cables", "list"]) == 0
    assert "parley_mic   there" in capsys.readouterr().out


def test_json_names_the_devices_of_both_ends(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cables", "create", "--persist", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [(cable["name"], cable["present"], cable["playback"], cable["capture"]) for cable in made["cables"]] == [
        ("parley_mic", True, "parley_mic_sink", "parley_mic"),
        ("parley_call", True, "parley_call", "parley_call.monitor"),
    ]
    assert made["cables"][0]["call"] == {"use": "microphone", "device": "parley_mic", "shown_as": "Parley microphone"}
    assert made["files"] == [str(persistence.pulse_script())]
    assert run(["cables", "remove", "--json"]) == 0
    removed = json.loads(capsys.readouterr().out)
    assert (len(removed["modules"]), removed["files"], removed["remaining"]) == (3, made["files"], [])


def test_list_fails_where_a_cable_is_missing(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cables", "list"]) == 1
    said = capsys.readouterr()
    assert "parley_mic   not there (parley_mic_sink, parley_mic missing)" in said.out
    assert "cables create" in said.err
    assert run(["cables", "remove"]) == 0
    assert "There was no cable." in capsys.readouterr().out


def test_without_a_sound_server_the_error_has_a_remedy(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cables", "create"]) == 2
    assert "pulseaudio --start" in capsys.readouterr().err


def test_macos_is_told_what_to_install(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert run(["cables", "create"]) == 2
    assert "brew install blackhole-2ch blackhole-16ch" in capsys.readouterr().err


# --- uninstall -----------------------------------------------------------------------------------------------------------


def _furnish(home: Path) -> None:
    for path, size in {
        "data/parley/models/whisper/tiny/model.bin": 3 << 20,
        "data/parley/voices/me.json": 100,
        "data/parley/recordings/call.wav": 100,
        "config/parley/parley.toml": 10,
        "config/parley/keys.json": 10,
        "config/parley/mine.txt": 10,
        "call.wav": 10,
    }.items():
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))


def _files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() or path.is_symlink()}


KEPT = {"data/parley/recordings/call.wav", "config/parley/mine.txt", "call.wav"}


def test_dry_run_lists_sizes_and_removes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _furnish(home)
    before = _files(home)
    assert run(["uninstall", "--dry-run", "--yes"]) == 0
    said = capsys.readouterr().out
    assert f"     3.0 MiB  models: {home}/data/parley/models" in said
    assert "in all" in said
    assert "recordings" not in said
    assert _files(home) == before


def test_without_a_terminal_it_refuses_unless_told_yes(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _furnish(home)
    before = _files(home)
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert run(["uninstall"]) == 2
    assert "Add --yes." in capsys.readouterr().err
    assert _files(home) == before
    assert run(["uninstall", "--yes"]) == 0
    assert _files(home) == KEPT
    assert run(["uninstall", "--yes"]) == 0
    assert "keeps nothing" in capsys.readouterr().out


def test_folders_that_are_empty_then_go_too(home: Path) -> None:
    _furnish(home)
    shutil.rmtree(home / "data" / "parley" / "recordings")
    assert run(["uninstall", "--yes"]) == 0
    assert not (home / "data" / "parley").exists()
    assert (home / "data").is_dir()


def test_no_link_is_followed(
    home: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path_factory.mktemp("theirs")
    (theirs / "precious").write_text("x")
    _furnish(home)
    (home / "data/parley/models/linked").symlink_to(theirs)
    shutil.rmtree(home / "data/parley/voices")
    (home / "data/parley/voices").symlink_to(theirs)
    assert run(["uninstall", "--yes"]) == 0
    assert (theirs / "precious").exists()
    assert _files(home) == KEPT | {"data/parley/voices"}
    assert "(kept: it is a link" in capsys.readouterr().out


def test_a_folder_that_is_a_link_is_left_alone(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    theirs = tmp_path_factory.mktemp("theirs")
    (theirs / "models").mkdir()
    (home / "data").mkdir()
    (home / "data/parley").symlink_to(theirs)
    assert run(["uninstall", "--yes"]) == 0
    assert (theirs / "models").is_dir()


def test_a_folder_that_the_environment_names_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "elsewhere").mkdir()
    (home / "elsewhere" / "file").write_text("x")
    monkeypatch.setenv("PARLEY_MODELS_DIR", str(home / "elsewhere"))
    assert run(["uninstall", "--yes"]) == 0
    assert "PARLEY_MODELS_DIR names it" in capsys.readouterr().out
    assert (home / "elsewhere" / "file").exists()


def test_the_cables_go_with_the_rest(room: Room, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cables", "create", "--persist"]) == 0
    capsys.readouterr()
    assert run(["uninstall", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "cable: parley_mic" in said
    assert str(persistence.pulse_script()) in said
    assert run(["uninstall", "--yes"]) == 0
    assert not [device.name for device in read_sound_server().devices if device.cable]
    assert persistence.persisted() == []
    assert not (home / "data" / "parley").exists()


def test_a_persisted_cable_goes_without_a_sound_server_too(home: Path) -> None:
    persistence.persist(pipewire=True)
    assert run(["uninstall", "--yes"]) == 0
    assert persistence.persisted() == []
    assert not (home / "data" / "parley").exists()


# --- the scripts ---------------------------------------------------------------------------------------------------------


def _script(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, **environment}
    return subprocess.run(["sh", str(ROOT / name), *arguments], capture_output=True, text=True, env=full, check=False)


@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
def test_a_script_explains_itself_and_refuses_what_it_does_not_know(home: Path, name: str) -> None:
    helped = _script(name, "--help")
    assert (helped.returncode, helped.stdout.startswith(("Installs", "Removes"))) == (0, True)
    for arguments in (("--bogus",), ("--prefix",), ("extra",)):
        refused = _script(name, *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert name in refused.stderr
    assert _files(home) == set()


def test_install_touches_nothing_that_another_installation_made(home: Path) -> None:
    (home / ".local/bin").mkdir(parents=True)
    (home / ".local/bin/parley").write_text("theirs")
    refused = _script("install.sh")
    assert refused.returncode == 2
    assert "belongs to another installation" in refused.stderr
    (home / "x y" / "venv").mkdir(parents=True)
    refused = _script("install.sh", "--prefix", str(home / "x y"), PARLEY_BIN_DIR=str(home / "bin"))
    assert "is no Python environment" in refused.stderr
    assert _files(home) == {".local/bin/parley"}


def test_install_needs_a_python_that_is_new_enough(home: Path) -> None:
    old = home / "old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    refused = _script("install.sh", "--python", str(old))
    assert refused.returncode == 1
    assert "older than 3.11" in refused.stderr


def test_uninstall_removes_the_environment_and_its_own_link_only(home: Path) -> None:
    venv, bin_folder = home / "data/parley/venv", home / ".local/bin"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("")
    (venv / "bin/parley").write_text(f'#!/bin/sh\necho "$@" >> {home}/called\n')
    (venv / "bin/parley").chmod(0o755)
    bin_folder.mkdir(parents=True)
    (bin_folder / "parley").write_text("theirs")
    assert _script("uninstall.sh", "--dry-run").returncode == 0
    assert venv.exists()
    assert _script("uninstall.sh", "--yes").returncode == 0
    assert (home / "called").read_text() == "uninstall --dry-run\nuninstall --yes\n"
    assert not (home / "data/parley").exists()
    assert (bin_folder / "parley").exists()
    again = _script("uninstall.sh", "--yes")
    assert (again.returncode, "there is no installation" in again.stderr) == (2, True)


def test_uninstall_stops_where_the_user_says_no(home: Path) -> None:
    venv = home / "data/parley/venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("")
    (venv / "bin/parley").write_text("#!/bin/sh\nexit 130\n")
    (venv / "bin/parley").chmod(0o755)
    assert _script("uninstall.sh").returncode == 130
    assert venv.exists()
