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
BLOCKING = ROOT / "examples/blocking_engines"
HOW_TO = (ROOT / "docs/engines-howto.md").read_text(encoding="utf-8")
CLI = "from parley.cli.main import main; main()"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_how_to_shows_what_the_package_holds() -> None:
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", HOW_TO, re.DOTALL)
    files = (PACKAGE / "pyproject.toml", PACKAGE / "parley_faq.py", BLOCKING / "parley_beeps.py")
    held = "".join(file.read_text(encoding="utf-8") for file in files)
    shown = [block.removeprefix("# pyproject.toml\n") for block in blocks]
    others = [block for block in shown if not all(part in held for part in block.split("\n\n"))]
    assert len(shown) == 7
    assert [block.startswith("[pipelines.default]") for block in others] == [True]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python in a new environment that has this one's packages, and the examples', built from their source."""
    folder = tmp_path_factory.mktemp("stranger")
    source, blocking, environment = folder / "faq_engine", folder / "blocking_engines", folder / "venv"
    shutil.copytree(PACKAGE, source)
    shutil.copytree(BLOCKING, blocking)
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin/python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (site / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    subprocess.run([*pip, *offline, str(source), str(blocking)], check=True, timeout=120)
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
    talk = ("talk", "--plain", "--typed", "--stt", "pocketsphinx", "--llm", "faq:answers.txt", "--tts", "hibari")
    told = run("-c", CLI, *talk, told="At what hours are you open?\n/q\n")
    assert told.returncode == 0, told.stderr
    assert "you: At what hours are you open?" in told.stdout


@pytest.mark.slow
def test_engines_whose_libraries_block_speak_and_recognise(run: Run, tmp_path: Path) -> None:
    beeps = tmp_path / "beeps.wav"
    said = run("-c", CLI, "say", "One two three.", "--tts", "beeps", "-o", str(beeps))
    assert said.returncode == 0, said.stderr
    script = """
import asyncio, sys
from parley.audio import pcm
from parley.engines import registry
from parley.engines.ports import STT, EngineSpec, RecognitionSpec
import numpy as np, wave

async def main():
    engine = registry.create(STT, EngineSpec("beeps"))
    await engine.open()
    with wave.open(sys.argv[1]) as file:
        audio = pcm.to_float(file.readframes(file.getnframes()))
        rate = file.getframerate()
    at_16k = np.interp(np.arange(0, len(audio), rate / 16000), np.arange(len(audio)), audio).astype(np.float32)
    stream = engine.open_stream(RecognitionSpec(), print)
    stream.feed(at_16k)
    print((await stream.finish()).text)
    await engine.close()

asyncio.run(main())
"""
    heard = run("-c", script, str(beeps))
    assert heard.stdout.splitlines()[-1:] == ["I heard 3 beeps."], heard.stderr


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
