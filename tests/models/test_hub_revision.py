"""A repository of the Hub may be pinned to a revision: what lies in the Hub's cache under that commit is used, whatever is newest."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from parley.models.hub_repository import HubRepository

NEWEST, OLDER = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache as the Hub's client leaves it, with two commits of `org/model`."""
    repository = tmp_path / "models--org--model"
    for commit in (NEWEST, OLDER):
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(NEWEST)
    (repository / "refs" / "v1").write_text(OLDER)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return repository / "snapshots"


@pytest.mark.parametrize(
    ("name", "commit"),
    [("org/model", NEWEST), (f"org/model@{OLDER}", OLDER), ("org/model@v1", OLDER), ("org/model@main", NEWEST)],
)
def test_the_revision_that_is_named_is_found(cache: Path, name: str, commit: str) -> None:
    repository = HubRepository(name)
    assert repository.cached() == cache / commit
    assert repository.name == f"hub:{name}"


@pytest.mark.parametrize("name", ["org/model@v2", f"org/model@{'c' * 40}", "org/other@v1", "org/model@../../etc"])
def test_a_revision_that_is_not_here_is_not_found(cache: Path, name: str) -> None:
    assert HubRepository(name).cached() is None
