"""Where the cables' files lie: a private folder for the time of a login, and the user's configuration of the sound servers.

Laws: a folder that others may use, or that belongs to another user, is refused.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from parley.audio.private_files import make_private_folder
from parley.errors import ParleyError


class FolderRefused(ParleyError):
    """A folder is not this user's alone, or cannot be made."""


def runtime_folder() -> Path:
    """`parley` in `$XDG_RUNTIME_DIR`, else `parley-UID` in the folder of temporary files; made where it is missing.

    Its path has no space and no colon, at which ALSA would cut it. Raises `FolderRefused`.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = os.path.isabs(runtime) and not set(runtime) & set(": \t\n")
    folder = Path(runtime) / "parley" if usable else Path(tempfile.gettempdir()) / f"parley-{os.getuid()}"
    try:
        make_private_folder(folder)
        found = os.lstat(folder)
    except OSError as error:
        raise FolderRefused(
            f"{folder} cannot be made: {error.strerror}.", "Set XDG_RUNTIME_DIR to a folder of yours."
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FolderRefused(
            f"{folder} is not a folder that only you may use.",
            f"Remove it, or make it yours alone: chmod 700 {folder}",
        )
    return folder


def config_folder() -> Path:
    """The folder of this user's configuration files: `$XDG_CONFIG_HOME`, else `~/.config`."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def write_private(path: Path, text: str) -> None:
    """Replace a file by a new one for this user only (0600), whole or not at all. Raises `OSError`."""
    replace(path, text, 0o600)


def replace(path: Path, text: str, mode: int) -> None:
    """Replace a file by a new one with this mode, whole or not at all. Raises `OSError`."""
    make_private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
