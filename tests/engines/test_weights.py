"""Weights are found by path or by their name in the catalogue, and never fetched by an engine."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from parley.engines import weights
from parley.engines.ports import LLM, STT, TTS, EngineSpec, EngineUnavailable, NeedsModels
from parley.engines.ports.stages import BUILT_IN
from parley.engines.registry import create
from parley.models import store
from parley.models.catalogue import HubSource, ModelEntry, ModelFile, catalogue

DATA = b"weights"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the catalogue's model `toy:small` would be."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    file = ModelFile("toy.bin", len(DATA), hashlib.sha256(DATA).hexdigest())
    toy = ModelEntry("toy:small", 'llm = "toy:small"', "a toy", "MIT", (file,), (HubSource("org/model"),))
    monkeypatch.setitem(catalogue(), toy.name, toy)
    return store.folder_of(toy)


def install(folder: Path, data: bytes = DATA) -> None:
    folder.mkdir(parents=True)
    (folder / "toy.bin").write_bytes(data)


def test_a_model_that_is_here_is_found_by_its_name(folder: Path) -> None:
    install(folder)
    assert weights.locate("toy", "small") == folder
    assert weights.missing("toy", "small") == ()


def test_a_model_that_is_not_here_whole_is_named_with_the_command_that_fetches_it(folder: Path) -> None:
    install(folder, DATA[:-1])
    assert weights.missing("toy", "small") == ("toy:small",)
    with pytest.raises(EngineUnavailable) as refused:
        weights.locate("toy", "small", "Or use another engine.")
    assert refused.value.code == "missing_weights"
    assert "parley models pull toy:small" in refused.value.remedy
    assert refused.value.remedy.endswith("Or use another engine.")


def test_a_path_is_taken_as_it_is(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.bin"
    file.write_bytes(DATA)
    assert weights.locate("toy", str(file)) == file
    assert weights.locate("toy", str(tmp_path)) == tmp_path
    with pytest.raises(EngineUnavailable, match=r"no \./nowhere") as refused:
        weights.locate("toy", "./nowhere")
    assert refused.value.code == "missing_weights"
    assert weights.missing("toy", str(file)) == weights.missing("toy", "./nowhere") == ()


def test_a_name_that_is_none_is_answered_with_those_there_are(folder: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no model 'toy:smal'") as refused:
        weights.locate("toy", "smal")
    assert refused.value.code == "model_not_found"
    assert "toy:small" in refused.value.remedy
    assert weights.missing("toy", "smal") == ()


@pytest.mark.usefixtures("folder")
def test_a_chain_lacks_what_its_engines_lack() -> None:
    chain = create(TTS, EngineSpec("chain", "hibari:emma, espeak, hibari:fable"))
    assert isinstance(chain, NeedsModels)
    assert chain.missing_models() == ("hibari:emma", "hibari:fable")
    remote = create(LLM, EngineSpec("chain", "responder, bench"))
    assert isinstance(remote, NeedsModels)
    assert remote.missing_models() == ()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", list(catalogue()))
def test_the_line_of_configuration_that_the_catalogue_gives_makes_an_engine_that_asks_for_the_model(name: str) -> None:
    ((stage, engine),) = tomllib.loads(catalogue()[name].use).items()
    made = create(next(one for one in BUILT_IN if one.name == stage), EngineSpec.parse(engine))
    assert isinstance(made, NeedsModels)
    assert made.missing_models() == (name,)


@pytest.mark.usefixtures("folder")
def test_a_voice_is_not_fetched_to_be_a_recogniser() -> None:
    for stage, name in ((STT, "supertonic-3"), (TTS, "nemotron-en")):
        engine = create(stage, EngineSpec("sherpa", name))
        assert isinstance(engine, NeedsModels)
        assert engine.missing_models() == ()


@pytest.mark.usefixtures("folder")
async def test_a_model_for_another_stage_is_refused_with_those_for_this_one() -> None:
    with pytest.raises(EngineUnavailable, match="no supertonic-3") as refused:
        await create(STT, EngineSpec("sherpa", "supertonic-3")).open()
    assert "sherpa:nemotron-en" in refused.value.remedy
    assert "supertonic" not in refused.value.remedy
