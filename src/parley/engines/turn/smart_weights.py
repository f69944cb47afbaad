"""Finds the graph of Smart Turn: a file or folder that the configuration names, else the published one, in the folder of models.

Laws: nothing is asked of the network. A file or folder that the configuration names is used as it is.

Source: https://huggingface.co/pipecat-ai/smart-turn-v3 (BSD-2-Clause).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from parley.engines import weights
from parley.engines.ports import EngineUnavailable

ENGINE, VERSION = "smart-turn", "v3.2"
MODEL: Final = f"{ENGINE}:{VERSION}"
FILE: Final = "smart-turn-v3.2-cpu.onnx"


def locate(model: str) -> Path:
    """The graph of `model`: a path of a file or folder, "" for the published one. Blocks. Raises `EngineUnavailable`."""
    return _named(model) if model else _published()


def missing(model: str) -> tuple[str, ...]:
    """The catalogue's name of the published graph where that is wanted and not on this machine."""
    return () if model else weights.missing(ENGINE, VERSION)


def _named(model: str) -> Path:
    path = Path(model).expanduser()
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise EngineUnavailable(
            f"There is no Smart Turn graph at {file}.",
            code="missing_weights",
            remedy=f"Give the path of {FILE}, of a folder that holds it, or leave the path out.",
        )
    return file


def _published() -> Path:
    return weights.locate(ENGINE, VERSION, 'Or use smart:PATH, or turn = "rules".') / FILE
