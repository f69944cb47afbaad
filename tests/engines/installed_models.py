"""Tiny weights as models of the catalogue."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from parley.models import store
from parley.models.catalogue import ModelFile, catalogue


def as_model(
    monkeypatch: pytest.MonkeyPatch, models: Path, name: str, weights: Path, *, but: tuple[str, ...] = ()
) -> Callable[[], None]:
    """Let the catalogue's model `name` be the files of the folder `weights`, on a machine that has no models. Returns a function that puts
    them where `parley models pull` would."""
    monkeypatch.setenv(store.VARIABLE, str(models))
    files = tuple(
        ModelFile(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(weights.iterdir())
        if path.name not in but
    )
    model = replace(catalogue()[name], files=files)
    monkeypatch.setitem(catalogue(), name, model)

    def install() -> None:
        for file in files:
            target = store.folder_of(model) / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(weights / file.path, target)

    return install
