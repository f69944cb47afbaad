"""The two cables on a real PulseAudio: made once, remembered, told from what others made, removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from parley.cables import cables, persistence, state
from parley.cables.cables import CableNameTaken, RemovedCables
from parley.cables.other_systems import CablesByHand
from parley.cables.own import CABLES
from parley.cables.persistence import BEGIN, END
from parley.cables.pulse import read_sound_server
from parley.cables.sound_server import SoundServerUnavailable
from tests.cables.conftest import load_sink, pactl
from tests.talk.virtual_room import CHUNK_BYTES, LOUD, Room, Tap

NONE_REMOVED = RemovedCables((), (), ())


@pytest.fixture(autouse=True)
def system_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's start script of PulseAudio: the tests of the configuration need no PulseAudio."""
    script = tmp_path / "system.pa"
    script.touch()
    monkeypatch.setattr(persistence, "SYSTEM_SCRIPT", str(script))
    return script


def _names() -> set[str]:
    return {device.name for device in read_sound_server().devices}


def test_what_is_played_to_the_microphone_cable_comes_out_of_the_calls_microphone(room: Room) -> None:
    made = cables.create()
    assert [cable.present for cable in made] == [True, True]
    shown = {device.name: device for device in read_sound_server().devices}
    assert shown["parley_mic"].description == "Parley microphone"
    assert (shown["parley_call"].description, shown["parley_call"].rate) == ("Parley call", 48_000)
    assert {name for name, device in shown.items() if device.own_monitor} == {
        "parley_mic", "parley_mic_sink.monitor", "parley_call.monitor",
    }  # fmt: skip
    heard = subprocess.Popen(["parec", "--device=parley_mic", "--raw", "--latency-msec=20"], stdout=subprocess.PIPE)
    said = subprocess.Popen(["pacat", "--device=parley_mic_sink", "--raw", "--latency-msec=20"], stdin=subprocess.PIPE)
    elsewhere = Tap("parley_call", dict(os.environ))
    try:
        assert said.stdin is not None
        assert heard.stdout is not None
        said.stdin.write(b"\x00\x20" * 44_100 * 2)
        said.stdin.flush()
        deadline_s = time.monotonic() + 10
        while max(heard.stdout.read(CHUNK_BYTES)) == 0:
            assert time.monotonic() < deadline_s
    finally:
        for process in (heard, said):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        elsewhere.stop()
    assert abs(elsewhere.sound()[1]).max(initial=0) < LOUD


def test_creating_twice_makes_the_same_cables(room: Room) -> None:
    made = cables.create()
    assert cables.create() == made == cables.listed()
    assert sum("parley.cable=" in line for line in pactl("list", "short", "modules").splitlines()) == 3
    assert state.path().stat().st_mode & 0o777 == 0o600


def test_only_what_is_missing_is_made_again(room: Room) -> None:
    before = cables.create()
    pactl("unload-module", str(before[0].modules[1]))
    assert cables.listed()[0].missing == ("parley_mic",)
    after = cables.create()
    assert after[0].modules[0] == before[0].modules[0]
    assert after[1] == before[1]
    assert after[0].present


def test_removing_takes_ours_and_nothing_else(room: Room) -> None:
    others = load_sink("parley_party", "Parley party")
    cables.create()
    assert len(cables.remove().modules) == 3
    assert _names() == {"mic", "mic.monitor", "speakers", "speakers.monitor", "parley_party", "parley_party.monitor"}
    assert others in [line.split()[0] for line in pactl("list", "short", "modules").splitlines()]
    assert not state.path().exists()
    assert cables.remove() == NONE_REMOVED


def test_an_index_of_an_earlier_run_of_the_server_is_stale(room: Room) -> None:
    cables.create()
    remembered = state.recall()
    room.stop()
    room.start()
    # The indexes that the cables had belong to other modules now.
    theirs = [load_sink(f"theirs{number}", "Theirs") for number in range(4)]
    assert {str(entry.index) for entry in remembered} & set(theirs)
    assert cables.remove() == NONE_REMOVED
    assert {"theirs0", "theirs1", "theirs2", "theirs3"} <= _names()
    assert all(cable.present for cable in cables.create())
    assert len(state.recall()) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "modules": [{"cable": 1}]}',
        '{"version": 2, "modules": []}',
        "\udcff",
    ],
)
def test_a_damaged_memory_is_forgotten(room: Room, text: str) -> None:
    state.path().parent.mkdir(parents=True)
    state.path().write_bytes(text.encode("utf-8", "surrogateescape"))
    assert all(cable.present for cable in cables.create())
    assert [entry.cable for entry in state.recall()] == ["parley_mic", "parley_mic", "parley_call"]


def test_a_forged_memory_unloads_nothing_of_others(room: Room) -> None:
    theirs = load_sink("theirs", "Theirs")
    run = read_sound_server().run
    entry = {
        "cable": "parley_call",
        "run": run,
        "index": int(theirs),
        "name": "module-null-sink",
        "argument": "sink_name=x",
    }
    state.path().parent.mkdir(parents=True)
    state.path().write_text(json.dumps({"version": 1, "modules": [entry]}))
    assert cables.remove() == NONE_REMOVED
    assert "theirs" in _names()


def test_a_device_of_another_maker_with_our_name_is_an_error_and_stays(room: Room) -> None:
    theirs = load_sink("parley_call", "Theirs")
    with pytest.raises(CableNameTaken, match=f"parley_call that Parley did not make.*unload-module {theirs}"):
        cables.create()
    assert not {"parley_mic_sink", "parley_mic"} & _names()
    assert cables.remove() == NONE_REMOVED
    assert "parley_call" in _names()


def test_what_was_made_is_taken_back_when_the_rest_fails(room: Room, own_folders: Path) -> None:
    (own_folders / "config" / "pulse").mkdir(parents=True, exist_ok=True)
    persistence.pulse_script().mkdir()
    with pytest.raises(persistence.PersistenceFailed, match=r"default\.pa"):
        cables.create(persist=True)
    assert not any(cable.modules for cable in cables.listed())
    assert state.recall() == []


def test_the_defaults_stay_what_they_were(room: Room) -> None:
    pactl("load-module", "module-switch-on-connect", "ignore_virtual=no")
    before = read_sound_server()
    cables.create()
    after = read_sound_server()
    assert (after.default_output, after.default_input) == (before.default_output, before.default_input)


def test_processes_that_create_at_once_make_one_pair_of_cables(room: Room) -> None:
    command = [sys.executable, "-m", "parley.cli.main", "cables", "create"]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0, 0, 0, 0]
    assert [len(cable.modules) for cable in cables.listed()] == [2, 1]


def test_without_a_server_the_configuration_is_cleaned_all_the_same(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{own_folders}/nothing")
    persistence.persist(pipewire=False)
    persistence.persist(pipewire=True)
    with pytest.raises(SoundServerUnavailable):
        cables.remove()
    assert persistence.persisted() == []


@pytest.mark.parametrize(("system", "wanted"), [("darwin", "BlackHole 16ch"), ("win32", "CABLE Output")])
def test_other_systems_are_told_what_to_install(system: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    for act in (cables.create, cables.listed, cables.remove):
        with pytest.raises(CablesByHand, match=wanted):
            act()


# --- the sound server's configuration ------------------------------------------------------------------------------------


def test_a_new_start_script_keeps_the_systems_and_vanishes_again(own_folders: Path, system_script: Path) -> None:
    script = persistence.persist(pipewire=False)
    assert script.read_text().startswith(f".include {system_script}\n{BEGIN}")
    assert persistence.persist(pipewire=False) == script
    assert script.read_text().count(BEGIN) == 1
    assert persistence.unpersist() == [script]
    assert not script.exists()


@pytest.mark.parametrize(
    "theirs",
    ["load-module module-x\n", "no newline at the end", "", "\r\nload-module y\r\n", "caf\udce9 Latin-1\n", f"{END}\n"],
)
def test_a_start_script_of_the_user_is_restored_to_the_byte(own_folders: Path, theirs: str) -> None:
    script = persistence.pulse_script()
    script.parent.mkdir(parents=True)
    original = theirs.encode("utf-8", "surrogateescape")
    script.write_bytes(original)
    script.chmod(0o640)
    persistence.persist(pipewire=False)
    assert script.read_bytes().startswith(original)
    assert script.stat().st_mode & 0o777 == 0o640
    persistence.unpersist()
    # The block begins on a line of its own.
    assert script.read_bytes() in (original, original + b"\n")


def test_a_missing_system_script_is_not_included(own_folders: Path, system_script: Path) -> None:
    system_script.unlink()
    with pytest.raises(persistence.PersistenceFailed, match=r"system\.pa is not here"):
        persistence.persist(pipewire=False)
    assert persistence.persisted() == []


def test_lines_that_the_user_added_after_the_block_stay(own_folders: Path, system_script: Path) -> None:
    script = persistence.persist(pipewire=False)
    script.write_text(script.read_text() + "load-module theirs\n")
    persistence.unpersist()
    assert script.read_text() == f".include {system_script}\nload-module theirs\n"


def test_a_block_without_its_end_is_left_alone(own_folders: Path) -> None:
    script = persistence.persist(pipewire=False)
    broken = script.read_text().replace(END, "load-module theirs")
    script.write_text(broken)
    persistence.unpersist()
    assert script.read_text() == broken


def test_a_start_script_that_is_a_link_stays_one(own_folders: Path) -> None:
    real = own_folders / "dotfiles" / "default.pa"
    real.parent.mkdir()
    real.write_text("load-module theirs\n")
    script = persistence.pulse_script()
    script.parent.mkdir(parents=True)
    script.symlink_to(real)
    persistence.persist(pipewire=False)
    assert script.is_symlink()
    assert BEGIN in real.read_text()
    persistence.unpersist()
    assert real.read_text() == "load-module theirs\n"


def test_pulseaudio_makes_the_cables_at_its_start_and_they_count_as_ours(room: Room, own_folders: Path) -> None:
    script = persistence.pulse_script()
    script.parent.mkdir(parents=True, exist_ok=True)
    protocol = f"socket={room.environment['XDG_RUNTIME_DIR']}/native auth-anonymous=1"
    script.write_text(
        f"load-module module-null-sink sink_name=speakers\nload-module module-native-protocol-unix {protocol}\n"
    )
    cables.create(persist=True)
    room.stop()
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=null", f"--file={script}"]
    daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 10
        while subprocess.run(["pactl", "info"], capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline_s
            threading.Event().wait(0.05)
        found = cables.listed()
        assert [cable.present for cable in found] == [True, True]
        assert cables.create() == found
        removed = cables.remove()
        assert (len(removed.modules), removed.files, removed.remaining) == (3, (script,), ())
        assert _names() == {"speakers", "speakers.monitor"}
    finally:
        daemon.terminate()
        daemon.wait()
        room.start()


def test_pipewires_file_names_every_device_of_the_cables(own_folders: Path) -> None:
    file = persistence.persist(pipewire=True)
    text = file.read_text()
    for cable in CABLES:
        for module in cable.modules:
            assert f"node.name = {module.device}\n" in text
            assert f"parley.cable = {cable.name}\n" in text
    assert text.count("{") == text.count("}")
    assert persistence.unpersist() == [file]
    assert not file.exists()
