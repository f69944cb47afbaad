"""Finds the weights of a Whisper model in CTranslate2's format on this machine: a folder, the folder of models, or the Hub's cache.

Laws: nothing is asked of the network; what is missing is named as `models.catalogue.find` or `models.hub_repository` knows it. Every
refusal says what to do instead.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from parley.engines import weights
from parley.engines.ports import EngineUnavailable
from parley.models import store
from parley.models.hub_repository import HubRepository

NEEDED = ("model.bin", "config.json", "tokenizer.json")

_REPOSITORIES = {
    **{
        size: f"Systran/faster-whisper-{size}"
        for size in ("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en")
    },
    **{f"large-{version}": f"Systran/faster-whisper-large-{version}" for version in ("v1", "v2", "v3")},
    **{f"distil-{size}": f"Systran/faster-distil-whisper-{size}" for size in ("small.en", "medium.en", "large-v3")},
    "large": "Systran/faster-whisper-large-v3",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}
_ALIASES = {"large": "large-v3"}
INSTEAD = "Or use whisper:FOLDER with weights from elsewhere, or --stt pocketsphinx (English)."


def locate(model: str) -> Path:
    """The folder of the weights of `model` (a size, `owner/repository`, or a path). Blocks. Raises `EngineUnavailable`."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _checked(folder, model)
    if weights.is_path(model):
        raise EngineUnavailable(
            f"There is no folder {model} with Whisper weights.",
            code="missing_weights",
            remedy="Give the path of a folder in CTranslate2's format, or a model name such as whisper:small.",
        )
    found = here(model)
    if found is not None:
        return found
    raise weights.not_here(_name(model), INSTEAD)


def missing(model: str) -> tuple[str, ...]:
    """The name of the weights where they are not on this machine; empty where they are, for a path, and for a name that is none."""
    if weights.is_path(model):
        return ()
    try:
        return () if here(model) is not None else (_name(model),)
    except (EngineUnavailable, ImportError):
        return ()


def here(model: str) -> Path | None:
    """The folder of the weights of `model` (a size, or `owner/repository`) where they are on this machine; None where they are not.

    Raises `EngineUnavailable` for a name that is none.
    """
    repository = HubRepository(_repository(model))
    name = _name(model)
    found = store.installed(name) if store.is_known(name) else None
    if found is not None:
        return found
    cached = repository.cached()
    return cached if cached is not None and all((cached / each).is_file() for each in NEEDED) else None


def _name(model: str) -> str:
    """What `parley models pull` calls the weights: a model of the catalogue, or a repository of the Hub."""
    name = f"whisper:{_ALIASES.get(model, model)}"
    return name if store.is_known(name) else HubRepository(_repository(model)).name


def _repository(model: str) -> str:
    if "/" in model:
        return model
    if model in _REPOSITORIES:
        return _REPOSITORIES[model]
    close = difflib.get_close_matches(model, _REPOSITORIES, n=1)
    meant = f"Did you mean whisper:{close[0]}? " if close else ""
    raise EngineUnavailable(
        f"There is no Whisper model named {model!r}.",
        code="model_not_found",
        remedy=f"{meant}Use one of {', '.join(sorted(_REPOSITORIES))}, an owner/repository of the Hub, or a folder.",
    )


def _checked(folder: Path, model: str) -> Path:
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise EngineUnavailable(
            f"The Whisper weights at {model} lack {', '.join(missing)}.",
            code="missing_weights",
            remedy="Convert with `ct2-transformers-converter ... --copy_files tokenizer.json preprocessor_config.json`.",
        )
    return folder
