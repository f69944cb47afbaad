"""Files with people's voices are readable by their owner only, whatever the umask is."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from parley.audio.private_files import is_full_disk, make_private_folder, private_opener, replace_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


@pytest.fixture(autouse=True)
def generous_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_and_those_above_it_are_private(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "traces" / "today")
    assert mode(tmp_path / "traces") == mode(tmp_path / "traces" / "today") == 0o700


def test_the_mode_of_a_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    make_private_folder(tmp_path / "shared")
    assert mode(tmp_path / "shared") == 0o755


def test_a_new_file_and_one_that_is_overwritten_are_private(tmp_path: Path) -> None:
    (tmp_path / "old").touch(mode=0o644)
    for name in ("new", "old"):
        with open(tmp_path / name, "w", encoding="utf-8", opener=private_opener) as file:
            file.write("words")
        assert mode(tmp_path / name) == 0o600


def test_a_replaced_file_is_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(b"old")
    path.chmod(0o644)
    replace_file(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    replace_file(path, b"newer", durable=False, mode=0o640, prefix="x", suffix=".part")
    assert (path.read_bytes(), mode(path)) == (b"newer", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_finds_no_room_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    replace_file(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(OSError, match="large") as caught:
            replace_file(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert is_full_disk(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_replaced_leaves_nothing_unfinished(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    (tmp_path / "keys.json" / "inside").touch()
    with pytest.raises(OSError, match="directory") as caught:
        replace_file(tmp_path / "keys.json", b"new")
    assert not is_full_disk(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_a_durable_file_is_on_the_disk_and_so_is_its_name(tmp_path: Path) -> None:
    """The name is the folder's: without it, the file is lost with a power cut although its bytes are there."""
    program = (
        "import pathlib, sys; from parley.audio.private_files import replace_file;"
        "replace_file(pathlib.Path(sys.argv[1]) / 'keys.json', b'new', durable=sys.argv[2] == 'True')"
    )
    hook = (
        "import os, stat; sync = os.fsync\n"
        "def told(descriptor):\n"
        "    print('folder' if stat.S_ISDIR(os.fstat(descriptor).st_mode) else 'file', flush=True); sync(descriptor)\n"
        "os.fsync = told\n"
    )
    for durable, synced in ((True, ["file", "folder"]), (False, [])):
        done = subprocess.run(
            [sys.executable, "-c", hook + program, str(tmp_path), str(durable)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == synced
