"""Finds the graph of Smart Turn: a file, a folder, the folder of models, an installed distribution, the Hub's local cache, or the Hub.

Laws:
- Nothing is asked of the network when the graph is here already; a refused download fails within seconds.
- A graph found by name has the published hash, wherever it comes from. A file or folder that the configuration names is used as it is.
- Every refusal says what to do instead.

Source: https://huggingface.co/pipecat-ai/smart-turn-v3 (BSD-2-Clause).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
from pathlib import Path
from typing import Final

from parley.engines.ports import EngineUnavailable
from parley.models import store

log = logging.getLogger(__name__)

FILE: Final = "smart-turn-v3.2-cpu.onnx"
SHA256: Final = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
MODEL: Final = "smart-turn:v3.2"
REPOSITORY: Final = "pipecat-ai/smart-turn-v3"
CARRIER: Final = "pipecat-ai"
"""A distribution whose wheel carries the graph; it is read, never imported."""

REACH_TIMEOUT_S: Final = 4.0
"""A hub that has not answered by then will not deliver nine megabytes either."""

_REMEDY: Final = (
    f"Try `parley models pull {MODEL}`. Connect to the internet or set HF_ENDPOINT to a mirror; or fetch it elsewhere with "
    f"`hf download {REPOSITORY} {FILE} --local-dir FOLDER` and use smart:FOLDER; or "
    f'`pip install --no-deps {CARRIER}==1.14.0`, whose wheel carries it; or use turn = "rules".'
)


def obtain(model: str) -> Path:
    """The graph of `model`: a path of a file or folder, "" for the published one, downloaded if need be. Blocks.

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
    for found in (_pulled(), installed(), _cached()):
        if found is not None and _hash(found) == SHA256:
            return found
    return _download()


def _pulled() -> Path | None:
    folder = store.installed(MODEL)
    return None if folder is None else folder / FILE


def installed() -> Path | None:
    """The graph inside an installed distribution, None without one."""
    try:
        files = importlib.metadata.files(CARRIER) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == FILE)
    return next((path for path in paths if path.is_file()), None)


def _cached() -> Path | None:
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(REPOSITORY, FILE)
    return Path(found) if isinstance(found, str) else None


def _download() -> Path:
    import huggingface_hub

    log.warning("downloading %s from %s, once", FILE, REPOSITORY)
    try:
        # Asked first, in one attempt: a download retries for as long as its own limits allow.
        huggingface_hub.HfApi().model_info(REPOSITORY, timeout=REACH_TIMEOUT_S)
        path = Path(huggingface_hub.hf_hub_download(REPOSITORY, FILE, etag_timeout=REACH_TIMEOUT_S))
    except Exception as error:  # the Hub's client raises its HTTP library's own errors, whichever that is
        lines = str(error).strip().splitlines()
        reason = lines[0][:200].rstrip(".") if lines else type(error).__name__
        raise EngineUnavailable(
            f"The graph of Smart Turn is not on this machine and cannot be downloaded ({reason}).",
            code="download_failed",
            remedy=_REMEDY,
        ) from error
    if _hash(path) != SHA256:
        raise EngineUnavailable(
            f"{path}, downloaded from {REPOSITORY}, is not the published {FILE}: its sha256 differs.",
            code="bad_weights",
            remedy="Delete it and try again; to use another graph, name it: smart:PATH.",
        )
    return path


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
