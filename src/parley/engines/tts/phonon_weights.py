"""Finds a checkpoint of Phonon or Pocket TTS on this machine: a folder, or a repository in the Hub's cache.

Laws: nothing is asked of the network. No source publishes the hashes of these weights, so the catalogue has none: what is missing is named
as a repository of the Hub (`hub:owner/name`), whose bytes are what the Hub says.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from parley.engines import weights
from parley.engines.ports import EngineUnavailable
from parley.models.hub_repository import HubRepository

NEEDED: Final = ("config.json", "tokenizer.json")

EXAMPLE: Final = "gradium/phonon-31m-en"

_LICENCES: Final = (
    (r"phonon-31m", "Apache-2.0"),
    (r"phonon-40m", "CC-BY-NC-4.0 (not for commercial use)"),
    (r"pocket-tts", "CC-BY-4.0"),
)
"""Of the published weights, by what stands in the name of their folder or repository."""


def locate(model: str) -> Path:
    """The folder of `model`: a path, or `owner/name` in the Hub's cache. Blocks. Raises `EngineUnavailable`."""
    if (found := _here(model)) is not None:
        return found
    if weights.is_path(model) or model.count("/") != 1:
        raise EngineUnavailable(
            f"There is no folder {model} with a checkpoint of Phonon." if model else "Phonon needs a checkpoint.",
            f"Name a folder, or a repository of the Hub such as phonon:{EXAMPLE} (English, Apache-2.0).",
            code="missing_weights",
        )
    raise weights.not_here(HubRepository(model).name)


def missing(model: str) -> tuple[str, ...]:
    """The repository of the Hub that is named, where it is not on this machine."""
    if weights.is_path(model) or model.count("/") != 1 or _here(model) is not None:
        return ()
    return (HubRepository(model).name,)


def licence_of(model: str) -> str:
    """The licence of published weights, by the name of their folder or repository; "" where it does not tell."""
    name = Path(model).name.lower()
    return next((licence for pattern, licence in _LICENCES if re.search(pattern, name)), "")


def languages_of(model: str) -> tuple[str, ...]:
    """The languages that the configuration of a checkpoint names, without loading it; () where it cannot be read."""
    try:
        folder = _here(model) or Path(model)
        named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("languages")
    except (OSError, ValueError, AttributeError):
        return ()
    return tuple(one for one in named if isinstance(one, str)) if isinstance(named, list) else ()


def _here(model: str) -> Path | None:
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return folder
    if weights.is_path(model) or model.count("/") != 1:
        return None
    cached = HubRepository(model).cached()
    return cached if cached is not None and all((cached / name).is_file() for name in NEEDED) else None
