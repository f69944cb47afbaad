"""What a person at a terminal sees: help, errors, exit codes, and nothing secret."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import parley
from parley.cli.main import COMMANDS, run

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PARLEY_")}


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert parley.__version__ in capsys.readouterr().out


def test_help_lists_every_command_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert "parley serve --llm" in out
    for name in COMMANDS:
        assert f"\n  {name} " in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"  parley {command}" in capsys.readouterr().out


def test_a_misspelt_command_suggests_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doktor"]) == 2
    captured = capsys.readouterr()
    assert "Did you mean 'doctor'?" in captured.err
    assert captured.out == ""


def test_a_misspelt_flag_ends_with_code_2_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--pipelin", "bench"]) == 2
    assert "--pipeline" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("nosuch", "There is no command 'nosuch'."),
        ("serve --prot 1", "No such option '--prot'. (Did you mean one of: '--host', '--port'?)"),
        ("serve extra", "Got unexpected extra argument (extra)."),
        ("serve --port x", "flag --port: it must be a valid integer."),
        ("keys revoke", "Missing argument 'NAME'."),
        ("say --raw hello", "--raw is for -o -."),
        ("replay not.trace", "not.trace is not a trace of this version: "),
        (
            "interpret --mine english",
            "flag --mine: 'english' is not the tag of a language, such as en, de or pt-BR; english is en.",
        ),
        ("interpret --theirs ?", "flag --theirs: '?' is not the tag of a language, such as en, de or pt-BR."),
        ("config --stt bogus", "flag --stt: there is no stt engine 'bogus'; there are "),
    ],
)
def test_every_error_is_a_line_with_what_is_wrong_and_below_it_what_to_do(
    command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("not.trace").write_text("hello\n", encoding="utf-8")
    assert run(command.split()) == 2
    captured = capsys.readouterr()
    first, *rest = captured.err.splitlines()
    assert first.startswith(f"parley: {said}")
    assert all(line.startswith("  ") for line in rest)
    assert captured.out == ""
    assert not {"Usage:", "Error:", "pattern", "Value error"} & set(captured.err.replace("'", " ").split(" "))


@pytest.mark.parametrize(
    ("given", "missing", "steps"),
    [
        (
            [],
            "--url and --wav",
            [
                "say 'What is the weather in Paris?' -o speech.wav",
                "serve --pipeline bench",
                "bench --url ws://127.0.0.1:8000 --wav speech.wav",
            ],
        ),
        (["--wav", "mine.wav"], "--url", ["serve --pipeline bench", "bench --url ws://127.0.0.1:8000 --wav mine.wav"]),
        (["--url", "ws://192.0.2.7"], "--wav", ["say ", "bench --url ws://192.0.2.7 --wav speech.wav"]),
    ],
)
def test_a_load_test_says_at_once_all_that_it_lacks_and_how_to_get_it(
    given: list[str], missing: str, steps: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.wav").touch()
    assert run(["bench", *given]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == f"parley: A load test needs {missing}."
    assert len(rest) == len(steps)
    assert all(step in line for step, line in zip(steps, rest, strict=True))


def test_a_group_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys"]) == 2
    assert "Usage: parley keys" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "config", "engines --nonsense"])
def test_a_wrong_setting_ends_with_code_2_before_anything_starts(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--host", "0.0.0.0"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_config_prints_each_value_and_its_source_but_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("parley.toml").write_text("[server]\nmax_sessions = 12\n", encoding="utf-8")
    monkeypatch.setenv("PARLEY_API_KEY", "open-sesame")
    assert run(["config", "--json", "--port", "9001"]) == 0
    out = capsys.readouterr().out
    rows = {row["key"]: row for row in json.loads(out)}
    assert rows["server.port"] == {"key": "server.port", "value": 9001, "source": "flag --port"}
    assert rows["server.max_sessions"]["source"] == "parley.toml:2"
    assert rows["server.api_keys"]["value"] == "set (from env PARLEY_API_KEY)"
    assert run(["config"]) == 0
    assert "sesame" not in out + capsys.readouterr().out


def test_a_closed_output_pipe_gives_no_traceback() -> None:
    command = f"{sys.executable} -c 'from parley.cli.main import main; main()' config | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("#", "")


def test_doctor_says_which_address_is_taken_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["doctor", "--json", "--pipeline", "bench", "--port", str(port)]) == 1
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["python"]["ok"]
    assert rows["packages"]["ok"]
    address = rows[f"address 127.0.0.1:{port}"]
    assert not address["ok"]
    assert "--port 0" in address["remedy"]


def test_doctor_passes_with_the_benchmark_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--pipeline", "bench", "--port", "0"])
    out = capsys.readouterr().out
    assert code == 0, out
    assert "stt bench (bench): opens in" in out


@pytest.mark.slow
def test_doctor_notes_what_stands_in_for_something_better_and_names_the_benchmark_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PARLEY_MODELS_DIR", str(tmp_path / "models"))
    assert run(["doctor", "--port", "0", "--llm", "responder"]) == 0
    lines = capsys.readouterr().out.splitlines()
    noted = {line.split(":")[0].split()[1]: after for line, after in pairwise(lines) if line.startswith("note")}
    assert "models pull whisper:" in noted["stt"]
    assert "To connect a language model" in noted["llm"]
    assert [line for line in lines if "bench" in line] == [
        "ok    pipeline bench: opens, for measuring (stt, llm, tts, mt)"
    ]


@pytest.mark.slow
def test_doctor_refuses_what_serve_refuses(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parley.toml").write_text(
        '[pipelines.default]\nlanguage = "xx"\n[pipelines.other]\nvoice = "nobody"\nstt = "pocketsphinx"\ntts = "hibari"\n'
    )
    engines = ["--stt", "pocketsphinx", "--llm", "responder", "--tts", "hibari"]
    assert run(["doctor", "--port", "0", *engines]) == 1
    out = capsys.readouterr().out
    assert "FAIL  language (default): parley.toml:2: The stt engine pocketsphinx does not understand 'xx'" in out
    assert "note  voice (other): parley.toml:4: The tts engine hibari has no voice 'nobody'" in out


@pytest.mark.slow
def test_doctor_says_that_an_endpoint_cannot_be_reached(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    assert run(["doctor", "--port", "0", "--llm", "openai:none", "--llm-base-url", url]) == 1
    out = capsys.readouterr().out
    assert f"endpoint {url}: The language model at {url} cannot be reached: the connection was refused" in out


def test_doctor_reports_a_configuration_that_cannot_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--pipeline", "bnech"]) == 1
    assert "Did you mean 'bench'?" in capsys.readouterr().out


def test_engines_lists_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["engines", "--json"]) == 0
    found = {(row["stage"], row["name"]) for row in json.loads(capsys.readouterr().out)}
    assert {
        ("vad", "silero"),
        ("turn", "rules"),
        ("stt", "pocketsphinx"),
        ("llm", "openai"),
        ("tts", "espeak"),
    } <= found
    assert run(["engines"]) == 0
    assert "espeak" in capsys.readouterr().out


def test_replay_refuses_a_file_that_is_not_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "not.trace").write_text("hello\n", encoding="utf-8")
    assert run(["replay", "not.trace"]) == 2
    assert "not.trace" in capsys.readouterr().err
    assert run(["replay", "missing.trace"]) == 2


def imported_by(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=True
    )
    return set(done.stdout.split())


HEAVY = {
    "onnxruntime",
    "onnx",
    "ctranslate2",
    "faster_whisper",
    "pocketsphinx",
    "av",
    "openai",
    "espeakng_loader",
    "torch",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["parley", "parley.cli.main", "parley.config", "parley.engines.ports", "parley.server.app"]
)
def test_importing_loads_no_heavy_library(module: str) -> None:
    assert not imported_by(f"import {module}") & HEAVY


def test_importing_parley_and_the_command_line_is_light() -> None:
    assert not imported_by("import parley, parley.cli.main") & {"numpy", "pydantic", "asyncio", "msgspec", "starlette"}
