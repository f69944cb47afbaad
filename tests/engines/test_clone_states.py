"""What is kept of a cloned voice: whole or not at all, within its bound, for this user alone, and gone with its voice."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from parley.audio.files import Recording
from parley.engines import kept_files
from parley.engines.voices import clone_states
from parley.engines.voices.clone_states import CloneStates
from parley.engines.voices.store import VoiceStore

CLIPS = [f"{number:064x}" for number in range(16)]
MODEL = "an engine 1.0 and its weights"
CODES = np.arange(64, dtype=np.int64).reshape(8, 8)


@pytest.fixture
def states(tmp_path: Path) -> CloneStates:
    return CloneStates(tmp_path / "states")


class Engine:
    """Computes the codes, and counts how often."""

    def __init__(self, codes: clone_states.State = CODES) -> None:
        self.codes = codes
        self.computed = 0

    def compute(self) -> clone_states.State:
        self.computed += 1
        return self.codes


def one_file(states: CloneStates) -> Path:
    (path,) = states.folder.iterdir()
    return path


def kept(states: CloneStates, clip: str = CLIPS[0], made_with: str = MODEL) -> bool:
    """Whether the state is there. It is afterwards."""
    engine = Engine()
    assert np.array_equal(states.get_or_compute(clip, made_with, engine.compute), CODES)
    return not engine.computed


def test_a_state_is_computed_once_for_a_recording_and_a_model(states: CloneStates) -> None:
    assert not kept(states)
    assert kept(states)
    assert kept(CloneStates(states.folder)), "by whoever looks next"
    assert not kept(states, CLIPS[1])
    assert not kept(states, made_with="an engine 1.1 and its weights")
    assert kept(states)
    found = states.get_or_compute(CLIPS[0], MODEL, Engine().compute)
    assert (found.dtype, found.shape) == (CODES.dtype, CODES.shape)


def test_the_folder_and_its_files_are_the_users_alone_and_tell_nothing(states: CloneStates) -> None:
    assert not kept(states)
    assert stat.S_IMODE(states.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(one_file(states).stat().st_mode) == 0o600
    assert CLIPS[0][:16] not in one_file(states).name


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_nothing_is_read_from_or_written_to_a_folder_that_others_may_use(
    states: CloneStates, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert not kept(states)
    states.folder.chmod(mode)
    before = one_file(states).stat()
    assert not kept(states)
    assert "chmod 700" in caplog.text
    assert one_file(states).stat() == before


def test_a_changed_byte_anywhere_is_noticed_and_mended(states: CloneStates) -> None:
    assert not kept(states)
    path = one_file(states)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert not kept(states), at
        assert path.read_bytes() == whole
    for cut in (0, 1, 21, 53, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert not kept(states), cut
    path.write_bytes(whole + b"\0")
    assert not kept(states)
    assert kept(states)


def test_the_file_of_another_recording_is_not_taken(states: CloneStates) -> None:
    assert not kept(states)
    path = one_file(states)
    other = CloneStates(states.folder.parent / "other")
    other.get_or_compute(CLIPS[1], MODEL, Engine(CODES + 1).compute)
    path.write_bytes(one_file(other).read_bytes())
    assert not kept(states)


def test_a_file_that_is_too_large_is_ignored_and_written_anew(states: CloneStates) -> None:
    assert not kept(states)
    with one_file(states).open("r+b") as file:
        file.truncate(1 << 33)
    assert not kept(states)
    assert one_file(states).stat().st_size < 10_000
    assert kept(states)


def test_what_is_larger_than_a_file_may_be_is_not_kept(states: CloneStates) -> None:
    engine = Engine(np.zeros(clone_states.MAX_FILE_BYTES, np.int8))
    for _ in range(2):
        states.get_or_compute(CLIPS[0], MODEL, engine.compute)
    assert engine.computed == 2
    assert not states.folder.exists()


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    states = CloneStates(tmp_path / "states", 4 * 800)
    for age, clip in enumerate(CLIPS[:4]):
        assert not kept(states, clip)
        (newest,) = (path for path in states.folder.iterdir() if path.stat().st_mtime > time.time() - 500)
        then = time.time() - 1_000 + age
        os.utime(newest, (then, then))
    assert kept(states, CLIPS[0])
    assert not kept(states, CLIPS[4])
    assert sum(path.stat().st_size for path in states.folder.iterdir()) <= 4 * 800
    assert [kept(states, clip) for clip in (CLIPS[0], CLIPS[2], CLIPS[3], CLIPS[4], CLIPS[1])] == [True] * 4 + [False]


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    states = CloneStates(tmp_path / "states", 800)
    states.folder.mkdir(mode=0o700)
    for name in ("letter.txt", "a.state", f"{CLIPS[0]}.part"):
        (states.folder / name).write_bytes(bytes(10_000))
        os.utime(states.folder / name, (0, 0))
    assert not kept(states, CLIPS[0])
    assert not kept(states, CLIPS[1])
    assert states.forget(CLIPS[1]) == 1
    assert len(list(states.folder.iterdir())) == 3


def test_a_place_that_is_no_folder_costs_the_computing_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "states").write_text("A letter.")
    states = CloneStates(tmp_path / "states")
    assert not kept(states)
    assert not kept(states)
    assert "cannot be kept" in caplog.text
    assert (tmp_path / "states").read_text() == "A letter."
    assert states.forget(CLIPS[0]) == 0


WRITER = """
import os, sys
from pathlib import Path
import numpy as np
from parley.engines.voices.clone_states import CloneStates

states = CloneStates(Path(sys.argv[1]), 300_000)
codes = np.full((375, 32), 7, np.int64)
"""


def child(states: CloneStates, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER + textwrap.dedent(code), str(states.folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_share_the_folder_and_its_bound(states: CloneStates) -> None:
    code = f"""
    broken = 0
    for turn in range(30):
        for clip in {CLIPS[:6]!r}:
            found = states.get_or_compute(clip, "model", lambda: codes)
            broken += not np.array_equal(found, codes)
        states.forget({CLIPS[0]!r})
    print(broken)
    """
    with child(states, code) as one, child(states, code) as two:
        for process in (one, two):
            assert process.communicate(timeout=60) == ("0\n", ""), "and no warning"
    found = list(states.folder.iterdir())
    assert all(path.suffix == ".state" for path in found)
    assert 0 < sum(path.stat().st_size for path in found) <= 300_000


def test_a_writer_that_is_killed_leaves_nothing_that_is_read(states: CloneStates) -> None:
    code = f"""
    def killed(source, target):
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    os.replace = killed
    states.get_or_compute({CLIPS[0]!r}, "model", lambda: codes)
    """
    with child(states, code) as writer:
        assert writer.wait(60) == -signal.SIGKILL
    left = one_file(states)
    assert left.suffix == ".part"
    assert not kept(states, made_with="model")
    assert left.exists(), "it may be another process's that still writes"
    long_ago = time.time() - 2 * kept_files.STALE_S
    os.utime(left, (long_ago, long_ago))
    assert not kept(states, CLIPS[1])
    assert not left.exists()


def test_a_full_disk_costs_the_computing_only(states: CloneStates) -> None:
    code = f"""
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, {resource.RLIM_INFINITY}))
    print(np.array_equal(states.get_or_compute({CLIPS[0]!r}, "model", lambda: codes), codes))
    """
    with child(states, code) as writer:
        said, warned = writer.communicate(timeout=60)
    assert said == "True\n"
    assert "cannot be kept" in warned
    assert not any(states.folder.iterdir())


def test_states_go_with_their_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    voices, states = VoiceStore(tmp_path / "own"), CloneStates()
    assert states.folder.is_relative_to(tmp_path)
    hum = Recording((np.sin(np.arange(96_000) / 9) / 2).astype(np.float32), 24_000)
    carol, again = voices.add_clip("carol", hum), voices.add_clip("again", hum)
    dora = voices.add_clip("dora", Recording(hum.audio * 0.5, 24_000))
    for voice in (carol, dora):
        for model in ("one", "two"):
            assert not kept(states, voice.sha256, model)
    voices.remove_voice("carol")
    assert kept(states, again.sha256, "one"), "another voice is made of the same recording"
    voices.remove_voice("again")
    assert len(list(states.folder.iterdir())) == 2
    assert kept(states, dora.sha256, "one")
    assert kept(states, dora.sha256, "two")


def test_a_session_that_goes_on_with_a_removed_voice_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    voices, states = VoiceStore(tmp_path / "own"), CloneStates()
    voice = voices.add_clip("carol", Recording((np.sin(np.arange(96_000) / 9) / 2).astype(np.float32), 24_000))
    file = voices.sample(voice).file
    engine = Engine()

    def removed_meanwhile() -> clone_states.State:
        voices.remove_voice("carol")
        return engine.compute()

    for compute in (removed_meanwhile, engine.compute):
        assert np.array_equal(states.get_or_compute(voice.sha256, MODEL, compute, file), CODES)
    assert engine.computed == 2
    assert not states.folder.exists()


def test_a_voice_that_is_removed_while_its_state_is_written_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    voices, states = VoiceStore(tmp_path / "own"), CloneStates()
    voice = voices.add_clip("carol", Recording((np.sin(np.arange(96_000) / 9) / 2).astype(np.float32), 24_000))
    file = voices.sample(voice).file
    rename = os.replace

    def after_the_voice_was_removed(source: str, target: Path) -> None:
        for path in voices.folder.glob("voice_*"):
            path.unlink()
        rename(source, target)

    with monkeypatch.context() as slow:
        slow.setattr(os, "replace", after_the_voice_was_removed)
        states.get_or_compute(voice.sha256, MODEL, Engine().compute, file)
    assert states.folder.exists()
    assert not any(states.folder.iterdir())


def test_a_voice_whose_states_cannot_be_removed_can_be_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    voices, states = VoiceStore(tmp_path / "own"), CloneStates()
    voice = voices.add_clip("carol", Recording((np.sin(np.arange(96_000) / 9) / 2).astype(np.float32), 24_000))
    assert not kept(states, voice.sha256)
    unlink = Path.unlink

    def denied(path: Path, missing_ok: bool = False) -> None:
        if path.parent == states.folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        unlink(path, missing_ok)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", denied)
        with pytest.raises(PermissionError):
            voices.remove_voice("carol")
    assert voices.voices() == (voice,)
    assert voices.remove_voice("carol") == voice
    assert not any(states.folder.iterdir())
