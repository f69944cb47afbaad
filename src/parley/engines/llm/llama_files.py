"""The files of a model that llama.cpp loads: where they are, by what the configuration names.

Laws: blocks, on reading folders and small files; asks nothing of the network. Every refusal says what to do instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from parley.engines import weights
from parley.engines.ports import EngineUnavailable
from parley.models import store
from parley.models.catalogue import catalogue

PREFIX: Final = "llama:"
"""Of the catalogue's names for models of this engine."""


def installed_models() -> tuple[str, ...]:
    """The models of the catalogue for this engine that are on this machine, the largest first. Blocks, briefly."""
    entries = [entry for name, entry in catalogue().items() if name.startswith(PREFIX) and store.whole(entry)]
    entries.sort(key=lambda entry: entry.size, reverse=True)
    return tuple(entry.name.removeprefix(PREFIX) for entry in entries)


def shown_name(model: str) -> str:
    """What clients are told of the model: its name in the catalogue, or that of its file without the folder."""
    return model if PREFIX + model in catalogue() else Path(model).name


def locate(model: str) -> Path:
    """The GGUF file of `PATH.gguf` or of a name of the catalogue. Raises `EngineUnavailable`."""
    entry = catalogue().get(PREFIX + model)
    if entry is None:
        if not model or not (model.endswith(".gguf") or "/" in model or os.sep in model):
            names = ", ".join(name for name in catalogue() if name.startswith(PREFIX))
            raise EngineUnavailable(
                f"There is no model {model!r} for the engine llama." if model else "No model is named.",
                f"Name a GGUF file, --llm llama:PATH.gguf, or a model of the catalogue: {names}.",
                code="model_not_found",
            )
        return Path(model).expanduser()
    if not store.whole(entry):
        raise weights.not_here(entry.name)
    return store.folder_of(entry) / entry.files[0].path


def read_template(name: str) -> str:
    """The text of the template in a file; "" where none is named. Raises `EngineUnavailable`."""
    if not name:
        return ""
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineUnavailable(
            f"The chat template {name} cannot be read ({error}).",
            "Name a text file: chat_template in llm_options.",
            code="invalid_engine_option",
        ) from None
