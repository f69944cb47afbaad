"""The folder of a CSM checkpoint: which files it needs, and what is wrong with one that cannot be used.

Laws: standard library only. Only safetensors are accepted: the other formats of torch are pickles, and loading one executes what it holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from parley.engines.ports import EngineUnavailable

ARCHITECTURE: Final = "csm"
PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SINGLE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_LAYOUT: Final = (
    "The folder needs config.json, tokenizer.json, and model.safetensors or model.safetensors.index.json with its files, as in the "
    "repository sesame/csm-1b."
)


def check(folder: Path) -> Mapping[str, Any]:
    """The configuration in `config.json`, once every file is there.

    Raises `EngineUnavailable`: `missing_weights`, `unsafe_weights`, `wrong_architecture`, `invalid_weights`.
    """
    if not folder.is_dir():
        raise EngineUnavailable(f"There is no folder {folder}.", f"Correct the path. {_LAYOUT}", code="missing_weights")
    config = _json(folder, "config.json")
    found = config.get("model_type")
    if found != ARCHITECTURE:
        raise EngineUnavailable(
            f"{folder / 'config.json'} describes a model of type {found!r}, not {ARCHITECTURE!r}.",
            "Name the folder of a CSM checkpoint in the format of transformers.",
            code="wrong_architecture",
        )
    _needs(folder, "tokenizer.json")
    _check_weights(folder, config)
    return config


def _check_weights(folder: Path, config: Mapping[str, Any]) -> None:
    # The published repository has the original's weights under the usual name, and names those of transformers here.
    named = config.get("transformers_weights")
    if named is not None and (
        not isinstance(named, str) or not named.endswith((".safetensors", ".safetensors.index.json"))
    ):
        raise EngineUnavailable(
            f"{folder / 'config.json'}: transformers_weights is {named!r}, which names no safetensors.",
            _LAYOUT,
            code="unsafe_weights",
        )
    name = named or next((name for name in (_SINGLE, _INDEX) if (folder / name).is_file()), None)
    if name is None:
        pickles = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
        if pickles:
            raise EngineUnavailable(
                f"{folder} has its weights as {', '.join(pickles[:3])}: loading such a file executes what it holds.",
                "Fetch the same model as safetensors, or save it anew with transformers (`save_pretrained`) where you trust it.",
                code="unsafe_weights",
            )
        raise EngineUnavailable(f"There are no weights in {folder}.", _LAYOUT, code="missing_weights")
    _needs(folder, name)
    if name.endswith(".index.json"):
        for part in _parts(folder, name):
            _needs(folder, part)


def _parts(folder: Path, index: str) -> list[str]:
    weights = _json(folder, index).get("weight_map")
    parts = sorted(set(weights.values())) if isinstance(weights, dict) and all(map(_plain, weights.values())) else []
    if not parts:
        raise EngineUnavailable(
            f"{folder / index} does not map weights to safetensors beside it.",
            "Fetch the file again.",
            code="invalid_weights",
        )
    return parts


def _plain(name: object) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name


def _needs(folder: Path, name: str) -> None:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise EngineUnavailable(f"There is no {name} in {folder}.", f"Fetch it. {_LAYOUT}", code="missing_weights")
    if path.stat().st_size == 0:
        raise EngineUnavailable(f"{path} is empty.", "Fetch the file again.", code="invalid_weights")


def _json(folder: Path, name: str) -> Mapping[str, Any]:
    _needs(folder, name)
    try:
        value = json.loads((folder / name).read_bytes())
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"{folder / name} cannot be read as JSON ({error}).", "Fetch the file again.", code="invalid_weights"
        ) from error
    if not isinstance(value, dict):
        raise EngineUnavailable(
            f"{folder / name} holds no JSON object.", "Fetch the file again.", code="invalid_weights"
        )
    return value
