"""A licence that restricts use is accepted by name, or nothing is fetched: models of the catalogue, and repositories of the Hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from parley.cli.main import run
from parley.models.catalogue import ModelEntry, ModelError, find
from parley.models.hub_repository import HubRepository
from parley.models.pull import pull
from tests.models.model_hosts import ModelHosts
from tests.models.toy_model import WEIGHTS, on_hub


def test_a_licence_that_restricts_use_is_accepted_by_name_only(hosts: ModelHosts, model: ModelEntry) -> None:
    on_hub(hosts)
    restricted = replace(model, licence="CC-BY-NC-4.0", accept=True)
    with pytest.raises(ModelError, match="restricts its use: CC-BY-NC") as raised:
        pull(restricted)
    assert "--accept" in raised.value.remedy
    assert not hosts.requests
    assert pull(restricted, accept=True).is_dir()


@pytest.mark.parametrize("name", ["sherpa:supertonic-3", "sherpa:piper-thorsten-de", "llama:gemma-3-4b"])
@pytest.mark.usefixtures("model")
def test_the_models_that_may_not_be_used_for_everything_are_refused_until_they_are_accepted(
    hosts: ModelHosts, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "pull", name]) == 2
    refused = capsys.readouterr().err
    assert find(name).licence in refused
    assert f"models pull {name} --accept" in refused
    assert not hosts.requests
    assert run(["models", "search", name]) == 0
    assert "a licence that restricts use" in capsys.readouterr().out
    hub = replace(find(name), sources=find(name).sources[:1])
    with pytest.raises(ModelError, match="could not be fetched"):
        pull(hub, accept=True)
    assert hosts.requests


@pytest.mark.parametrize(
    ("licence", "restricts"),
    [
        ("cc-by-nc-4.0", True),
        ("cc-by-nc-sa-4.0", True),
        ("creativeml-openrail-m", True),
        ("gemma", True),
        ("llama3.2", True),
        ("apache-2.0", False),
        ("cc-by-4.0", False),
        ("other", False),
    ],
)
@pytest.mark.usefixtures("model")
def test_a_repository_of_the_hub_whose_licence_restricts_use_is_refused_until_it_is_accepted(
    hosts: ModelHosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, licence: str, restricts: bool
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    on_hub(hosts)
    hosts.licence = licence
    repository = HubRepository("org/model")
    if restricts:
        with pytest.raises(ModelError, match=f"restricts its use: {licence}") as refused:
            repository.pull()
        assert "models pull hub:org/model --accept" in refused.value.remedy
        assert not any("/resolve/" in path for path in hosts.requests)
    assert (repository.pull(accept=restricts) / "weights.bin").read_bytes() == WEIGHTS
