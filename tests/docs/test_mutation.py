"""Mutation testing changes the core and nothing else, and its score counts what it found."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = """\
    parley.core.regions.playback.x_first__mutmut_1: killed
    parley.core.regions.playback.xǁPlaybackǁstop__mutmut_2: timeout
    parley.core.regions.playback.xǁPlaybackǁstop__mutmut_3: survived
    parley.core.regions.playback.xǁPlaybackǁstop__mutmut_4: no tests
    parley.core.policy.turn_rules.x_rule__mutmut_1: not checked
"""


def test_the_score_names_what_was_noticed_missed_and_not_tried() -> None:
    command = [sys.executable, str(ROOT / "scripts/mutation_score.py")]
    printed = subprocess.run(command, input=RESULTS, capture_output=True, encoding="utf-8", check=True).stdout
    assert printed.splitlines() == [
        "playback          2 of 4 noticed (50 %), 2 missed",
        "turn_rules        1 not tried",
        "all               2 of 4 noticed (50 %), 2 missed, 1 not tried",
    ]


def test_the_folders_that_mutation_testing_names_exist_and_what_it_makes_is_ignored() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    tests = settings["pytest_add_cli_args_test_selection"]
    for path in (*settings["source_paths"], *settings["also_copy"], *tests):
        assert (ROOT / path).is_dir(), path
    assert all(list(ROOT.glob(pattern)) for pattern in settings["only_mutate"])
    page = (ROOT / "tests/README.md").read_text(encoding="utf-8")
    assert "`make mutation`" in page
    assert all(f"`{path}`" in page for path in tests)
    assert "mutants/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
