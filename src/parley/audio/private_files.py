"""Files that hold people's voices or words: only the user that runs Parley may read them.

Laws: a folder made here has the mode 0700 and a file 0600 from its first byte on; the mode of a folder that exists is left as it is. A file
that is replaced is the old one or the new one, never a part of either.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from parley.errors import ParleyError

FILE_MODE = 0o600
FOLDER_MODE = 0o700

UNFINISHED: Final = ".unfinished"
"""Ends the name under which a file is written; one that is left was left by a process that was killed."""

_NO_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES})
"""What systems say of folders that cannot be synchronized, or only written to."""


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


def replace_file(
    path: Path,
    data: bytes,
    *,
    durable: bool = True,
    mode: int = FILE_MODE,
    prefix: str = "",
    suffix: str = UNFINISHED,
) -> None:
    """Write a file under another name in the folder of `path`, then give it that name: whole, or not at all.

    `durable`: it is on the disk when this returns, also after a power cut. `prefix` (else a dot and the file's name) begins the name until
    then and `suffix` ends it. Raises `OSError` (`is_full_disk`): the old file is then still there, unless all that failed is to synchronize
    the folder; nothing unfinished is left.
    """
    # `mkstemp` makes a file of mode 0600.
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=prefix or f".{path.name}.", suffix=suffix)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode != FILE_MODE:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):  # removed meanwhile; or the folder is, or has become read-only
            os.unlink(unfinished)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def is_full_disk(error: OSError) -> bool:
    """Whether there was no room for what was to be written."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
