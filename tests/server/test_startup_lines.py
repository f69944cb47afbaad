"""The lines on the terminal while a server starts: whole sentences, broken between words."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parley.config import Config, ConfigError, load
from parley.engines.ports import LLM, MODERATION, STT, TTS, EngineSpec
from parley.runtime.engine_opening import EngineReport
from parley.server.address_code import address_code
from parley.server.app import access_of, origins_of
from parley.server.lifetime import listen
from parley.server.startup import Startup
from tests.server.harness import Engines, configured, loaded

NOTICE = "No language model is connected: the built-in responder answers. To connect one, start Ollama on this machine."
READY = (
    EngineReport(STT, "whisper:base", ("default",), "ready", 0.1),
    EngineReport(LLM, "responder", ("default",), "ready", 0.1, NOTICE, makeshift=True),
    EngineReport(TTS, "espeak", ("default",), "ready", 0.1),
)
Failures = Mapping[str, tuple[EngineReport, ...]]


def shown(reports: Sequence[EngineReport], config: Config | None = None, failures: Failures | None = None) -> None:
    """Prints what a start prints, once these reports have come."""
    config = config or configured()
    startup, access = Startup(config), access_of(config.server)
    for report in reports:
        startup.report(report)
    listener = listen(config.server)
    try:
        startup.announce(listener, loaded(config, Engines(), failures), access, origins_of(config.server, access))
    finally:
        listener.close()


def announced(config: Config, capsys: pytest.CaptureFixture[str], *reports: EngineReport) -> str:
    shown(reports, config)
    return capsys.readouterr().err


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """60 columns and colours."""
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "60"), ("LINES", "50"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return monkeypatch


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).splitlines()


def test_a_terminal_shows_the_address_first_and_what_answers_there(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = plain(announced(configured(), capsys, *READY))
    assert lines[0] == ""
    assert re.fullmatch(r"Parley listens on http://127\.0\.0\.1:\d+", lines[1])
    assert lines[2].startswith("  open")
    labels = [line.split()[0] for line in lines if re.match("  [a-z]", line)]
    assert labels[:4] == ["open", "hears", "answers", "speaks"]
    assert lines[-2] == "Ctrl-C stops it."
    assert not any("ready" in line or "moderation" in line for line in lines)
    assert max(map(len, lines)) <= 60
    assert NOTICE in " ".join(" ".join(line.strip() for line in lines).split())


def test_an_engine_that_has_nothing_to_say_is_named_with_its_model(capsys: pytest.CaptureFixture[str]) -> None:
    config = configured()
    pipeline = config.pipelines["default"]
    engines = {**pipeline.engines, LLM: EngineSpec("ollama", "qwen3:4b")}
    lines = announced(replace(config, pipelines={"default": replace(pipeline, engines=engines)}), capsys).splitlines()
    (answers,) = [line for line in lines if line.startswith("  answers")]
    assert answers.endswith(":qwen3:4b")


def test_a_log_has_a_line_for_each_engine_and_whole_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    lines = announced(configured(), capsys, *READY).splitlines()
    assert "  ready   stt        whisper:base  0.1 s" in lines
    assert any(line.startswith("  answers") and NOTICE in line for line in lines)


def test_engines_for_measuring_are_not_shown_unless_they_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    report = EngineReport(STT, "bench", ("bench",), "ready")
    assert "stt" not in announced(configured(), capsys, report)
    assert "ready   stt        bench" in announced(replace(configured(), default_pipeline="bench"), capsys, report)


@pytest.mark.parametrize("on_terminal", [False, True])
def test_another_pipeline_that_failed_is_told_with_its_remedy(
    on_terminal: bool, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if on_terminal:
        request.getfixturevalue("terminal").setenv("COLUMNS", "200")
    report = EngineReport(MODERATION, "openai:m:fire", ("desk",), "failed", 0.1, "It is away.", "Start it.")
    config = configured()
    shown([report], config, {"desk": (report,), "bench": ()})
    said = "\n".join(plain(capsys.readouterr().err))
    assert said.count("moderation openai:m:fire: It is away.") == 1, "names are shown as they are written"
    assert "Start it." in said
    assert "desk is not served" in said


def test_a_failure_of_the_pipeline_that_must_be_served_is_left_to_the_one_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Startup(configured()).report(EngineReport(LLM, "ollama", ("default",), "failed", 0.1, NOTICE, "Start it."))
    assert capsys.readouterr().err == ""


LAN = "192.0.2.7"
"""An address of the machine on its network, as if."""


def test_other_machines_get_their_address_and_phones_a_code_of_it(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(public_url="https://voice.example.com", api_keys=("sk-hidden",))
    text = announced(config, capsys)
    lines = plain(text)
    assert "sk-hidden" not in text
    start = next(index for index, line in enumerate(lines) if "listens on" in line)
    assert lines[start - 2].strip() == "for a phone's camera: https://voice.example.com"
    code = lines[: start - 2]
    assert modules([line[13:] for line in code if line.strip()]) == modules(
        address_code("https://voice.example.com").plain.split("\n")[1:-1]
    )
    assert any("elsewhere" in line and "https://voice.example.com" in line for line in lines[start:])
    assert "need https" not in " ".join(lines)


def modules(lines: list[str]) -> list[str]:
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("change", [{"NO_COLOR": "1"}, {"COLUMNS": "30"}])
def test_no_code_is_shown_where_cameras_or_people_could_not_read_it(
    change: dict[str, str], terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in change.items():
        terminal.setenv(name, value)
    assert "\u2580" not in announced(configured(public_url="https://voice.example.com", api_keys=("k",)), capsys)


def test_a_server_for_this_machine_alone_shows_no_code(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = announced(configured(), capsys)
    assert "\u2580" not in said
    assert "elsewhere" not in said


def test_a_log_has_no_code(capsys: pytest.CaptureFixture[str]) -> None:
    said = announced(configured(public_url="https://voice.example.com", api_keys=("k",)), capsys)
    assert "\u2580" not in said
    assert "elsewhere  https://voice.example.com" in said


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"api_keys": ("k",)}, "Phones need https for the microphone"),
        ({"insecure": True}, "No key is required. Browsers elsewhere may talk, too."),
        ({"insecure": True, "allowed_origins": ("*",)}, "No key is required. Browsers elsewhere may talk, too."),
    ],
)
def test_the_start_says_whether_browsers_on_other_machines_are_admitted(
    server: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(**server, host=LAN)
    listener = listen(configured().server)
    access = access_of(config.server)
    try:
        Startup(config).announce(listener, loaded(config, Engines()), access, origins_of(config.server, access))
    finally:
        listener.close()
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if line.startswith("  elsewhere")]
    assert f"http://{LAN}:" in line
    assert "refused to browsers" not in line
    assert words in said


def test_open_shows_the_page_in_the_browser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The browser is a program of the environment variable BROWSER, as on any desktop."""
    config = configured()
    for command, said in (("true %s", False), ("no-such-browser %s", True)):
        monkeypatch.setenv("BROWSER", command)
        done = subprocess.run(
            [sys.executable, "-c", "from parley.config import load\nfrom parley.server.startup import Startup\n"
             "Startup(load(None, {}, {}))._show_page('http://127.0.0.1:8765')"],
            capture_output=True, text=True, timeout=60, check=True, env={"PATH": "/nowhere:/bin:/usr/bin", "BROWSER": command},
        )  # fmt: skip
        assert ("No browser was found" in done.stderr) == said, done.stderr
    assert config.server.port == 0


def test_the_startup_lines_say_what_client_secrets_depend_on_and_show_no_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = "do-not-show-this-secret-key-to-anyone"
    assert "Client secrets are valid until this process ends" in announced(configured(), capsys)
    assert "open one session each" in announced(configured(client_secret_single_use=True), capsys)
    said = announced(configured(secret_key=secret, api_keys=("sk-hidden",)), capsys)
    assert "encrypted with server.secret_key" in said
    assert secret not in said
    assert "sk-hidden" not in said
    assert 'api_key="KEY"' in said


def test_the_start_gives_the_encrypted_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = announced(configured(tls_cert=tmp_path / "a.crt", tls_key=tmp_path / "a.key"), capsys)
    assert "https://127.0.0.1:" in said
    assert "http://" not in said


def test_the_start_gives_the_address_that_people_type(capsys: pytest.CaptureFixture[str]) -> None:
    said = announced(configured(public_url="https://voice.example.com"), capsys)
    assert "Parley listens on http://127.0.0.1:" in said
    assert "open       https://voice.example.com in a browser" in said


def test_a_secret_key_is_long_and_never_shown() -> None:
    with pytest.raises(ConfigError, match="openssl rand -hex 32") as refused:
        load(None, {}, {"PARLEY_SECRET_KEY": "short-and-secret"})
    assert "short-and-secret" not in str(refused.value)
    config = load(None, {}, {"PARLEY_SECRET_KEY": "s" * 32})
    assert config.server.secret_key == "s" * 32
    assert "s" * 32 not in repr(config)
    assert {setting.key: setting.value for setting in config.explain()}["server.secret_key"] == (
        "set (from env PARLEY_SECRET_KEY)"
    )


def test_no_key_looks_like_a_client_secret() -> None:
    with pytest.raises(ConfigError, match="must not begin with 'ek_'"):
        load(None, {}, {"PARLEY_API_KEY": "ek_mine"})
