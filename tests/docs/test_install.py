"""docs/install.md: the lines for completion in shells, run in those shells that are here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs/install.md").read_text(encoding="utf-8")
PROGRAM = Path(sys.executable).with_name("parley")

ASKED = {
    "bash": 'COMP_WORDS=(parley serve --op); COMP_CWORD=2; _parley_completion parley; echo "${COMPREPLY[@]}"',
    "fish": 'complete -C "parley serve --op"',
    "zsh": "print $functions[_parley_completion]",
}
"""What shows, in each shell, that completion is there."""


@pytest.mark.parametrize("shell", ASKED)
def test_the_line_of_the_page_completes_in_its_shell(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    line = re.search(rf"^(.*_PARLEY_COMPLETE={shell}_source parley.*?)(?:  +#.*)?$", PAGE, re.M)
    assert line is not None
    before = "autoload -Uz compinit; compinit -u\n" if shell == "zsh" else ""
    environment = {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    done = subprocess.run(
        [program, "-c", f"{before}{line[1]}\n{ASKED[shell]}"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert ("--open" if shell != "zsh" else "_PARLEY_COMPLETE=zsh_complete") in done.stdout, done.stderr


def test_the_page_says_that_the_index_has_another_project() -> None:
    assert "`parley-voice`" in PAGE
    assert "another one" in PAGE.split("## ")[0].replace("\n", " ")
