"""A folder of files that could be made again: what is removed for room, what for age, and what never."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from parley.engines.kept_files import STALE_S, KeptFiles, remove_file

OWN = re.compile(r"[0-9]+(\.kept|\.part)")


def put(folder: Path, name: str, size: int, ago_s: float) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - ago_s,) * 2)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_least_recently_used_go_first_and_what_is_being_written_never_for_room(tmp_path: Path) -> None:
    for name, ago_s in (
        ("1.kept", 30),
        ("2.kept", 40),
        ("3.kept", 20),
        ("4.part", STALE_S - 10),
        ("5.part", STALE_S + 10),
    ):
        put(tmp_path, name, 100, ago_s)
    put(tmp_path, "letter.txt", 10_000, 1_000)
    (tmp_path / "6.kept").mkdir()
    (tmp_path / "7.kept").symlink_to(tmp_path / "letter.txt")
    stay, removed = KeptFiles(tmp_path, OWN, ".kept").trim(200)
    assert ([file.path.name for file in stay], removed) == (["1.kept", "3.kept", "4.part"], 2)
    assert names(tmp_path) == {"1.kept", "3.kept", "4.part", "letter.txt", "6.kept", "7.kept"}
    stay, removed = KeptFiles(tmp_path, OWN, ".kept").trim(0)
    assert ([file.path.name for file in stay], removed) == (["4.part"], 2)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", put(tmp_path, "file", 1, 0)):
        files = KeptFiles(folder, OWN, ".kept")
        assert list(files) == []
        assert files.trim(0) == ([], 0)


def test_a_file_is_removed_once(tmp_path: Path) -> None:
    path = put(tmp_path, "1.kept", 1, 0)
    assert remove_file(path)
    assert not remove_file(path)
