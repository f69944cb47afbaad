"""A new stage is defined in one place: it is then registered, configured, opened, listed and closed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
Run = Callable[..., subprocess.CompletedProcess[str]]

CLI = "from parley.cli.main import main; main()"

ENTRY_POINTS = """\
[parley.stages]
redaction = dummy_stage:REDACTION
[parley.engines]
redaction.words = dummy_stage:create
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command in a folder of its own, where the package is installed."""
    site = tmp_path / "site"
    (site / "dummy_stage-1.0.dist-info").mkdir(parents=True)
    (site / "dummy_stage-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: dummy-stage\nVersion: 1.0\n")
    (site / "dummy_stage-1.0.dist-info/entry_points.txt").write_text(ENTRY_POINTS)
    shutil.copy(HERE / "dummy_stage.py", site)

    def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONPATH": str(site), **environment}
        return subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environ, capture_output=True, encoding="utf-8", timeout=60
        )

    return run


def test_a_stage_of_another_package_is_listed_like_the_built_in_ones(run: Run) -> None:
    listed = run("-c", CLI, "engines")
    assert "redaction: redaction of texts\n  words          Refuses the texts" in listed.stdout, listed.stderr
    infos = json.loads(run("-c", CLI, "engines", "--json").stdout)
    assert infos[-1]["stage"] == "redaction"


def test_a_stage_that_cannot_be_imported_does_not_affect_the_others(run: Run, tmp_path: Path) -> None:
    points = tmp_path / "site/dummy_stage-1.0.dist-info/entry_points.txt"
    points.write_text("[parley.stages]\nlost = dummy_stage:LOST\nstt = dummy_stage:create\n")
    listed = run("-c", CLI, "engines")
    assert "speech: speech to speech" in listed.stdout
    assert "the stage 'lost' of the package 'dummy-stage' cannot be imported" in listed.stderr
    assert "the entry point 'stt' of the package 'dummy-stage' names no stage of its own" in listed.stderr


def test_the_new_stage_is_configured_opened_used_and_closed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text(
        '[pipelines.bench]\nredaction = "words:rude"\n[pipelines.bench.redaction_options]\nmore = "vulgar,coarse"\n'
    )
    used = run(str(HERE / "use_dummy_stage.py"))
    assert used.stdout.splitlines() == [
        "server: open True False True",
        "server: closed",
        "library: open False",
        "library: closed",
    ], used.stderr
    shown = run("-c", CLI, "config", PARLEY_REDACTION="words:odd").stdout
    assert "pipelines.bench.redaction" in shown
    assert "pipelines.default.redaction" in shown


def test_mistakes_of_the_new_stage_are_reported_like_those_of_a_built_in_one(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "parley.toml"
    config.write_text('[pipelines.bench]\nredaction = "wrods"\n')
    assert (
        "there is no redaction engine 'wrods'; there are words. Did you mean 'words'?"
        in run("-c", CLI, "config").stderr
    )
    config.write_text('[pipelines.bench]\nredactoin = "words"\n')
    assert "Did you mean 'redaction'?" in run("-c", CLI, "config").stderr
    config.write_text('[pipelines.bench]\nredaction = "words"\n[pipelines.bench.redaction_options]\nmroe = "x"\n')
    doctor = run("-c", CLI, "doctor").stdout
    assert "redaction words" in doctor
    assert "mroe" in doctor
