"""What a run of the contract suite found, as JSON: `pytest --parley-report FILE`.

    {"engines": [{"stage": "tts", "engine": "tts.espeak", "name": "espeak", "about": "", "counts": {"passed": 30, "expected": 1},
                  "promises": [{"test": "test_...", "outcome": "expected", "reason": "..."}]}]}

`outcome` is `passed`, `failed`, `expected` (it fails, and the test class says why) or `skipped`; `reason` is left out where there is
none. An engine that a test class of its own tests goes by the name of that class; `about` is the first line of the class's docstring.
`name` is the engine's own (`EngineInfo.name`), "" where no test came so far as to make it.

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
NAME: Final = "parley_engine"


class ContractReport:
    """A plug-in of one run, which writes `path` at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engines: dict[tuple[str, str, str], list[dict[str, str]]] = {}
        self._names: dict[tuple[str, str, str], str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Says with each test of a contract whose promise it is; this travels with its report."""
        tested = getattr(item, "cls", None)
        stage = getattr(tested, "stage", None)
        if tested is None or not hasattr(tested, "make_engine") or stage is None:
            return
        engine = getattr(tested, "engine_name", tested.__name__)
        about = (vars(tested).get("__doc__") or "").strip().partition("\n")[0]
        item.user_properties.append((PROPERTY, [str(stage), engine, about, item.name]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """The engine's own name, from one that is not open: some are called otherwise once they are."""
        make = getattr(item, "funcargs", {}).get("make_engine")
        if make is not None and any(name == PROPERTY for name, _ in item.user_properties):
            item.user_properties.append((NAME, make().info.name))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        named = properties.get(PROPERTY)
        if not isinstance(named, list) or (report.when != "call" and report.passed):
            return
        stage, engine, about, test = map(str, named)
        key = (stage, engine, about)
        if NAME in properties:
            self._names[key] = str(properties[NAME])
        promise = {"test": test, "outcome": _outcome(report)}
        if reason := _reason(report):
            promise["reason"] = reason
        self._engines.setdefault(key, []).append(promise)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):
            return  # the process that started the workers writes
        self._path.write_text(json.dumps({"engines": self._listed()}, indent=2, ensure_ascii=False) + "\n", "utf-8")

    def _listed(self) -> list[dict[str, Any]]:
        return [
            {
                "stage": stage,
                "engine": engine,
                "name": self._names.get((stage, engine, about), ""),
                "about": about,
                "counts": dict(sorted(Counter(promise["outcome"] for promise in promises).items())),
                "promises": sorted(promises, key=lambda promise: promise["test"]),
            }
            for (stage, engine, about), promises in sorted(self._engines.items())
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
