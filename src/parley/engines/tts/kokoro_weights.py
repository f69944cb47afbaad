"""Finds Kokoro's graph and voices: a folder or a graph that the configuration names, else a model of the catalogue, fetched once.

Laws: a name of the catalogue is verified by its hashes when it is fetched; a folder of the user's is used as it is.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from parley.engines.ports import EngineUnavailable
from parley.models import store
from parley.models.catalogue import ModelError, find
from parley.models.pull import pull

log = logging.getLogger(__name__)

ENGINE: Final = "kokoro"
DEFAULT: Final = "v1.0"
REMEDY: Final = f"Fetch the published one: parley models pull {ENGINE}:{DEFAULT}"


def folder_of(model: str) -> Path:
    """Where the voices of `model` are, or would be: a path of a folder or graph, a name of the catalogue, "" for the usual one."""
    path = Path(model or DEFAULT).expanduser()
    if model and (path.exists() or len(path.parts) > 1):
        return path.parent if path.suffix == ".onnx" else path
    return store.root() / ENGINE / (model or DEFAULT)


def obtain(model: str) -> Path:
    """The graph of `model`, fetched if need be. Blocks. Raises `EngineUnavailable`."""
    path = Path(model or DEFAULT).expanduser()
    if model and (path.exists() or len(path.parts) > 1):
        return path if path.suffix == ".onnx" and path.is_file() else _in_folder(path)
    name = f"{ENGINE}:{model or DEFAULT}"
    try:
        folder = pull(find(name), on_source=lambda source: log.warning("fetching %s from %s, once", name, source))
    except ModelError as error:
        raise EngineUnavailable(
            error.message,
            f"{error.remedy} Or give the folder that holds the graph and the voices: kokoro:FOLDER",
            code="download_failed",
        ) from error
    return _in_folder(folder)


def _in_folder(folder: Path) -> Path:
    graphs = sorted(folder.glob("*.onnx")) or sorted((folder / "onnx").glob("*.onnx"))
    if len(graphs) == 1:
        return graphs[0]
    if not graphs:
        raise EngineUnavailable(f"There is no ONNX graph in {folder}.", REMEDY, code="missing_weights")
    raise EngineUnavailable(
        f"{folder} holds {len(graphs)} graphs.",
        f"Name one of them: kokoro:{graphs[0]}",
        code="ambiguous_weights",
    )
