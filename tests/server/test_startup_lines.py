"""The lines on the terminal while a server starts: whole sentences, broken between words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parley.config import Config, ConfigError, load
from parley.engines.ports import LLM, MODERATION
from parley.runtime.engines import EngineReport
from parley.server.lifetime import listen
from parley.server.startup import Startup
from tests.server.harness import Engines, configured, loaded

NOTICE = "No language model is connected: the built-in responder answers. To connect one, start Ollama on this machine."
REPORTS = (
    EngineReport(LLM, "responder", ("default",), "ready", 0.1, NOTICE),
    EngineReport(LLM, "responder", ("default",), "failed", 0.1, NOTICE, "Install it with: pip install one-of-them"),
)


def lines(report: EngineReport, capsys: pytest.CaptureFixture[str]) -> list[str]:
    Startup(load(None, {}, {})).report(report)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("report", REPORTS, ids=["ready", "failed"])
def test_long_notices_break_between_words_on_a_terminal(
    report: EngineReport, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("COLUMNS", "60"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    shown = lines(report, capsys)
    assert max(map(len, shown)) <= 60
    assert NOTICE in " ".join(" ".join(shown).split())


@pytest.mark.parametrize("report", REPORTS, ids=["ready", "failed"])
def test_a_log_gets_a_notice_in_one_line(report: EngineReport, capsys: pytest.CaptureFixture[str]) -> None:
    assert any(NOTICE in line for line in lines(report, capsys))


@pytest.mark.parametrize("state", ["ready", "failed"])
def test_names_are_shown_as_they_are_written(state: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(EngineReport(MODERATION, "openai:m:fire", ("default",), state, 0.1), capsys)
    assert "moderation openai:m:fire" in line


def announced(config: Config, capsys: pytest.CaptureFixture[str], *, key_required: bool = False) -> str:
    listener = listen(config.server)
    try:
        Startup(config).announce(listener, loaded(config, Engines()), key_required=key_required)
    finally:
        listener.close()
    return capsys.readouterr().err


def test_the_startup_lines_say_what_client_secrets_depend_on_and_show_no_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = "do-not-show-this-secret-key-to-anyone"
    assert "Client secrets are valid until this process ends" in announced(configured(), capsys)
    assert "open one session each" in announced(configured(client_secret_single_use=True), capsys)
    said = announced(configured(secret_key=secret, api_keys=("sk-hidden",)), capsys, key_required=True)
    assert "encrypted with server.secret_key" in said
    assert secret not in said
    assert "sk-hidden" not in said
    assert 'api_key="KEY"' in said


def test_the_start_gives_the_encrypted_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = announced(configured(tls_cert=tmp_path / "a.crt", tls_key=tmp_path / "a.key"), capsys)
    assert "https://127.0.0.1:" in said
    assert "http://" not in said


def test_the_start_gives_the_address_that_people_type(capsys: pytest.CaptureFixture[str]) -> None:
    said = announced(configured(public_url="https://voice.example.com"), capsys, key_required=True)
    assert "Parley listens on http://127.0.0.1:" in said
    assert "Open https://voice.example.com in a browser" in said


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
