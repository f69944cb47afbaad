"""torch, transformers and tokenizers, imported when a model is opened."""

from __future__ import annotations

import importlib
from typing import Any

from parley.engines.ports import EngineUnavailable
from parley.invocation import install


def torch() -> Any:
    """The package. Raises `EngineUnavailable` (`missing_package`)."""
    return _load("torch")


def transformers(module: str = "") -> Any:
    """The package, or the module `module` of it. Raises `EngineUnavailable` (`missing_package`)."""
    return _load(f"transformers.{module}" if module else "transformers")


def tokenizers() -> Any:
    """The package. Raises `EngineUnavailable` (`missing_package`)."""
    return _load("tokenizers")


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise EngineUnavailable(
            f"CSM needs {name.partition('.')[0]}, which cannot be imported: {error}.",
            f"Install it: {install('csm')}",
            code="missing_package",
        ) from error
