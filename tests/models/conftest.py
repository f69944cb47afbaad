"""A machine without models, a catalogue that has the toy, and hosts on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.models import store
from parley.models.catalogue import ModelEntry, catalogue
from tests.models.model_hosts import ModelHosts
from tests.models.toy_model import model_of


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelEntry:
    """The toy, in the catalogue, on a machine with no models."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "models"))
    made = model_of()
    monkeypatch.setitem(catalogue(), made.name, made)
    return made


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModelHosts]:
    with ModelHosts() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "no-pip.conf"))
        monkeypatch.setenv("PIP_INDEX_URL", f"{made.url}/simple")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
        monkeypatch.setenv("PIP_FIND_LINKS", "")
        monkeypatch.setenv("PIP_NO_INDEX", "0")
        monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "no-npmrc"))
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{made.url}/npm/")
        monkeypatch.setenv("NPM_CONFIG_CACHE", str(tmp_path / "npm-cache"))
        yield made
