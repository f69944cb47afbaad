"""What a run of the contract suite found, as JSON: `pytest --parley-report FILE`.

    {"engines": [{"stage": "tts", "engine": "tts.espeak", "counts": {"passed": 30, "expected": 1},
                  "promises": [{"test": "test_...", "outcome": "expected", "reason": "..."}]}]}

`outcome` is `passed`, `failed`, `expected` (it fails, and the test class says why) or `skipped`; `reason` is left out where there is
none. An engine that a test class of its own tests goes by the name of that class.

Laws: imports nothing but pytest. A test counts once, whichever phase it ends in, and also where other processes run the tests
(pytest-xdist).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

PROPERTY: Final = "parley_contract"


class ContractReport:
    """A plug-in of one run, which writes `path` at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engines: dict[tuple[str, str], list[dict[str, str]]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Says with each test of a contract whose promise it is; this travels with its report."""
        tested = getattr(item, "cls", None)
        stage = getattr(tested, "stage", None)
        if tested is None or not hasattr(tested, "make_engine") or stage is None:
            return
        engine = getattr(tested, "engine_name", tested.__name__)
        item.user_properties.append((PROPERTY, [str(stage), engine, item.name]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        named = dict(report.user_properties).get(PROPERTY)
        if not isinstance(named, list) or (report.when != "call" and report.passed):
            return
        stage, engine, test = map(str, named)
        promise = {"test": test, "outcome": _outcome(report)}
        if reason := _reason(report):
            promise["reason"] = reason
        self._engines.setdefault((stage, engine), []).append(promise)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):
            return  # the process that started the workers writes
        self._path.write_text(json.dumps({"engines": self._listed()}, indent=2, ensure_ascii=False) + "\n", "utf-8")

    def _listed(self) -> list[dict[str, Any]]:
        return [
            {
                "stage": stage,
                "engine": engine,
                "counts": dict(sorted(Counter(promise["outcome"] for promise in promises).items())),
                "promises": sorted(promises, key=lambda promise: promise["test"]),
            }
            for (stage, engine), promises in sorted(self._engines.items())
        ]


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "expected" if report.skipped else "failed"
    return str(report.outcome)


def _reason(report: pytest.TestReport) -> str:
    """Why it was expected to fail, was skipped, or failed: one line."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message).splitlines()[0] if report.failed and crash is not None else ""
