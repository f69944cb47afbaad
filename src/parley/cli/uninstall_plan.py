"""What `parley uninstall` would remove: Parley's own folders and files, with their sizes.

Laws:
- Folders and files that Parley makes, by the names that it gives them; nothing else in a folder is touched, and the folder itself goes only
  when it is empty.
- No link is followed: a link inside is removed as a link, and a folder that is itself a link is left alone and reported.
- Recordings, traces and files of a project are the user's: nothing outside these folders is looked at.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATA_NAMES: Final = {
    "models": "models",
    "voices": "voice profiles",
    "own-voices": "voices of your own",
    "clone-states": "what engines computed of cloned voices",
    "speech-cache": "cached speech",
    "cables.json": "remembered cables",
    "cables.lock": "lock of the cables",
}
CONFIG_NAMES: Final = {
    "parley.toml": "configuration",
    "prompt.txt": "the interpreter's prompt",
    "keys.json": "keys of the server",
    "keys.json.lock": "lock of the keys",
}

FOLDERS: Final = {
    "PARLEY_MODELS_DIR": "models",
    "PARLEY_OWN_VOICES_DIR": "voices of your own",
    "PARLEY_VOICES_DIR": "voice profiles",
}


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that Parley made: what it is, where, its size in bytes, and why it is not removed ("" where it is)."""

    what: str
    path: Path
    size: int
    kept: str = ""


def leftovers(environ: Mapping[str, str], data_folder: Path, config_folder: Path) -> list[Leftover]:
    """What is there, folder by folder. `data_folder` and `config_folder` are Parley's own.

    Folders that `environ` names (`FOLDERS`) may hold files of the user: they are reported and kept.
    """
    found: list[Leftover] = []
    for folder, names in ((data_folder, DATA_NAMES), (config_folder, CONFIG_NAMES)):
        if folder.is_symlink():
            found.append(Leftover("folder", folder, 0, "it is a link; remove what it leads to yourself"))
            continue
        found += [_leftover(what, folder / name) for name, what in names.items() if os.path.lexists(folder / name)]
    for variable, what in FOLDERS.items():
        if named := environ.get(variable):
            path = Path(named).expanduser()
            if path.is_dir() and path not in [each.path for each in found]:
                found.append(Leftover(what, path, _size(path), f"{variable} names it, and it may hold other files"))
    return found


def remove(leftover: Leftover) -> None:
    """Remove it, and its folder when that is empty then. Raises `OSError`."""
    path = leftover.path
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    if not any(path.parent.iterdir()):
        path.parent.rmdir()


def _leftover(what: str, path: Path) -> Leftover:
    if path.is_symlink():
        return Leftover(what, path, 0, "it is a link; remove it yourself")
    return Leftover(what, path, _size(path))


def _size(path: Path) -> int:
    """Bytes of the files below, without following links."""
    return sum(_sizes(path))


def _sizes(path: Path) -> Iterator[int]:
    try:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            yield found.st_size
            return
        entries = list(path.iterdir())
    except OSError:
        return
    for entry in entries:
        yield from _sizes(entry)
