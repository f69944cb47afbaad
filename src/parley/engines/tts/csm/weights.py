"""Finds CSM on this machine: a folder as transformers saves it, or a repository in the Hub's cache.

Laws: nothing is asked of the network. No source publishes the hashes of these weights, so the catalogue has none: what is missing is named
as a repository of the Hub (`hub:owner/name`), whose bytes are what the Hub says.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from parley.engines import weights
from parley.engines.ports import EngineUnavailable
from parley.models.hub_repository import HubRepository

EXAMPLE: Final = "sesame/csm-1b"

NEEDED: Final = ("config.json", "tokenizer.json")
"""Beside the weights, `*.safetensors`."""


def locate(model: str) -> Path:
    """The folder of `model`: a path, or `owner/name` in the Hub's cache. Blocks. Raises `EngineUnavailable`."""
    if (found := _here(model)) is not None:
        return found
    if weights.is_path(model) or model.count("/") != 1:
        raise EngineUnavailable(
            f"There is no folder {model} with the weights of CSM." if model else "CSM needs its weights.",
            f"Name their folder, or a repository of the Hub such as csm:{EXAMPLE}.",
            code="missing_weights",
        )
    raise weights.not_here(HubRepository(model).name)


def missing(model: str) -> tuple[str, ...]:
    """The repository of the Hub that is named, where it is not on this machine."""
    if weights.is_path(model) or model.count("/") != 1 or _here(model) is not None:
        return ()
    return (HubRepository(model).name,)


def revision_of(folder: Path) -> str:
    """What tells these weights from others: a digest of the configuration and of each weight file's name, size and time."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        stat = file.stat()
        digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _here(model: str) -> Path | None:
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return folder
    if weights.is_path(model) or model.count("/") != 1:
        return None
    cached = HubRepository(model).cached()
    return cached if cached is not None and all((cached / name).is_file() for name in NEEDED) else None
