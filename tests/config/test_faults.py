"""What a person reads who got a setting wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.config import ConfigError, UnknownModel, load
from parley.engines.ports import LLM


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fault(text: str = "", flags: dict[str, object] | None = None, environ: dict[str, str] | None = None) -> str:
    Path("parley.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(None, flags or {}, environ or {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("[server]\nprot = 1\n", "parley.toml:2", "'port'"),
        ("[sever]\nport = 1\n", "parley.toml:2", "'server'"),
        ("[pipelines.default]\n\nvioce = 'ash'\n", "parley.toml:3", "'voice'"),
        ("[pipelines.default]\nbarge_inn = 'confirmed'\n", "parley.toml:2", "'barge_in'"),
        ("defalt_pipeline = 'x'\n", "parley.toml:1", "'default_pipeline'"),
    ],
)
def test_a_misspelt_key_is_refused_with_its_line_and_the_right_one(text: str, place: str, hint: str) -> None:
    message = fault(text)
    assert message.startswith(place)
    assert f"Did you mean {hint}?" in message


@pytest.mark.parametrize(
    "text",
    [
        "[server]\nport = 70000\n",
        "[server]\nport = 'http'\n",
        "server = 3\n",
        "[server]\nmax_message_bytes = 10\n",
        "[pipelines.default]\nbarge_in = 'sometimes'\n",
        "[pipelines.default]\nspeculation = 'maybe'\n",
        "[pipelines.default]\nlanguage = 'not a language'\n",
        "[pipelines.default]\nstt = ''\n",
        "[pipelines.default]\noriginal_volume = 1.5\n",
        "pipelines = 4\n",
        "pipelines.default = 4\n",
        "[pipelines.default]\nstt_options = 'fast'\n",
        "[server]\nallowed_origins = ['example.com']\n",
        "[server]\napi_keys = ['two words']\n",
    ],
)
def test_a_value_out_of_range_or_of_the_wrong_kind_is_named_with_its_line(text: str) -> None:
    assert fault(text).startswith("parley.toml:")


def test_a_speaker_who_is_heard_anyway_is_not_passed_on_a_second_time() -> None:
    message = fault("[pipelines.default]\nsame_language = 'pass'\noriginal_volume = 0.15\n")
    assert message.startswith("parley.toml:2:")
    assert "use silent or repeat" in message
    Path("parley.toml").write_text("[pipelines.default]\noriginal_volume = 0.15\n", encoding="utf-8")
    config = load(None, {}, {})
    assert config.pipelines[config.default_pipeline].original_volume == 0.15


def test_a_misspelt_engine_is_refused_with_its_place_and_the_right_one() -> None:
    message = fault('[pipelines.default]\nstt = "wisper:small"\n', flags={"tts": "espeek"})
    assert "parley.toml:2: there is no stt engine 'wisper'" in message
    assert "Did you mean 'whisper'?" in message
    assert "flag --tts" in message
    assert "Did you mean 'espeak'?" in message


def test_all_faults_of_a_file_are_reported_at_once() -> None:
    message = fault("[server]\nport = -1\nmax_sessions = 0\n[pipelines.default]\ncontext_tokens = 'many'\n")
    assert [line.partition(" ")[0] for line in message.splitlines()] == [
        "parley.toml:2:",
        "parley.toml:3:",
        "parley.toml:5:",
    ]


def test_a_file_that_is_not_toml_is_refused_with_the_place() -> None:
    message = fault("[server\n")
    assert "parley.toml cannot be read" in message
    assert "line 1" in message


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 5000 + "]" * 5000, ".".join("a" * 3000) + " = 1", "x = " + "[" * 40 + "]" * 40]
)
def test_a_file_that_is_nested_too_deeply_is_refused(text: str) -> None:
    assert "parley.toml cannot be read: it has tables or lists more than 32 deep" in fault(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("server = [1, 2]\n", "parley.toml:1: server: expected a table"),
        ("[server]\nport = 'http'\n", "parley.toml:2: server.port"),
        ("pipelines = [1]\n", "parley.toml:1: pipelines: expected a table"),
    ],
)
def test_a_flag_does_not_hide_a_fault_of_the_file(text: str, place: str) -> None:
    flags: dict[str, object] = {"port": "9000", "llm": "responder"}
    assert fault(text, flags).startswith(place)


def test_a_flag_does_not_hide_a_fault_of_the_environment() -> None:
    assert fault("", {"port": "9000"}, {"PARLEY_PORT": "http"}).startswith("env PARLEY_PORT: server.port")


def test_a_folder_is_no_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder.*parley\.toml"):
        load(tmp_path, {}, {})


@pytest.mark.parametrize("below", ["", "/today"])
def test_a_trace_folder_that_is_a_file_is_refused_at_the_start(tmp_path: Path, below: str) -> None:
    (tmp_path / "kept").touch()
    message = fault(f"[server]\ntrace_dir = '{tmp_path}/kept{below}'\n")
    assert message.startswith("parley.toml:2: server.trace_dir")
    assert "kept is a file" in message


def test_a_path_that_the_system_does_not_take_is_named_with_its_place() -> None:
    endless = "x" * 5_000
    for name in (endless, "a\\u0000b"):
        assert fault(f'[server]\ntrace_dir = "{name}"\n').startswith("parley.toml:2: server.trace_dir")
    with pytest.raises(ConfigError, match="--config"):
        load(Path(endless), {}, {})


def test_a_named_file_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no configuration file at nowhere\.toml"):
        load(Path("nowhere.toml"), {}, {})
    with pytest.raises(ConfigError, match="env PARLEY_CONFIG"):
        load(None, {}, {"PARLEY_CONFIG": "nowhere.toml"})


def test_a_misspelt_variable_is_refused_because_it_may_have_been_the_key() -> None:
    assert "Did you mean PARLEY_API_KEY?" in fault(environ={"PARLEY_API_KEYS": "secret"})
    assert "Did you mean PARLEY_LLM_BASE_URL?" in fault(environ={"PARLEY_LLM_BASEURL": "http://x"})


def test_a_variable_that_resembles_no_setting_is_only_warned_of() -> None:
    config = load(None, {}, {"PARLEY_WALLPAPER": "blue", "PARLEY_TEST_AUDIO": "/x", "HOME": ""})
    assert config.warnings == (
        "The environment variable PARLEY_WALLPAPER is not a setting of Parley and changes nothing.",
    )


def test_a_pipeline_that_does_not_exist_is_refused_with_those_that_do() -> None:
    message = fault("[pipelines.spanish]\n", flags={"pipeline": "spansh"})
    assert "flag --pipeline" in message
    assert "bench, default, spanish" in message
    assert "Did you mean 'spanish'?" in message


def test_an_unknown_model_is_refused_with_the_pipelines_that_exist() -> None:
    config = load(None, {}, {})
    with pytest.raises(UnknownModel) as caught:
        config.pipeline_for("benhc")
    assert caught.value.known == ("default", "bench")
    assert "Did you mean 'bench'?" in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "voice.example.com"])
def test_a_public_address_without_a_key_is_refused(host: str) -> None:
    assert "--api-key" in fault(flags={"host": host})
    assert load(None, {"host": host, "insecure": True}, {}).server.insecure
    assert load(None, {"host": host, "api_key": "secret"}, {}).server.api_keys == ("secret",)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_this_machine_needs_no_key(host: str) -> None:
    assert load(None, {"host": host}, {}).server.host == host.strip("[]")


def test_keys_come_from_the_variable_that_the_file_names() -> None:
    Path("parley.toml").write_text('[server]\nhost = "0.0.0.0"\napi_key_env = "MY_KEYS"\n', encoding="utf-8")
    config = load(None, {}, {"MY_KEYS": "one, two"})
    assert config.server.api_keys == ("one", "two")
    with pytest.raises(ConfigError, match="MY_KEYS, which is not set"):
        load(None, {}, {})
    assert load(None, {}, {"PARLEY_API_KEY": "three"}).server.api_keys == ("three",)


def test_the_path_of_a_key_file_is_no_secret() -> None:
    text = (
        '[server]\ntls_cert = "cert.pem"\ntls_key = "private.pem"\nsecret_key = "sesame-6-sesame-6-sesame-6-sesame-6"\n'
    )
    Path("parley.toml").write_text(text, encoding="utf-8")
    shown = {setting.key: setting.value for setting in load(None, {}, {}).explain()}
    assert shown["server.tls_key"] == "private.pem"
    assert shown["server.secret_key"] == "set (from parley.toml:4)"


def test_no_secret_is_shown_anywhere() -> None:
    text = """
[server]
api_keys = ["sesame-1"]
[pipelines.default.llm_options]
api_key = "sesame-2"
base_url = "http://me:sesame-3@host/v1"
headers = { Authorization = "sesame-5" }
"""
    Path("parley.toml").write_text(text, encoding="utf-8")
    config = load(None, {}, {"PARLEY_LLM_API_KEY": "sesame-4"})
    assert "sesame" not in repr(config)
    assert "sesame" not in repr(config.explain())
    shown = {setting.key: setting.value for setting in config.explain()}
    assert shown["server.api_keys"] == "set (from parley.toml:3)"
    assert shown["pipelines.default.llm_options.headers.Authorization"] == "set (from parley.toml:7)"
    assert shown["pipelines.default.llm_options.api_key"] == "set (from parley.toml:5)"
    assert shown["pipelines.default.llm_options.base_url"] == "http://host/v1"
    assert config.pipelines["default"].engines[LLM].options["api_key"] == "sesame-2"
    assert "sesame" not in repr(config.warnings)


def test_a_wrong_secret_is_not_quoted_back() -> None:
    assert "sesame" not in fault('[server]\napi_keys = ["open sesame"]\n')
