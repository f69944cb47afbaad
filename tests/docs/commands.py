"""What the tests of the pages share: a page's blocks, the commands in them, and whether `parley` has a command."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from parley.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
SHELL_ONLY = {".", "cd", "make", "pip"}
"""Of the shell; or of this repository, whose own tests run them."""


@dataclass(frozen=True)
class Command:
    """One command of a page: the variables before it, and its words."""

    variables: dict[str, str]
    words: list[str]


def page(name: str) -> str:
    """The text of a page, by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """What stands between the fences of this language; a fence in a list is indented."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def commands(text: str, language: str = "sh") -> Iterator[Command]:
    """Each command of the blocks; those joined by `&&` or `|` one by one."""
    for block in blocks(text, language):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&|")
            lexer.whitespace_split = True
            for joint, grouped in itertools.groupby(lexer, key=lambda word: set(word) <= set("&|")):
                words = [] if joint else list(grouped)
                variables = {}
                while words and re.fullmatch(r"[A-Za-z_]+=.*", words[0]):
                    name, _, value = words.pop(0).partition("=")
                    variables[name] = value
                if words:
                    yield Command(variables, words)


def check_parley(words: list[str]) -> None:
    """Have click parse the words as the command line does, without running anything. Raises what click raises.

    A file that is named is made first, empty and in the current folder, because click looks for those that are read.
    """
    for word in words:
        if re.fullmatch(r"[\w-]+\.(wav|srt|md|toml)", word):
            Path(word).touch()
    command: click.Command = cli
    context = command.make_context(words[0], list(words[1:]))
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, f"parley has no command {name}"
        command, context = found, found.make_context(name, rest, parent=context)


def not_executed(text: str) -> set[str]:
    """The programs that the page says were not run."""
    last = text.split("## What of this page was tried")[1]
    return set(re.findall(r"`([\w./-]+)`", last.partition("Not executed:")[2]))
