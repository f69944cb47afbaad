"""A pipeline with a speech model: what it goes without, and what is said of settings that then change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from parley.config import Config, ConfigError, load
from parley.engines.ports import LLM, SPEECH, TTS, EngineSpec

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/front_for_openai.toml"


def loaded(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, **flags: object) -> Config:
    file = tmp_path / "parley.toml"
    file.write_text(f"[pipelines.default]\n{text}\n")
    return load(file, flags, environ or {})


def test_a_speech_model_stands_in_place_of_the_language_model_and_the_voice(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'speech = "bench"')
    engines = config.pipelines["default"].engines
    assert engines[SPEECH] == EngineSpec("bench")
    assert LLM not in engines
    assert TTS not in engines
    shown = {setting.key for setting in config.explain()}
    assert "pipelines.default.speech" in shown
    assert not shown & {"pipelines.default.llm", "pipelines.default.tts"}
    assert {LLM, TTS} <= config.pipelines["bench"].engines.keys(), "other pipelines keep theirs"


def test_what_is_named_beside_it_is_loaded(tmp_path: Path) -> None:
    engines = loaded(tmp_path, 'speech = "bench"\nllm = "responder"', tts="espeak").pipelines["default"].engines
    assert {SPEECH, LLM, TTS} <= engines.keys()


@pytest.mark.parametrize("environ", [{"PARLEY_SPEECH": "bench"}, {}])
def test_a_flag_and_the_environment_name_it_too(tmp_path: Path, environ: dict[str, str]) -> None:
    flags = {} if environ else {"speech": "bench"}
    assert LLM not in loaded(tmp_path, "", environ, **flags).pipelines["default"].engines


def test_options_of_what_is_left_out_are_said_to_change_nothing(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'speech = "bench"\n[pipelines.default.tts_options]\nspeed = 2')
    (warning,) = config.warnings
    assert "pipelines.default.tts_options.speed changes nothing" in warning
    assert "Set pipelines.default.tts to use both" in warning


def test_summaries_need_a_language_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pipelines\.default\.compaction needs llm"):
        loaded(tmp_path, 'speech = "bench"\ncompaction = "on"')
    config = loaded(tmp_path, 'speech = "bench"\ncompaction = "on"\nllm = "responder"')
    assert config.pipelines["default"].compaction


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[pipelines.default.fillers]\nphrases = ["One moment."]', "fillers"),
        ('[pipelines.default.fillers.languages]\nde = ["Moment."]', "fillers"),
        ('prewarm = ["Hello."]', "prewarm"),
    ],
)
def test_what_is_to_be_said_beside_the_model_needs_a_voice(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"pipelines\.default\.{key} needs tts") as refused:
        loaded(tmp_path, f'speech = "bench"\n{text}')
    assert "pipelines.default.tts" in str(refused.value)
    assert "parley.toml:" in str(refused.value), "it says where"
    assert TTS in loaded(tmp_path, f'speech = "bench"\ntts = "bench"\n{text}').pipelines["default"].engines


def test_the_endpoint_of_the_environment_is_that_of_the_upstream(tmp_path: Path) -> None:
    environ = {"PARLEY_SPEECH_BASE_URL": "http://box/v1", "PARLEY_SPEECH_API_KEY": "sk-1234"}
    config = loaded(tmp_path, 'speech = "realtime:m"', environ)
    options = config.pipelines["default"].engines[SPEECH].options
    assert dict(options) == {"base_url": "http://box/v1", "api_key": "sk-1234"}
    assert "sk-1234" not in repr(config)


def test_the_example_is_a_front_that_asks_nobody_else() -> None:
    config = load(EXAMPLE, {}, {"OPENAI_API_KEY": "sk-1234"})
    front = config.pipelines[config.default_pipeline]
    assert front.engines[SPEECH].model == "gpt-realtime"
    assert not {LLM, TTS} & front.engines.keys()
    assert not config.warnings
