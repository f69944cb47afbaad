"""A key goes to the server it was given for, whichever of file, environment and flags names the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from parley.config import Config, load
from parley.engines.ports import LLM

HERE, THERE, OPENAI = "http://here:8000/v1", "http://there:8000/v1", "https://api.openai.com/v1"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, environ: dict[str, str], **flags: str) -> Config:
    Path("parley.toml").write_text(text, encoding="utf-8")
    return load(None, flags, environ)


def options(config: Config, pipeline: str = "default") -> Mapping[str, object]:
    return config.pipelines[pipeline].engines[LLM].options


@pytest.mark.parametrize("engine", ["openai:m", "responses:m", "auto", "ollama:m"])
def test_a_key_in_the_environment_is_not_for_a_server_in_the_file(engine: str) -> None:
    text = f'[pipelines.default]\nllm = "{engine}"\nllm_options = {{ base_url = "{HERE}" }}\n'
    config = loaded(text, {"PARLEY_LLM_API_KEY": "sk-env"})
    assert options(config) == {"base_url": HERE}
    (warning,) = config.warnings
    assert warning.startswith("env PARLEY_LLM_API_KEY: llm_options.api_key is not used: it is for api.openai.com")
    assert "the pipeline default asks here:8000" in warning
    assert "api_key_env" in warning
    assert "PARLEY_LLM_BASE_URL" in warning
    assert "sk-env" not in repr(config.explain()) + warning


def test_nor_for_an_ollama_on_this_machine() -> None:
    config = loaded('[pipelines.default]\nllm = "ollama:m"\n', {"PARLEY_LLM_API_KEY": "sk-env"})
    assert options(config) == {}
    assert "PARLEY_LLM_API_KEY" in config.warnings[0]


@pytest.mark.parametrize("flag", [HERE, "http://there:8001/v1", "https://there:8000/v1"])
def test_nor_for_one_that_a_flag_names_in_place_of_its_own(flag: str) -> None:
    environ = {"PARLEY_LLM": "openai:m", "PARLEY_LLM_BASE_URL": THERE, "PARLEY_LLM_API_KEY": "sk-env"}
    config = loaded("", environ, llm_base_url=flag)
    assert options(config) == {"base_url": flag}
    assert "it is for there:8000" in config.warnings[0]


@pytest.mark.parametrize(
    "secret", ['api_key = "sk-file"', 'api_key_env = "MY_KEY"', 'headers = { x-api-key = "sk-file", x-team = "a" }']
)
@pytest.mark.parametrize("beside", [f'base_url = "{HERE}", ', ""])
@pytest.mark.parametrize("later", ["flag", "env"])
def test_a_key_of_the_file_is_not_for_a_server_that_is_named_later(secret: str, beside: str, later: str) -> None:
    environ = {"PARLEY_LLM_BASE_URL": THERE} if later == "env" else {}
    flags = {"llm_base_url": THERE} if later == "flag" else {}
    text = f'[pipelines.default]\nllm = "openai:m"\nllm_options = {{ {beside}{secret} }}\n'
    config = loaded(text, environ, **flags)
    assert options(config) == {"base_url": THERE}
    (warning,) = config.warnings
    assert warning.startswith("parley.toml:3: llm_options.")
    assert "sk-file" not in repr(config.explain()) + warning


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("", {"PARLEY_LLM_BASE_URL": HERE}),
        (f'llm_options = {{ base_url = "{HERE}" }}', {"PARLEY_LLM_BASE_URL": HERE + "/"}),
        (f'llm_options = {{ base_url = "{THERE}" }}', {"PARLEY_LLM_BASE_URL": HERE}),
        (f'llm_options = {{ base_url = "{OPENAI}" }}', {}),
        ('llm_options = { base_url = "https://eu.api.openai.com/v1" }', {}),
        ("", {}),
    ],
)
def test_a_key_goes_to_the_server_that_its_source_names(text: str, environ: dict[str, str]) -> None:
    config = loaded(f'[pipelines.default]\nllm = "openai:m"\n{text}\n', {**environ, "PARLEY_LLM_API_KEY": "sk-env"})
    assert options(config)["api_key"] == "sk-env"
    assert config.warnings == ()


def test_a_key_and_a_server_in_the_file_stay_together() -> None:
    text = f'[pipelines.default]\nllm = "openai:m"\nllm_options = {{ base_url = "{HERE}", api_key = "sk-file" }}\n'
    config = loaded(text, {"PARLEY_LLM_API_KEY": "sk-env"})
    assert options(config) == {"base_url": HERE, "api_key": "sk-file"}


def test_what_is_no_url_is_left_to_the_engine() -> None:
    config = loaded("", {"PARLEY_LLM_API_KEY": "sk-env", "PARLEY_LLM": "openai:m"}, llm_base_url="http://[::1")
    assert options(config) == {"base_url": "http://[::1"}
