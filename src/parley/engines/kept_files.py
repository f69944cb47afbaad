"""A folder of files that could be made again: the least recently used are removed where they take too much room.

Laws: no file but the folder's own is touched, by their names; other processes may use the folder at the same time. A file that is there
only for a moment (one that is written, a lock) is removed when it is `STALE_S` old, and never for room.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STALE_S: Final = 60.0
"""Files are written within milliseconds; one that is unfinished for so long was left by a process that ended."""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One file; `used_s` is when it was last used (Unix seconds), `size` its bytes."""

    path: Path
    used_s: float
    size: int


def remove_file(path: Path) -> bool:
    """Whether there was a file to remove. Raises `OSError`."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


class KeptFiles:
    """The files of `folder`, which need not exist, whose names `own` matches; those that end in `suffix` are whole."""

    def __init__(self, folder: Path, own: re.Pattern[str], suffix: str) -> None:
        self.folder = folder
        self._own = own
        self._suffix = suffix

    def __iter__(self) -> Iterator[KeptFile]:
        """Every file, in no order. Raises `OSError`."""
        try:
            entries = list(os.scandir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if not self._own.fullmatch(entry.name):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # another process has removed it meanwhile
            if stat.S_ISREG(found.st_mode):
                yield KeptFile(Path(entry.path), found.st_mtime, found.st_size)

    def trim(self, max_bytes: int) -> tuple[list[KeptFile], int]:
        """Remove what is stale, then the least recently used files until the whole ones have `max_bytes` or less.

        Returns the files that stay, and how many were removed. Raises `OSError`.
        """
        whole, passing, removed = [], [], 0
        for file in self:
            if file.path.suffix == self._suffix:
                whole.append(file)
            elif time.time() - file.used_s > STALE_S:
                removed += remove_file(file.path)
            else:
                passing.append(file)
        whole.sort(key=lambda file: file.used_s)
        size, gone = sum(file.size for file in whole), 0
        while size > max_bytes:
            removed += remove_file(whole[gone].path)
            size -= whole[gone].size
            gone += 1
        return whole[gone:] + passing, removed
