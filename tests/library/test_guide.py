"""The programs in docs/library.md do what they say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import clip_path
from tests.programs import run_program

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "library.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_guide_begins_with_ten_lines() -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_program_of_the_guide_runs(number: int, tmp_path: Path) -> None:
    shutil.copy(clip_path("hello_world"), tmp_path / "question.wav")
    done = run_program("-c", BLOCKS[number], cwd=tmp_path, timeout_s=90)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip()
