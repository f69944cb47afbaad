"""Where a setting may come from, and which source wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parley.config import Config, ConfigError, load
from parley.engines.ports import LLM, MT, SPEECH, STT, TTS, VC, Stage

HOSTED = [
    "",
    "gpt-realtime",
    "gpt-realtime-2025-08-28",
    "gpt-4o-mini-realtime-preview",
    "whisper-1",
    "gpt-4o-transcribe",
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def source(config: Config, key: str) -> str:
    return next(setting.source for setting in config.explain() if setting.key == key)


def test_without_any_setting_the_default_pipeline_serves_this_machine_only() -> None:
    config = load(None, {}, {})
    assert config.server.host == "127.0.0.1"
    assert config.server.api_keys == ()
    assert config.server.max_message_bytes == 24 * 1024 * 1024
    assert config.default_pipeline == "default"
    engines = config.pipelines["default"].engines
    named = {stage.name: spec.name for stage, spec in engines.items()}
    assert named == {"vad": "silero", "turn": "rules", "stt": "auto", "llm": "auto", "tts": "auto", "mt": "auto"}


def test_stages_without_a_default_are_absent_until_an_engine_is_named(tmp_path: Path) -> None:
    write(
        tmp_path / "parley.toml",
        '[pipelines.default]\nmt = "bench:words"\nvc = ""\n[pipelines.default.mt_options]\nlag = 3\n',
    )
    assert [
        setting.key for setting in load(None, {}, {}).explain() if setting.key.split(".")[-1] in ("mt", "vc", "speech")
    ] == ["pipelines.default.mt", "pipelines.default.vc", "pipelines.bench.mt"]
    engines = load(None, {}, {}).pipelines["default"].engines
    assert (engines[MT].name, engines[MT].model, engines[MT].options) == ("bench", "words", {"lag": 3})
    assert VC not in engines
    assert SPEECH not in engines
    assert load(None, {}, {"PARLEY_VC": "bench"}).pipelines["default"].engines[VC].name == "bench"


def test_voice_conversion_may_be_written_out_everywhere_but_not_twice(tmp_path: Path) -> None:
    file = write(
        tmp_path / "parley.toml",
        '[pipelines.default]\nvoice_conversion = "bench"\n[pipelines.default.voice_conversion_options]\nlatency_ms = 7\n',
    )
    config = load(None, {}, {})
    converter = config.pipelines["default"].engines[VC]
    assert (converter.name, converter.options) == ("bench", {"latency_ms": 7})
    assert source(config, "pipelines.default.vc") == f"{file.name}:2"
    assert load(None, {}, {"PARLEY_VOICE_CONVERSION": "bench:other"}).pipelines["default"].engines[VC].model == "other"
    assert load(None, {"vc": "bench:flag"}, {}).pipelines["default"].engines[VC].model == "flag"
    write(tmp_path / "parley.toml", '[pipelines.x]\nvoice_convertion = "bench"\n')
    with pytest.raises(ConfigError, match=r"toml:2: unknown setting pipelines.x.voice_convertion.*'voice_conversion'"):
        load(None, {}, {})
    write(tmp_path / "parley.toml", '[pipelines.default]\nvoice_conversion = "bench"\nvc = "bench"\n')
    with pytest.raises(ConfigError, match=r"parley.toml:2: voice_conversion and vc are the same setting"):
        load(None, {}, {})
    (tmp_path / "parley.toml").unlink()
    with pytest.raises(ConfigError, match="PARLEY_VC and PARLEY_VOICE_CONVERSION are the same setting"):
        load(None, {}, {"PARLEY_VC": "bench", "PARLEY_VOICE_CONVERSION": "bench"})


def test_later_sources_win_key_by_key(tmp_path: Path) -> None:
    write(tmp_path / "parley.toml", '[server]\nhost = "::1"\nport = 1001\nmax_sessions = 7\n')
    config = load(None, {"port": "1003"}, {"PARLEY_PORT": "1002", "PARLEY_MAX_SESSIONS": "9"})
    assert (config.server.host, config.server.port, config.server.max_sessions) == ("::1", 1003, 9)
    assert source(config, "server.host") == "parley.toml:2"
    assert source(config, "server.port") == "flag --port"
    assert source(config, "server.max_sessions") == "env PARLEY_MAX_SESSIONS"
    assert source(config, "server.session_minutes") == "default"


def test_the_named_file_comes_before_the_folder_and_the_folder_before_the_home(tmp_path: Path) -> None:
    home = write(tmp_path / "home/.config/parley/parley.toml", "[server]\nport = 1\n")
    xdg = write(tmp_path / "xdg/parley/parley.toml", "[server]\nport = 2\n")
    environ = {"HOME": str(tmp_path / "home")}
    assert load(None, {}, environ).path == home
    environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert load(None, {}, environ).path == xdg
    write(tmp_path / "parley.toml", "[server]\nport = 3\n")
    assert load(None, {}, environ).server.port == 3
    environ["PARLEY_CONFIG"] = str(write(tmp_path / "env.toml", "[server]\nport = 4\n"))
    assert load(None, {}, environ).server.port == 4
    assert load(write(tmp_path / "flag.toml", "[server]\nport = 5\n"), {}, environ).server.port == 5


def test_flags_and_environment_change_the_chosen_pipeline_and_no_other(tmp_path: Path) -> None:
    write(tmp_path / "parley.toml", '[pipelines.es]\nvoice = "cedar"\n[pipelines.de]\nvoice = "ash"\n')
    config = load(None, {"pipeline": "es", "stt": "whisper:small"}, {"PARLEY_VOICE": "coral", "PARLEY_LANGUAGE": "es"})
    assert config.default_pipeline == "es"
    assert (config.pipelines["es"].engines[STT].name, config.pipelines["es"].engines[STT].model) == ("whisper", "small")
    assert (config.pipelines["es"].voice, config.pipelines["es"].language) == ("coral", "es")
    assert (config.pipelines["de"].engines[STT].name, config.pipelines["de"].voice) == ("auto", "ash")


def test_an_endpoint_from_the_environment_becomes_an_option_of_the_language_model() -> None:
    environ = {"PARLEY_LLM": "openai:qwen3", "PARLEY_LLM_BASE_URL": "http://localhost:1/v1", "PARLEY_LLM_API_KEY": "k"}
    llm = load(None, {}, environ).pipelines["default"].engines[LLM]
    assert (llm.name, llm.model) == ("openai", "qwen3")
    assert llm.options == {"base_url": "http://localhost:1/v1", "api_key": "k"}


def test_the_benchmark_pipeline_is_not_given_an_endpoint_that_its_model_has_no_use_for() -> None:
    config = load(None, {"pipeline": "bench"}, {"PARLEY_LLM_BASE_URL": "http://localhost:1/v1"})
    assert config.pipelines["bench"].engines[LLM].options == {}
    assert "PARLEY_LLM_BASE_URL changes nothing" in config.warnings[0]


@pytest.mark.parametrize("stage", [STT, TTS])
def test_each_stage_with_an_endpoint_has_its_own_url_and_key(stage: Stage[Any]) -> None:
    name = stage.name.upper()
    environ = {f"PARLEY_{name}": "openai:m", f"PARLEY_{name}_BASE_URL": "http://a/v1", f"PARLEY_{name}_API_KEY": "k"}
    config = load(None, {f"{stage}_base_url": "http://a/v2"}, {**environ, "PARLEY_LLM_API_KEY": "of-another"})
    spec = config.pipelines["default"].engines[stage]
    assert (spec.name, spec.model, spec.options) == ("openai", "m", {"base_url": "http://a/v2", "api_key": "k"})
    assert source(config, f"pipelines.default.{stage}_options.base_url") == f"flag --{stage}-base-url"
    shown = {setting.key: setting.value for setting in config.explain()}
    assert shown[f"pipelines.default.{stage}_options.api_key"] == f"set (from env PARLEY_{name}_API_KEY)"


@pytest.mark.parametrize(
    ("stage", "engine", "used"),
    [(TTS, "espeak", "espeak"), (TTS, "", "the default engine"), (STT, "whisper:small", "whisper")],
)
def test_an_endpoint_and_its_key_are_not_given_to_an_engine_without_one(
    stage: Stage[Any], engine: str, used: str
) -> None:
    name = stage.name.upper()
    environ = {f"PARLEY_{name}": engine, f"PARLEY_{name}_BASE_URL": "http://a/v1", f"PARLEY_{name}_API_KEY": "k"}
    config = load(None, {}, environ)
    assert config.pipelines["default"].engines[stage].options == {}
    assert [warning.partition(" changes")[0] for warning in config.warnings] == [
        f"env PARLEY_{name}_API_KEY",
        f"env PARLEY_{name}_BASE_URL",
    ]
    assert config.warnings[0].endswith(f"the pipeline default uses {used}.")


@pytest.mark.parametrize(("stage", "other"), [(STT, "whisper"), (STT, "auto"), (TTS, "auto"), (TTS, "espeak")])
def test_a_key_in_the_file_is_not_given_to_the_engine_that_a_flag_names(
    tmp_path: Path, stage: Stage[Any], other: str
) -> None:
    options = f'[pipelines.default.{stage}_options]\nbase_url = "http://a/v1"\napi_key = "k"\n'
    write(tmp_path / "parley.toml", f'[pipelines.default]\n{stage} = "openai:m"\n{options}')
    assert load(None, {}, {}).pipelines["default"].engines[stage].options["api_key"] == "k"
    replaced = load(None, {stage.name: other}, {})
    assert replaced.pipelines["default"].engines[stage].options == {}


def test_options_of_an_engine_that_a_flag_replaces_are_not_given_to_the_new_one(tmp_path: Path) -> None:
    write(
        tmp_path / "parley.toml",
        '[pipelines.default]\nstt = "whisper:small"\n[pipelines.default.stt_options]\nbeam_size = 5\n',
    )
    assert load(None, {}, {}).pipelines["default"].engines[STT].options == {"beam_size": 5}
    assert load(None, {"stt": "whisper:base"}, {}).pipelines["default"].engines[STT].options == {"beam_size": 5}
    replaced = load(None, {"stt": "pocketsphinx"}, {})
    assert replaced.pipelines["default"].engines[STT].options == {}
    assert not [setting for setting in replaced.explain() if "beam_size" in setting.key]


def test_automatic_choice_shares_its_options_with_the_engine_it_prefers(tmp_path: Path) -> None:
    write(
        tmp_path / "parley.toml",
        '[pipelines.default]\nllm_options.base_url = "http://localhost:1/v1"\nstt_options.beam_size = 5\n',
    )
    config = load(None, {"llm": "openai:qwen3", "stt": "pocketsphinx"}, {})
    assert config.pipelines["default"].engines[LLM].options == {"base_url": "http://localhost:1/v1"}
    assert config.pipelines["default"].engines[STT].options == {}


def test_a_table_with_the_name_of_a_built_in_pipeline_changes_single_fields_of_it(tmp_path: Path) -> None:
    write(tmp_path / "parley.toml", '[pipelines.bench]\nvoice = "ash"\n')
    bench = load(None, {}, {}).pipelines["bench"]
    assert (bench.engines[STT].name, bench.voice) == ("bench", "ash")


def test_only_what_can_be_asked_for_is_loaded() -> None:
    assert set(load(None, {"pipeline": "bench"}, {}).pipelines) == {"bench"}
    assert set(load(None, {}, {}).pipelines) == {"default", "bench"}


@pytest.mark.parametrize("model", HOSTED)
def test_names_that_openai_clients_write_by_themselves_are_served_by_the_default_pipeline(model: str) -> None:
    config = load(None, {"pipeline": "bench"}, {})
    assert config.pipeline_for(model).name == "bench"


def test_a_model_that_names_a_pipeline_gets_it(tmp_path: Path) -> None:
    write(tmp_path / "parley.toml", '[pipelines.gpt-realtime]\nvoice = "ash"\n')
    config = load(None, {}, {})
    assert config.pipeline_for("bench").name == "bench"
    assert config.pipeline_for("gpt-realtime").voice == "ash"


@pytest.mark.parametrize(("written", "on"), [('"on"', True), ("true", True), ('"off"', False), ("false", False)])
@pytest.mark.parametrize("switch", ["speculation", "compaction"])
def test_a_switch_can_be_written_as_a_word_or_a_truth(tmp_path: Path, switch: str, written: str, on: bool) -> None:
    write(tmp_path / "parley.toml", f"[pipelines.default]\n{switch} = {written}\n")
    assert getattr(load(None, {}, {}).pipelines["default"], switch) is on


def test_an_empty_variable_counts_as_not_set() -> None:
    config = load(None, {}, {"PARLEY_API_KEY": "", "PARLEY_PIPELINE": "", "PARLEY_PORT": ""})
    assert (config.server.api_keys, config.default_pipeline, config.server.port) == ((), "default", 8765)


def test_settings_are_found_on_their_lines_whatever_the_tables_look_like(tmp_path: Path) -> None:
    text = """
server.port = 9
[pipelines.default] # a comment
instructions = \"\"\"
voice = "not this one"
\"\"\"
voice = "ash"
llm_options = { base_url = "http://localhost:1/v1" }
["pipelines"."two"]
"language" = "de"
"""
    write(tmp_path / "parley.toml", text)
    config = load(None, {}, {})
    assert source(config, "server.port") == "parley.toml:2"
    assert source(config, "pipelines.default.voice") == "parley.toml:7"
    assert source(config, "pipelines.default.llm_options.base_url") == "parley.toml:8"
    assert source(config, "pipelines.two.language") == "parley.toml:10"


@pytest.mark.parametrize("where", ["file", "env", "flag"])
def test_several_language_models_are_a_chain_wherever_they_are_named(tmp_path: Path, where: str) -> None:
    path, environ, flags = None, {}, {}
    if where == "file":
        path = tmp_path / "parley.toml"
        path.write_text('[pipelines.default]\nllm = ["openai:a", "ollama:b"]\nllm_options.ollama.num_ctx = 4096\n')
    elif where == "env":
        environ = {"PARLEY_LLM": "openai:a, ollama:b"}
    else:
        flags = {"llm": "openai:a, ollama:b"}
    config = load(path, flags, environ)
    llm = config.pipelines["default"].engines[LLM]
    assert (llm.name, llm.model) == ("chain", "openai:a, ollama:b")
    assert llm.options == ({"ollama": {"num_ctx": 4096}} if where == "file" else {})
    assert not config.warnings


def test_the_environments_endpoint_is_left_to_the_engines_of_a_chain_that_read_it() -> None:
    endpoint = {"PARLEY_LLM_BASE_URL": "http://localhost:1/v1"}
    config = load(None, {}, {"PARLEY_LLM": "openai:a,ollama:b", **endpoint})
    assert config.pipelines["default"].engines[LLM].options == {}
    assert not config.warnings
    (warning,) = load(None, {}, {"PARLEY_LLM": "responder,bench", **endpoint}).warnings
    assert "PARLEY_LLM_BASE_URL changes nothing" in warning


def test_a_wrong_engine_of_a_chain_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text('[pipelines.default]\nllm = ["openai:a", "olama:b"]\n')
    with pytest.raises(ConfigError, match=r"parley\.toml:2.*'olama'.*'ollama'"):
        load(path, {}, {})


def test_a_stage_without_chains_takes_no_list(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text('[pipelines.default]\nvad = ["silero", "silero"]\n')
    with pytest.raises(ConfigError, match=r"pipelines\.default\.vad"):
        load(path, {}, {})


def test_the_key_of_an_engine_in_a_chain_shows_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text('[pipelines.default]\nllm = ["openai:a", "ollama:b"]\nllm_options.openai.api_key = "sk-secret"\n')
    config = load(path, {}, {})
    assert "sk-secret" not in repr(config.pipelines["default"].engines[LLM])
    assert "sk-secret" not in str(config.explain())
