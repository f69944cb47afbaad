"""Each line that tells a person to install something installs something of this project.

The package index has another project called `parley`: a line that names it would install that one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.invocation import DISTRIBUTION

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

SUFFIXES = {".md", ".py", ".sh", ".toml", ".html", ".js", ".yaml", ".service", ".txt", ".conf", ".css", ".ino"}
NAMES = {"Makefile", "Dockerfile", "Dockerfile.cuda"}
FOLDERS = ("benchmarks", "deploy", "docs", "examples", "scripts", "src")

TOOLS = {
    "pip": "what installs",
    "openai": "a client, in an environment of its own",
    "httpx": "a client in an example",
    "onnxruntime-gpu": "the same runtime, with CUDA",
    "nvidia-cublas": "the libraries of CUDA",
    "nvidia-cublas-cu12": "the libraries of CUDA",
    "omnisteval": "a judge in a benchmark",
    "sacrebleu": "a judge in a benchmark",
    "torchfcpe": "weights for a pitch graph",
}
"""Packages that some line installs beside what this project declares, with the reason."""

COMMAND = re.compile(r"\bpip (?:install|download)\b(?P<rest>[^\n]*)")
END = re.compile(r"`|&&|\|\||;|\s\\$|\s#|\s{2,}|[\"'],|[\"']\)|\\n|\), |\. |, ")
"""Where the command ends and the prose or the code around it goes on."""


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    """What this project demands, with its extras and groups, and itself."""
    project = PROJECT["project"]
    lists = (
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    )
    return {normalized(re.split(r"[^\w.-]", one, maxsplit=1)[0]) for listed in lists for one in listed}


def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    found += [
        ROOT / name
        for name in ("README.md", "CHANGELOG.md", "ARCHITECTURE.md", "Makefile", "install.sh", "uninstall.sh")
    ]
    return [
        path for path in found if (path.suffix in SUFFIXES or path.name in NAMES) and "node_modules" not in path.parts
    ]


def lines() -> Iterator[tuple[str, list[str]]]:
    """Each printed line with the place where it stands, as the words behind `pip install`."""
    for path in files():
        if path.name == "invocation.py":  # makes the lines that commands print: tests/cli/test_invocation.py
            continue
        for match in COMMAND.finditer(path.read_text(encoding="utf-8")):
            words = re.findall(r"'[^']*'|\"[^\"]*\"|[^\s'\"\\]+", END.split(match["rest"].strip() + " ")[0])
            yield (
                f"{path.relative_to(ROOT)}: pip install {' '.join(words)}",
                [word.strip("'\"(),:\\") or word for word in words],
            )


def fault(words: list[str], folder: Path = ROOT) -> str:
    """What in the words behind `pip install` is not of this project; empty where all is."""
    takes_value = {"--group", "--requirement", "-r", "-d", "--only-binary"}
    value_of = ""
    for word in words:
        if value_of in ("--requirement", "-r") and not (folder / word).is_file():
            return f"{word} is no file"
        if value_of == "--group" and word not in PROJECT["dependency-groups"]:
            return f"there is no group {word}"
        if value_of:
            value_of = ""
        elif word.startswith("-"):
            value_of = word if word in takes_value else ""
        elif path := re.fullmatch(
            r"(?:\$here|/src|(?P<path>\.[\w./-]*|examples/[\w./-]+|))(?:\[(?P<extras>[\w,-]+)\])?", word
        ):
            if path["path"] and not (folder / path["path"] / "pyproject.toml").is_file():
                return f"{word} is no project"
            if unknown := set((path["extras"] or "talk").split(",")) - set(PROJECT["project"]["optional-dependencies"]):
                return f"there is no extra {unknown}"
        elif word.startswith(("{", "/src$")) or word in {"x", "one-of-them"}:
            continue  # filled in where it is printed
        elif (name := normalized(re.split(r"[^\w.-]", word, maxsplit=1)[0])) not in declared() | set(TOOLS):
            return f"{name} is no part of this project"
    return "" if words else "it names nothing"


def test_every_printed_line_installs_something_of_this_project() -> None:
    found = list(lines())
    assert len(found) > 60
    assert [f"{line} ({why})" for line, words in found if (why := fault(words))] == []


@pytest.mark.parametrize(
    "words",
    [
        ["parley"],
        ["parley[talk]"],
        ["-e", ".[tlak]"],
        ["--group", "devv"],
        ["parley-talk"],
        ["./example"],
        [DISTRIBUTION],
        [],
    ],
)
def test_a_line_that_installs_something_else_is_found(words: list[str]) -> None:
    """The name of this project is not on the package index: a line must name the checkout."""
    assert fault(words)


@pytest.mark.parametrize(
    "words", [["-e", ".[talk,webrtc]"], ["./examples/faq_engine"], ["sounddevice>=0.5", "soxr"], ["--group", "dev"]]
)
def test_a_line_of_this_project_passes(words: list[str]) -> None:
    assert fault(words) == ""


def test_the_project_has_a_name_of_its_own() -> None:
    assert PROJECT["project"]["name"] == DISTRIBUTION == "parley-voice"
    assert list(PROJECT["project"]["scripts"]) == ["parley"]
    for example in ROOT.glob("examples/*/pyproject.toml"):
        assert tomllib.loads(example.read_text(encoding="utf-8"))["project"]["dependencies"] == [DISTRIBUTION]
