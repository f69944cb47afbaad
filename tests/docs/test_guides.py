"""The pages for those who use Parley: their commands are ones that exist, their settings load, and the index leads to every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parley.config import load
from parley.config.layers import NOT_SETTINGS, PREFIX, SHORT_NAMES
from tests.docs.commands import ROOT, SHELL_ONLY, Command, blocks, check_parley, commands, not_executed, page

GUIDES = (
    "docs/better-voices-and-recognition.md",
    "docs/hardware.md",
    "docs/ollama.md",
    "docs/phones.md",
    "docs/privacy.md",
    "docs/remote.md",
    "docs/troubleshooting.md",
    "docs/updating.md",
    "docs/windows-and-macos.md",
)
"""Each ends with what of it was tried."""

STEPS = (*GUIDES, "README.md", "docs/quickstart.md", "docs/interpreting.md", "docs/talk.md", "docs/models.md")
TRIED = {"parley", "ssh", "caddy", "parley.exe"}
"""Programs of the guides that a test runs or parses."""


def steps(program: str) -> list[object]:
    return [
        pytest.param(command, id=f"{name}: {' '.join(command.words)}")
        for name in STEPS
        for command in commands(page(name))
        if command.words[0].removeprefix(".venv/bin/") == program
    ]


@pytest.mark.parametrize("command", steps("parley"))
def test_each_command_exists_with_its_options(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_parley(command.words)


@pytest.mark.parametrize("command", steps("parley"))
def test_each_variable_before_a_command_is_a_setting(command: Command) -> None:
    for name in command.variables:
        assert name.removeprefix(PREFIX).lower() in SHORT_NAMES or name in NOT_SETTINGS, name


def test_what_is_no_command_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in ("parley serve --no-such-option", "parley nonsense", "parley models fetch whisper:base"):
        with pytest.raises(Exception, match=r"[Nn]o such|no command"):
            check_parley(line.split())


@pytest.mark.parametrize("name", STEPS)
def test_each_extra_that_a_command_installs_exists(name: str) -> None:
    extras = re.search(r"\[project.optional-dependencies\](.*?)\n\[", page("pyproject.toml"), re.DOTALL)
    assert extras
    known = set(re.findall(r"^([a-z-]+) = \[", extras[1], re.MULTILINE))
    named = {extra for listed in re.findall(r"""['"]\.\[([a-z,-]+)\]['"]""", page(name)) for extra in listed.split(",")}
    assert named <= known


@pytest.mark.parametrize("name", GUIDES)
def test_each_setting_of_a_guide_loads(name: str, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page(name), "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        config = load(path, {}, {"PARLEY_API_KEY": "key"})
        assert not config.warnings
        assert any(setting.source.startswith(str(path)) for setting in config.settings)


@pytest.mark.parametrize("name", GUIDES)
def test_each_guide_says_which_of_its_programs_were_not_run(name: str) -> None:
    text = page(name)
    used = {command.words[0] for command in commands(text)} | {
        program for program in ("curl", "ss", "adb") if f"`{program} " in text
    }
    said = not_executed(text)
    assert used - SHELL_ONLY - TRIED - said == set()
    assert not said & TRIED


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)", page("docs/README.md")))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages - linked == set()
    assert "docs/README.md" in page("README.md")


def test_the_model_is_fetched_before_it_is_named() -> None:
    for name in ("README.md", "docs/quickstart.md", "docs/ollama.md"):
        text = page(name)
        for model in re.findall(r"--llm ollama:([\w.:-]+\w)", text):
            pulled = text.find(f"ollama pull {model}")
            assert 0 <= pulled < text.index(f"--llm ollama:{model}"), (name, model)


@pytest.mark.parametrize("name", [*GUIDES, "README.md", "docs/quickstart.md", "docs/interpreting.md"])
def test_links_within_and_between_pages_name_headings_that_exist(name: str) -> None:
    def anchors(text: str) -> set[str]:
        titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page(name)):
        target = (ROOT / name).parent / file if file else ROOT / name
        if target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{file}#{anchor}"
