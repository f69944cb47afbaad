"""What stands on the terminal while a server starts: sentences, not torn words."""

from __future__ import annotations

import pytest

from parley.config import load
from parley.engines.ports import LLM
from parley.runtime.engines import EngineReport
from parley.server.startup import Startup

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
