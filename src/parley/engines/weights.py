"""Finds the weights that `engine:model` names: a path, or a model of the catalogue that is on this machine.

Laws:
- Nothing is asked of the network. What is missing is fetched before engines open (`cli.model_downloads`), or by `parley models pull`.
- A model of the catalogue is called `ENGINE:MODEL` there, exactly as the configuration names it.
- Every refusal is an `EngineUnavailable` whose remedy is the command that puts it right.

An engine calls `locate` in `open()`, on a thread, and returns `missing` from `missing_models()` (see `ports.NeedsModels`).
"""

from __future__ import annotations

from pathlib import Path

from parley.engines.ports import EngineUnavailable
from parley.invocation import command
from parley.models import store
from parley.models.catalogue import ModelEntry, ModelError, find, megabytes


def locate(engine: str, model: str, remedy: str = "") -> Path:
    """The weights that `engine:model` names: the file or folder of a path, or the folder of a model of the catalogue. Blocks for
    reading a folder. `remedy` is a sentence with a further way out.

    Raises `EngineUnavailable`: `missing_weights` where they are not on this machine, `model_not_found` for a name that is none.
    """
    if is_path(model):
        path = Path(model).expanduser()
        if not path.exists():
            raise EngineUnavailable(
                f"There is no {model} with weights for {engine}.",
                f"Correct the path. {remedy}".rstrip(),
                code="missing_weights",
            )
        return path
    name = _known(engine, model, remedy)
    folder = store.installed(name)
    if folder is None:
        raise not_here(name, remedy)
    return folder


def missing(engine: str, model: str) -> tuple[str, ...]:
    """The catalogue's name of these weights where they are not on this machine; empty where they are, for a path, and for a name that
    is none."""
    name = f"{engine}:{model}"
    known = not is_path(model) and store.is_known(name)
    return (name,) if known and store.installed(name) is None else ()


def entry(engine: str, model: str) -> ModelEntry | None:
    """What the catalogue says of the model that `engine:model` names; None for a path, and for a name that is none."""
    name = f"{engine}:{model}"
    return find(name) if not is_path(model) and store.is_known(name) else None


def not_here(name: str, remedy: str = "") -> EngineUnavailable:
    """The error for a model of the catalogue, or a repository of the Hub (`hub:owner/name`), that is not on this machine."""
    size = f" ({megabytes(find(name).size)})" if store.is_known(name) else ""
    return EngineUnavailable(
        f"The model {name}{size} is not on this machine.",
        f"Fetch it: {command('models', 'pull', name)}. {remedy}".rstrip(),
        code="missing_weights",
    )


def is_path(model: str) -> bool:
    """Whether `model` is a path rather than a name: it begins like one, or is there."""
    return model.startswith((".", "/", "~")) or (bool(model) and Path(model).expanduser().exists())


def _known(engine: str, model: str, remedy: str) -> str:
    try:
        return find(f"{engine}:{model}").name
    except ModelError as error:
        others = ", ".join(store.known(engine)) or "none"
        raise EngineUnavailable(
            error.message,
            f"Give the path of its weights, or one of the catalogue: {others}. {remedy}".rstrip(),
            code="model_not_found",
        ) from error
