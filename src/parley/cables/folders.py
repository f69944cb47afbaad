"""Where the cables' files lie: a private folder for the time of a login, and the user's configuration of the sound servers.

Laws: a folder that others may use, or that belongs to another user, is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

from parley.audio.private_files import FILE_MODE, NotPrivate, make_private_folder, private_runtime_folder, replace_file
from parley.errors import ParleyError


class FolderRefused(ParleyError):
    """A folder is not this user's alone, or cannot be made."""


def runtime_folder() -> Path:
    """`parley` in `$XDG_RUNTIME_DIR`, else `parley-UID` in the folder of temporary files; made where it is missing.

    Its path has no space and no colon, at which ALSA would cut it. Raises `FolderRefused`.
    """
    try:
        return private_runtime_folder(": \t\n")
    except OSError as error:
        raise FolderRefused(
            f"{error.filename} cannot be made: {error.strerror}.", "Set XDG_RUNTIME_DIR to a folder of yours."
        ) from error
    except NotPrivate as error:
        raise FolderRefused(
            error.message,
            f"Remove it, or make it yours alone: chmod 700 {error.folder}",
        ) from error


def config_folder() -> Path:
    """The folder of this user's configuration files: `$XDG_CONFIG_HOME`, else `~/.config`."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def replace_text(path: Path, text: str, mode: int = FILE_MODE) -> None:
    """Replace a file by a new one with this mode, whole or not at all. Raises `OSError`."""
    make_private_folder(path.parent)
    replace_file(path, text.encode("utf-8", "surrogateescape"), mode=mode)
