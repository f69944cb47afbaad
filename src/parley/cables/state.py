"""The modules that Parley loaded, remembered from one command to the next (`cables.json` in the user's data folder).

Laws: an index is worth something in one run of one server only. It counts as ours while the module there still has the name and the
argument that were remembered; everything else is stale, and is forgotten.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from parley.cables.folders import replace_text
from parley.cables.sound_server import ServerModule
from parley.errors import ParleyError
from parley.models.store import data_folder

VERSION: Final = 1
LARGEST: Final = 64 * 1024
"""Bytes; the file has a few hundred."""


class StateUnwritable(ParleyError):
    """The file of remembered modules cannot be written."""


@dataclass(frozen=True, slots=True)
class RememberedModule:
    """A module that was loaded for a cable, in the run `run` of a server."""

    cable: str
    run: str
    index: int
    name: str
    argument: str

    def alive(self, run: str, modules: dict[int, ServerModule]) -> bool:
        """Whether it is still loaded: the same run, and the same name and argument at its index."""
        found = modules.get(self.index)
        return run == self.run and found is not None and (found.name, found.argument) == (self.name, self.argument)


def path() -> Path:
    """The file."""
    return data_folder() / "cables.json"


def recall() -> list[RememberedModule]:
    """What was remembered; nothing where there is no file, or one that Parley did not write: it is a memory, not a setting."""
    try:
        with open(path(), encoding="utf-8") as file:
            data = json.loads(file.read(LARGEST))
        return [RememberedModule(**entry) for entry in data["modules"]] if data["version"] == VERSION else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remember(modules: list[RememberedModule]) -> None:
    """Replace what is remembered; without modules the file is removed. Raises `StateUnwritable`."""
    file = path()
    try:
        if modules:
            replace_text(
                file, json.dumps({"version": VERSION, "modules": [asdict(each) for each in modules]}, indent=2) + "\n"
            )
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise StateUnwritable(
            f"{file} cannot be written: {error.strerror}.", "Make it writable, or free some space."
        ) from error
