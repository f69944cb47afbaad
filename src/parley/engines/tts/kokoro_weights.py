"""Finds Kokoro's graph and voices: a folder or a graph that the configuration names, else a model of the catalogue.

Laws: nothing is asked of the network. A folder of the user's is used as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from parley.engines import weights
from parley.engines.ports import EngineUnavailable
from parley.invocation import command
from parley.models import store

ENGINE: Final = "kokoro"
DEFAULT: Final = "v1.0"


def remedy() -> str:
    """How to have the published weights."""
    return f"Fetch the published ones: {command('models', 'pull', f'{ENGINE}:{DEFAULT}')}"


def folder_of(model: str) -> Path:
    """Where the voices of `model` are, or would be: a path of a folder or graph, a name of the catalogue, "" for the usual one."""
    if _is_path(model):
        path = Path(model).expanduser()
        return path.parent if path.suffix == ".onnx" else path
    return store.root() / ENGINE / (model or DEFAULT)


def locate(model: str) -> Path:
    """The graph of `model`. Blocks. Raises `EngineUnavailable`."""
    if _is_path(model):
        path = Path(model).expanduser()
        return path if path.suffix == ".onnx" and path.is_file() else _in_folder(path)
    instead = "Or give the folder that holds the graph and the voices: kokoro:FOLDER"
    return _in_folder(weights.locate(ENGINE, model or DEFAULT, instead))


def missing(model: str) -> tuple[str, ...]:
    """The catalogue's name of the weights where they are not on this machine; empty for a path."""
    return () if _is_path(model) else weights.missing(ENGINE, model or DEFAULT)


def _is_path(model: str) -> bool:
    path = Path(model).expanduser()
    return bool(model) and (path.exists() or len(path.parts) > 1)


def _in_folder(folder: Path) -> Path:
    graphs = sorted(folder.glob("*.onnx")) or sorted((folder / "onnx").glob("*.onnx"))
    if len(graphs) == 1:
        return graphs[0]
    if not graphs:
        raise EngineUnavailable(f"There is no ONNX graph in {folder}.", remedy(), code="missing_weights")
    raise EngineUnavailable(
        f"{folder} holds {len(graphs)} graphs.",
        f"Name one of them: kokoro:{graphs[0]}",
        code="ambiguous_weights",
    )
