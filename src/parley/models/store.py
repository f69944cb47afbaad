"""The folder of models: which are there, and whether they are whole.

Laws:
- A model is there when its folder is: the folder takes its name only once every file in it has been verified. What is unfinished lies in
  `.unfinished` and is never found.
- `whole` looks at names and sizes, cheaply, at each start; `verify` reads every byte.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from parley.models.catalogue import ModelEntry, ModelFile, catalogue

VARIABLE: Final = "PARLEY_MODELS_DIR"
UNFINISHED: Final = ".unfinished"
_BLOCK: Final = 1 << 20


def root() -> Path:
    """The folder: that of `PARLEY_MODELS_DIR`, else the user's data folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return data_folder() / "models"


def data_folder() -> Path:
    """Where Parley keeps what belongs to the user: models, voice profiles."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "parley"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "parley"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "parley"


def folder_of(model: ModelEntry) -> Path:
    """Where the model is, or would be."""
    return root().joinpath(*model.name.split(":"))


def unfinished_folder_of(model: ModelEntry) -> Path:
    """Where its files are until all of them are there."""
    return root().joinpath(UNFINISHED, *model.name.split(":"))


def installed(name: str) -> Path | None:
    """The folder of the model of this name, if it is in the catalogue and there as a whole; None otherwise."""
    model = catalogue().get(name)
    return folder_of(model) if model is not None and whole(model) else None


def is_known(name: str) -> bool:
    """Whether the catalogue has a model of this name."""
    return name in catalogue()


def known(engine: str) -> tuple[str, ...]:
    """The names of the catalogue's models for one engine."""
    return tuple(name for name in catalogue() if name.partition(":")[0] == engine)


def whole(model: ModelEntry) -> bool:
    """Whether every file is there in its size."""
    folder = folder_of(model)
    return all(_size(folder / file.path) == file.size for file in model.files)


def faults(model: ModelEntry, on_bytes: Callable[[int], None] = lambda count: None) -> list[str]:
    """What is wrong with the files of a model that is there, one sentence each; reads every byte, and calls `on_bytes` as it does."""
    return [fault for file in model.files if (fault := fault_of(folder_of(model) / file.path, file, on_bytes))]


def fault_of(path: Path, file: ModelFile, on_bytes: Callable[[int], None] = lambda count: None) -> str:
    """What is wrong with one file; "" where nothing is."""
    size = _size(path)
    if size is None:
        return f"{file.path} is missing."
    if size != file.size:
        return f"{file.path} has {size} bytes instead of {file.size}."
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            on_bytes(len(block))
    return (
        ""
        if digest.hexdigest() == file.sha256
        else f"{file.path} holds other bytes: its SHA-256 is {digest.hexdigest()}."
    )


def remove(model: ModelEntry) -> int:
    """Delete the model and what is unfinished of it; returns the bytes that were freed."""
    freed = 0
    for folder in (folder_of(model), unfinished_folder_of(model)):
        freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder, ignore_errors=True)
    return freed


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None
