"""The folder of the speech cache: whole files or none, within its bound, whatever happens to a process or the disk."""

from __future__ import annotations

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

from parley.audio.private_files import NotPrivate
from parley.engines import kept_files
from parley.engines.ports import Word
from parley.runtime import speech_files
from parley.runtime.speech_files import SpeechFiles, StoredSpeech

RATE = 24_000
KEYS = [f"{number:064x}" for number in range(64)]


def speech(seconds: float = 0.1, level: float = 0.25) -> StoredSpeech:
    audio = np.full(round(RATE * seconds), level, np.float32)
    return StoredSpeech(audio, RATE, (Word("one", 0.0, 40.0), Word("twó", 40.5, 1_000 * seconds)))


@pytest.fixture
def files(tmp_path: Path) -> SpeechFiles:
    made = SpeechFiles(tmp_path / "speech", 1 << 20)
    made.open()
    return made


def one_file(files: SpeechFiles) -> Path:
    (path,) = files.folder.iterdir()
    return path


def test_what_is_kept_comes_back_with_its_words_and_its_rate(files: SpeechFiles) -> None:
    kept = speech()
    files.store(KEYS[0], kept)
    found = files.load(KEYS[0])
    assert found is not None
    assert (found.sample_rate, found.words) == (kept.sample_rate, kept.words)
    assert np.abs(found.audio - kept.audio).max() <= 1 / 32_768
    assert files.load(KEYS[1]) is None


def test_the_folder_and_its_files_are_the_users_alone(files: SpeechFiles) -> None:
    files.store(KEYS[0], speech())
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(one_file(files).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(NotPrivate, match="chmod 700"):
        SpeechFiles(tmp_path / "open", 1 << 20).open()


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="no folder"):
        SpeechFiles(tmp_path / "link", 1 << 20).open()


@pytest.mark.parametrize("kept", [0, 1, 15, 16, 47, 48, 60, 200, -1])
def test_a_file_that_was_cut_off_is_ignored_and_removed(files: SpeechFiles, kept: int) -> None:
    files.store(KEYS[0], speech())
    path = one_file(files)
    path.write_bytes(path.read_bytes()[:kept])
    assert files.load(KEYS[0]) is None
    assert not path.exists()


def test_a_changed_byte_anywhere_is_noticed(files: SpeechFiles) -> None:
    files.store(KEYS[0], speech(0.001))
    path = one_file(files)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert files.load(KEYS[0]) is None, at
    path.write_bytes(whole + b"\0\0")
    assert files.load(KEYS[0]) is None


def test_another_keys_file_is_not_played(files: SpeechFiles) -> None:
    files.store(KEYS[0], speech())
    one_file(files).rename(files.folder / f"{KEYS[1]}.speech")
    assert files.load(KEYS[1]) is None


def test_a_file_of_another_version_is_ignored_and_removed(files: SpeechFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(speech_files, "VERSION", b"parley speech 2\n")
        files.store(KEYS[0], speech())
    assert files.load(KEYS[0]) is None
    assert not any(files.folder.iterdir())


def test_the_least_recently_used_files_go_first(tmp_path: Path) -> None:
    files = SpeechFiles(tmp_path / "speech", 4 * 5_200)
    files.open()
    for age, key in enumerate(KEYS[:4]):
        files.store(key, speech())
        then = time.time() - 1_000 + age
        os.utime(files.folder / f"{key}.speech", (then, then))
    assert files.load(KEYS[0]) is not None  # used now
    usage = files.store(KEYS[4], speech())
    assert usage.bytes <= 4 * 5_200
    assert usage.removed == 1
    assert [key for key in KEYS[:5] if files.load(key) is not None] == [KEYS[0], *KEYS[2:5]]


def test_speech_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    files = SpeechFiles(tmp_path / "speech", 10_000)
    files.open()
    files.store(KEYS[0], speech())
    assert files.store(KEYS[1], speech(10)).files == 1
    assert files.load(KEYS[0]) is not None


def test_other_peoples_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    files = SpeechFiles(tmp_path / "speech", 1)
    files.open()
    for name in ("letter.txt", "song.speech", f"{KEYS[0]}.part"):
        (files.folder / name).write_text("mine")
        os.utime(files.folder / name, (0, 0))
    (files.folder / f"{KEYS[1]}.speech").mkdir()
    files.trim()
    files.clear()
    assert len(list(files.folder.iterdir())) == 4


WRITER = """
import os, sys
from pathlib import Path
import numpy as np
from parley.runtime.speech_files import SpeechFiles, StoredSpeech

files = SpeechFiles(Path(sys.argv[1]), int(sys.argv[2]))
files.open()
speech = StoredSpeech(np.full(240_000, 0.25, np.float32), 24_000)
"""


def child(files: SpeechFiles, code: str, bound: int = 1 << 20) -> subprocess.Popen[str]:
    script = WRITER + textwrap.dedent(code)
    command = [sys.executable, "-c", script, str(files.folder), str(bound)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_writer_that_is_killed_leaves_nothing_that_is_played(files: SpeechFiles) -> None:
    code = f"""
    write = os.replace
    def killed(source, target):
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    os.replace = killed
    files.store("{KEYS[0]}", speech)
    """
    with child(files, code) as writer:
        assert writer.wait(60) == -signal.SIGKILL
    left = one_file(files)
    assert left.suffix == ".part"
    assert files.load(KEYS[0]) is None
    assert files.trim().files == 1, "it may be another process's that still writes"
    long_ago = time.time() - 2 * kept_files.STALE_S
    os.utime(left, (long_ago, long_ago))
    assert files.trim() == speech_files.FolderUsage(0, 0, 1)


def test_processes_share_the_folder_and_its_bound(files: SpeechFiles) -> None:
    bound = 3 << 20
    code = f"""
    keys = {KEYS[:12]!r}
    broken = 0
    for turn in range(8):
        for key in keys:
            found = files.load(key)
            broken += found is not None and len(found.audio) != 240_000
            files.store(key, speech)
    print(broken)
    """
    with child(files, code, bound) as one, child(files, code, bound) as two:
        assert [one.communicate(timeout=60)[0], two.communicate(timeout=60)[0]] == ["0\n", "0\n"]
        assert (one.returncode, two.returncode) == (0, 0)
    usage = files.usage()
    assert 0 < usage.bytes <= bound
    assert all(path.suffix == ".speech" for path in files.folder.iterdir())


def test_a_full_disk_is_reported_and_leaves_no_half_file(files: SpeechFiles) -> None:
    code = f"""
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, {resource.RLIM_INFINITY}))
    try:
        files.store("{KEYS[0]}", speech)
    except OSError as error:
        print(error.errno)
    """
    with child(files, code) as writer:
        said, _ = writer.communicate(timeout=60)
    assert said.strip().isdigit()
    assert not any(files.folder.iterdir())
