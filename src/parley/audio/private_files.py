"""Files that hold people's voices or words: only the user that runs Parley may read them.

Laws: a folder made here has the mode 0700 and a file 0600 from its first byte on; the mode of a folder that exists is left as it is.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from parley.errors import ParleyError

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def make_private_folder(folder: Path) -> None:
    """Create `folder`, and the folders above it that are missing, for this user only. Raises `OSError`."""
    if not folder.is_dir():
        if folder.parent != folder:
            make_private_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


class NotPrivate(ParleyError):
    """`folder` exists, and is not this user's alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is not a folder that only you may use.", f"Remove it, or chmod 700 {folder}")
        self.folder = folder


def check_private(folder: Path) -> None:
    """Raises `NotPrivate` unless only this user may use `folder`, `OSError` (`NotADirectoryError`) where it is no folder or a link."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{folder} is no folder")
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise NotPrivate(folder)


def private_runtime_folder(unusable: str = "") -> Path:
    """`parley` in `$XDG_RUNTIME_DIR` (unless its path has one of the `unusable` characters), else `parley-UID` in the folder of temporary
    files; made where it is missing. Raises `NotPrivate`, and `OSError` with the folder as its `filename`."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = os.path.isabs(runtime) and not set(runtime) & set(unusable)
    folder = Path(runtime) / "parley" if usable else Path(tempfile.gettempdir()) / f"parley-{os.getuid()}"
    try:
        make_private_folder(folder)
        found = os.lstat(folder)
    except OSError as error:
        error.filename = str(folder)
        raise
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NotPrivate(folder)
    return folder


def private_opener(path: str, flags: int) -> int:
    """For `open(..., opener=private_opener)`: a new file gets `FILE_MODE`, and so does one that is overwritten.

    Raises `OSError`.
    """
    descriptor = os.open(path, flags, FILE_MODE)
    if flags & os.O_TRUNC and hasattr(os, "fchmod"):
        try:
            os.fchmod(descriptor, FILE_MODE)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor
