"""Finds the graph of Smart Turn: a file or folder that the configuration names, else the published one, from the folder of models.

Laws:
- Nothing is asked of the network when the graph is here already; otherwise it is fetched once (`models.pull`), verified by its hash.
- A file or folder that the configuration names is used as it is.

Source: https://huggingface.co/pipecat-ai/smart-turn-v3 (BSD-2-Clause).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from parley.engines.ports import EngineUnavailable
from parley.models.catalogue import ModelError, find
from parley.models.pull import pull

log = logging.getLogger(__name__)

MODEL: Final = "smart-turn:v3.2"
FILE: Final = "smart-turn-v3.2-cpu.onnx"


def obtain(model: str) -> Path:
    """The graph of `model`: a path of a file or folder, "" for the published one, fetched if need be. Blocks.

    Raises `EngineUnavailable`.
    """
    return _named(model) if model else _published()


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
    try:
        folder = pull(find(MODEL), on_source=lambda source: log.warning("fetching %s from %s, once", MODEL, source))
    except ModelError as error:
        raise EngineUnavailable(
            error.message,
            f'{error.remedy} Or fetch {FILE} elsewhere and use smart:PATH, or use turn = "rules".',
            code="download_failed",
        ) from error
    return folder / FILE
