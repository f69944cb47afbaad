"""The engine how-to, followed as a stranger would: the package is built, installed into an environment of its own, and talked to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "examples/faq_engine"
HOW_TO = (ROOT / "docs/engines-howto.md").read_text(encoding="utf-8")
CLI = "from parley.cli.main import main; main()"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_how_to_shows_what_the_package_holds() -> None:
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", HOW_TO, re.DOTALL)
    held = "".join((PACKAGE / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "parley_faq.py"))
    shown = [block.removeprefix("# pyproject.toml\n") for block in blocks]
    assert sum(block in held for block in shown) == 4
    assert [block for block in shown if block not in held] == shown[-1:], "the last one is a configuration"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python in a new environment that has this one's packages, and the example's, built from its source."""
    folder = tmp_path_factory.mktemp("stranger")
    source, environment = folder / "faq_engine", folder / "venv"
    shutil.copytree(PACKAGE, source)
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin/python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (site / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", "--no-build-isolation", str(source)], check=True, timeout=120)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}

    def run(*command: str, told: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(python), *command],
            input=told,
            cwd=source,
            env=clean,
            capture_output=True,
            encoding="utf-8",
            timeout=100,
        )

    return run


@pytest.mark.slow
def test_an_installed_engine_is_listed_and_answers(run: Run) -> None:
    assert "faq            Answers from a file of questions and answers: faq:FILE." in run("-c", CLI, "engines").stdout
    talk = ("talk", "--plain", "--typed", "--stt", "pocketsphinx", "--llm", "faq:answers.txt", "--tts", "espeak")
    told = run("-c", CLI, *talk, told="At what hours are you open?\n/q\n")
    assert told.returncode == 0, told.stderr
    assert "you: At what hours are you open?" in told.stdout


@pytest.mark.slow
def test_a_file_that_is_missing_is_reported_with_the_remedy(run: Run, tmp_path: Path) -> None:
    doctor = run("-c", CLI, "doctor", "--llm", "faq:no.txt").stdout
    assert "The file of answers 'no.txt' cannot be read: No such file or directory." in doctor
    assert "Name it after the colon: --llm faq:answers.txt" in doctor


@pytest.mark.slow
def test_the_best_answer_is_chosen(run: Run) -> None:
    script = """
import asyncio, sys
from parley.engines import registry
from parley.engines.ports import LLM, ChatMessage, ChatRequest, EngineSpec, LanguageModel, TextDelta

async def main():
    engine = registry.create(LLM, EngineSpec.parse("faq:answers.txt"))
    assert isinstance(engine, LanguageModel)
    await engine.open()
    for line in sys.stdin:
        events = [event async for event in engine.reply(ChatRequest((ChatMessage("user", line),)))]
        print("".join(event.text for event in events if isinstance(event, TextDelta)))

asyncio.run(main())
"""
    asked = "when are you open\nWhere are you?\nwhat does a ticket cost\nWho was Beckett?\n\n"
    assert run("-c", script, told=asked).stdout.splitlines() == [
        "We are open from nine to five, Monday to Friday.",
        "We are at 12 Harbour Street, next to the lighthouse.",
        "A ticket costs eight euros, and four for children.",
        "I don't know that. Please ask me something else.",
        "I don't know that. Please ask me something else.",
    ]
