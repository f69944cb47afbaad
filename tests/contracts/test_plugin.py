"""The suite as a stranger runs it: a test class of five lines, and one command for an installed engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

CLASS = """
import pytest
from parley.testing.contracts import TurnJudgeContract
from parley.engines.turn.rules import RuleJudge

class TestMine(TurnJudgeContract):
    @pytest.fixture
    def make_engine(self):
        return RuleJudge
"""

OVERRIDDEN = "\n    def test_any_confidence_of_the_recogniser_is_taken(self): pass\n"
REMOVED = "\n    test_any_confidence_of_the_recogniser_is_taken = None\n"
EXCUSED = """
    @pytest.mark.parametrize("confidence", [None, 0.0])
    @pytest.mark.xfail(reason="it believes every recogniser")
    def test_any_confidence_of_the_recogniser_is_taken(self, subject, confidence):
        super().test_any_confidence_of_the_recogniser_is_taken(subject, confidence)
        assert False
"""
UNREASONED = EXCUSED.replace('reason="it believes every recogniser"', "")
KEEPER = "\n    def test_no_contract_test_is_overridden_without_a_reason(self): pass\n"


def run(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """pytest in a process and a folder of its own, which has no settings of this repository."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", "-rxs", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.slow
def test_a_test_class_of_five_lines_runs_the_contract_and_may_not_bend_it(tmp_path: Path) -> None:
    bent = {"overridden": OVERRIDDEN, "removed": REMOVED, "without_a_reason": UNREASONED}
    for name, addition in {"as_it_is": "", "with_a_reason": EXCUSED, **bent}.items():
        (tmp_path / f"test_{name}.py").write_text(CLASS + addition)
    done = run(tmp_path, "-v", "-k", "test_no_contract_test_is_overridden or confidence", "--junitxml", "found.xml")
    outcomes = {name: Counter[str]() for name in ("as_it_is", "with_a_reason", *bent)}
    for case in ElementTree.parse(tmp_path / "found.xml").iter("testcase"):
        skipped = case.find("skipped")
        outcome = "passed" if len(case) == 0 else "failed" if skipped is None else skipped.attrib["type"]
        outcomes[case.attrib["classname"].removeprefix("test_").removesuffix(".TestMine")][outcome] += 1
        if outcome == "failed":
            assert "overrides or removes a test of the contract" in "".join(case.itertext()), done.stdout
    assert set(outcomes["as_it_is"]) == {"passed"}, done.stdout
    assert outcomes["with_a_reason"]["pytest.xfail"] == 2
    assert outcomes["with_a_reason"]["failed"] == 0
    assert all(outcomes[name]["failed"] == 1 for name in bent), outcomes


def test_the_test_that_keeps_the_others_cannot_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(CLASS + KEEPER)
    assert "TestMine may not override test_no_contract_test_is_overridden" in run(tmp_path).stdout


@pytest.mark.slow
def test_an_installed_engine_is_tested_by_name_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other(): pass\n")
    named = ("--parley-engine", "mt.bench", "-k", "described or describes or glossary or declared or other")
    done = run(tmp_path, *named, "--parley-option", "word_ms=1")
    assert "test_other" not in done.stdout
    assert " passed" in done.stdout.splitlines()[-1], done.stdout


@pytest.mark.slow
def test_what_was_found_of_an_engine_and_of_named_files_is_written_as_json(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(CLASS + EXCUSED + "\n\ndef test_other(): pass\n")
    (tmp_path / "test_bent.py").write_text(CLASS.replace("TestMine", "TestBent") + OVERRIDDEN)
    named = (
        "test_mine.py",
        "test_bent.py",
        "--parley-engine",
        "mt.bench",
        "-k",
        "overridden or confidence or describes or other",
    )
    done = run(tmp_path, *named, "--parley-report", "found.json", "-v", "-v")
    assert "test_mine.py::test_other PASSED" in done.stdout
    assert "::TestMtBench::test_it_describes_itself_before_it_is_opened PASSED" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["engines"]
    by_name = {(engine["stage"], engine["engine"]): engine for engine in found}
    assert set(by_name) == {("turn", "TestMine"), ("turn", "TestBent"), ("mt", "mt.bench")}, done.stdout
    mine, bent = by_name["turn", "TestMine"], by_name["turn", "TestBent"]
    assert mine["counts"]["expected"] == 2
    assert {p.get("reason") for p in mine["promises"] if p["outcome"] == "expected"} == {"it believes every recogniser"}
    (broken,) = [promise for promise in bent["promises"] if promise["outcome"] == "failed"]
    assert broken["test"] == "test_no_contract_test_is_overridden_without_a_reason"
    assert "overrides or removes a test of the contract" in broken["reason"]
    for engine in found:
        assert sum(engine["counts"].values()) == len(engine["promises"]) == len({p["test"] for p in engine["promises"]})
    assert set(by_name["mt", "mt.bench"]["counts"]) == {"passed"}
    assert {(one["engine"], one["name"]) for one in found} >= {("mt.bench", "bench")}, "an engine goes by its own name"


@pytest.mark.slow
def test_options_may_stand_in_the_environment(tmp_path: Path) -> None:
    environment = {"PATH": "", "PARLEY_ENGINE_OPTIONS": "word_ms=1 'pitch=very high'"}
    done = run(tmp_path, "--parley-engine", "mt.bench", environment=environment)
    assert "mt bench knows no option 'pitch'" in done.stdout + done.stderr
    assert done.returncode != 0


WRONG = {
    ("--parley-engine", "bench"): "takes STAGE.NAME[:MODEL], such as tts.espeak, not 'bench'; the stages are vad, turn",
    ("--parley-engine", "tts.bensch"): "Did you mean 'bench'?",
    ("--parley-engine", "mt.bench", "--parley-option", "word_ms"): "an engine's option is KEY=VALUE, not 'word_ms'",
    ("--parley-option", "word_ms=1"): "--parley-option needs an engine",
    ("--parley-engine", "mt.bench", "--parley-report", "no/found.json"): "--parley-report: there is no folder no",
}
"""What pytest says to which arguments."""


def test_a_wrong_name_option_or_report_is_told_with_the_right_ones(tmp_path: Path) -> None:
    """One process for all of them: each starts pytest anew."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    script = (
        "import pytest; "
        f"codes = [pytest.main(['-q', '-p', 'no:cacheprovider', *arguments]) for arguments in {list(WRONG)!r}]; "
        "print([int(code) for code in codes])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=True
    )
    for message in WRONG.values():
        assert message in done.stdout + done.stderr
    codes = json.loads(done.stdout.splitlines()[-1])
    assert len(codes) == len(WRONG)
    assert all(
        code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED)
        for code in codes
    )


def test_the_plug_in_imports_nothing_of_parley_until_an_engine_is_named() -> None:
    script = (
        "import sys, pytest; before = set(sys.modules); import parley.testing.pytest_plugin; "
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith(('parley.testing', '_pytest'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['parley']"


def test_the_test_kit_needs_no_pytest_where_it_is_used_without() -> None:
    script = (
        "import sys; sys.modules['pytest'] = None; import pkgutil, importlib, parley.testing as kit; "
        "[importlib.import_module(f'parley.testing.{m.name}') for m in pkgutil.iter_modules(kit.__path__) "
        "if m.name not in ('contracts', 'contract_report', 'pytest_plugin')]"
    )
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
