"""What `parley talk` prints while its own server loads: one line, and what the user should know."""

from __future__ import annotations

import pytest

from parley.cli.brief_startup import BriefStartup
from parley.config import load
from parley.engines.ports import LLM, STT, TTS
from parley.runtime.engine_opening import EngineReport

NOTICE = "No language model is connected: the built-in responder answers. To connect one, start Ollama on this machine."


def _loaded(*outcomes: EngineReport) -> None:
    startup = BriefStartup(load(None, {}, {}))
    with startup.loading():
        for outcome in outcomes:
            startup.report(EngineReport(outcome.stage, outcome.name, outcome.pipelines, "opening"))
        for outcome in outcomes:
            startup.report(outcome)


def _ready(stage: object, message: str = "") -> EngineReport:
    return EngineReport(stage, "auto", ("default",), "ready", 0.1, message)  # type: ignore[arg-type]


def test_a_log_gets_one_line_and_the_notices_of_the_engines(capsys: pytest.CaptureFixture[str]) -> None:
    _loaded(_ready(STT), _ready(LLM, NOTICE), _ready(TTS))
    notice, line = capsys.readouterr().err.splitlines()
    assert notice == NOTICE
    assert line.startswith("Loaded in ")


def test_a_terminal_shows_in_one_line_what_is_still_awaited(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "100"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    startup = BriefStartup(load(None, {}, {}))
    with startup.loading():
        for stage in (STT, LLM, TTS):
            startup.report(EngineReport(stage, "auto", ("default",), "opening"))
        startup.report(_ready(LLM))
        assert startup._line is not None
        assert startup._line.status == "loading, 1 of 3 ready; waiting for recogniser, voice"
    assert "Loaded in " in capsys.readouterr().err


def test_an_engine_that_fails_is_named_as_users_know_it_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    _loaded(EngineReport(TTS, "kokoro", ("default",), "failed", 0.1, "It has no weights.", "Pull them."))
    assert capsys.readouterr().err == "", "the error that ends the start says it"
    _loaded(EngineReport(TTS, "kokoro", ("reverse",), "failed", 0.1, "It has no weights.", "Pull them."))
    said = capsys.readouterr().err
    assert "The voice (kokoro) cannot be used: It has no weights." in said
    assert "Pull them." in said
