"""`make coverage` counts for each module of the core what its own tests cover, and fails for less than all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/module_coverage.py"
CORE, TESTS = "src/parley/core", "tests/core"

WHOLE = """\
from typing import assert_never


def sign(number: int) -> str:
    match number < 0:
        case True:
            return "-"
        case False:
            return "+"
        case _:
            assert_never(number)
"""
FILES = {
    "pyproject.toml": (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
    f"{CORE}/__init__.py": '"""No statements."""\n',
    f"{CORE}/only_words.py": '"""No statements here either."""\n',
    f"{CORE}/whole.py": WHOLE,
    f"{CORE}/inner/split.py": WHOLE,
    f"{CORE}/lacking.py": WHOLE,
    f"{CORE}/branch.py": "def grown(number: int, more: bool) -> int:\n    if more:\n        number += 1\n    return number\n",
    f"{CORE}/failing.py": "ANSWER = 41\n",
    f"{CORE}/untested.py": "ANSWER = 42\n",
    f"{CORE}/unseen.py": "ANSWER = 43\n",
    f"{TESTS}/test_whole.py": "from parley.core.whole import sign\n\n\ndef test() -> None:\n    assert sign(-1) + sign(1) == '-+'\n",
    f"{TESTS}/test_split.py": "from parley.core.inner.split import sign\n\n\ndef test() -> None:\n    assert sign(-1) == '-'\n",
    f"{TESTS}/test_split_above.py": "from parley.core.inner.split import sign\n\n\ndef test() -> None:\n    assert sign(1) == '+'\n",
    f"{TESTS}/test_lacking.py": "from parley.core.lacking import sign\n\n\ndef test() -> None:\n    assert sign(1) == '+'\n",
    f"{TESTS}/test_branch.py": "from parley.core.branch import grown\n\n\ndef test() -> None:\n    assert grown(1, True) == 2\n",
    f"{TESTS}/test_failing.py": "from parley.core.failing import ANSWER\n\n\ndef test() -> None:\n    assert ANSWER == 42\n",
    # What a scenario reaches counts for no module, and an aspect without its main file does not either.
    f"{TESTS}/test_scenario.py": "from parley.core.lacking import sign\n\n\ndef test() -> None:\n    assert sign(-1) == '-'\n",
    f"{TESTS}/test_untested_aspect.py": "from parley.core.untested import ANSWER\n\n\ndef test() -> None:\n    assert ANSWER\n",
    f"{TESTS}/test_unseen.py": "def test() -> None:\n    assert True\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for folder in ("src/parley", f"{CORE}/inner"):
        (tmp_path / folder / "__init__.py").touch()
    return tmp_path


def measured(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(root / "src"), "PATH": "", "HOME": str(root)}
    command = [sys.executable, str(SCRIPT), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=100)


@pytest.mark.slow
def test_each_module_is_counted_by_its_own_tests_alone(checkout: Path) -> None:
    run = measured(checkout, "--json")
    found = {one["module"]: one for one in json.loads(run.stdout)}
    assert run.returncode == 1
    assert sorted(found) == ["branch", "failing", "inner.split", "lacking", "unseen", "untested", "whole"]
    assert [name for name, one in found.items() if one["complete"]] == ["inner.split", "whole"]
    assert found["inner.split"]["tests"] == [f"{TESTS}/test_split.py", f"{TESTS}/test_split_above.py"]
    assert (found["whole"]["lines"], found["whole"]["branches"]) == (7, 2), (
        "what types show to be unreachable is not counted"
    )
    assert found["lacking"]["lines_missed"] == [7]
    assert found["branch"]["lines_missed"] == []
    assert found["branch"]["branches_missed"] == [[2, 4]]
    assert "its tests fail" in found["failing"]["fault"]
    assert found["untested"]["fault"] == "there is no test_untested.py"
    assert found["unseen"]["lines_missed"] == [1], "its tests do not import the module"


@pytest.mark.slow
def test_modules_that_are_covered_whole_pass_and_the_others_are_named_with_what_they_miss(checkout: Path) -> None:
    passed = measured(checkout, "whole", "inner.split")
    assert (passed.returncode, passed.stderr) == (0, "")
    assert passed.stdout.splitlines()[-1] == "2 of 2 modules are covered whole by their own tests"
    failed = measured(checkout, "lacking", "branch")
    assert failed.returncode == 1
    assert "lines 7; branches 6->7" in failed.stdout
    assert "branches 2->4" in failed.stdout


def test_an_unknown_module_is_refused_by_name(checkout: Path) -> None:
    run = measured(checkout, "whole", "hole")
    assert run.returncode == 2
    assert "the core has no module hole" in run.stderr


def test_two_modules_of_one_name_cannot_share_a_test_file(checkout: Path) -> None:
    (checkout / CORE / "inner/whole.py").write_text("ANSWER = 1\n", encoding="utf-8")
    run = measured(checkout)
    assert run.returncode == 2
    assert "share a name" in run.stderr
    assert "whole" in run.stderr


def test_every_module_of_the_core_has_a_test_file() -> None:
    """What it covers is measured by `make coverage`, which takes minutes."""
    stems = [path.stem for path in (ROOT / CORE).rglob("*.py") if path.stem != "__init__"]
    assert len(stems) == len(set(stems)) > 40
    assert [stem for stem in stems if not (ROOT / TESTS / f"test_{stem}.py").is_file()] == []
