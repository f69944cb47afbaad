"""Files with people's voices are readable by their owner only, whatever the umask is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from parley.audio.private_files import make_private_folder, private_opener

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
