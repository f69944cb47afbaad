"""The page about Windows and macOS: nobody ran it there, so at least each command, variable and extra is one that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parley.config.layers import PREFIX, SHORT_NAMES
from tests.docs.commands import blocks, check_parley, commands, page

PAGE = page("docs/windows-and-macos.md")


def powershell() -> list[list[str]]:
    """The words of each command, with the paths of Windows as a shell of ours reads them."""
    text = PAGE.replace("\\", "/")
    return [command.words for command in commands(text, "powershell")]


def test_each_parley_command_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = [words for words in powershell() if words[0] == ".venv/Scripts/parley"]
    assert len(found) > 2
    for words in found:
        check_parley(words)


def test_what_it_installs_is_what_make_installs() -> None:
    makefile = page("Makefile")
    installs = [words for words in powershell() if words[1:4] == ["-m", "pip", "install"]]
    named = {words[-1] for words in installs if "--editable" in words}
    assert named == {".", ".[talk]"}
    for what in named:
        assert re.search(rf'pip install --quiet --editable "?{re.escape(what)}"?$', makefile, re.MULTILINE)


def test_each_variable_is_a_setting() -> None:
    names = re.findall(r"\$env:(\w+) =", "".join(blocks(PAGE, "powershell")))
    assert len(names) == 2
    assert all(name.removeprefix(PREFIX).lower() in SHORT_NAMES for name in names)
