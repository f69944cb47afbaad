"""What the page about privacy promises: a server alone in a network of its own answers a spoken question, opens no connection to anywhere,
writes no file and logs no words; and its page loads nothing from other sites."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import clip_path
from tests.docs.commands import ROOT, blocks, page
from tests.speech import load

PAGE = page("docs/privacy.md")
LIMIT_S = 180
ALONE = """
set -e
ip link set lo up
strace -f -qq -o {trace} -e trace=connect,sendto,sendmsg,sendmmsg {parley} serve 2> {log} &
tracer=$!
tries=0
until grep -q "Parley listens on" {log}; do
    tries=$((tries + 1))
    test $tries -lt 900
    kill -0 $tracer
    sleep 0.1
done
{python} talk.py
pkill -INT -P $tracer
wait $tracer
"""
"""The server, a spoken question to it by the README's program, and its end."""


@dataclass(frozen=True)
class Outcome:
    """What became of it: what the program printed, what the server logged and which addresses it named, and the files in its home."""

    answer: str
    log: str
    trace: str
    home: list[Path]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    for program in ("unshare", "strace", "ip", "pkill"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    unshare = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network of their own")
    folder, home = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("home")
    pcm, rate = load(clip_path("weather_question"))
    with wave.open(str(folder / "question.wav"), "wb") as question:
        question.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        question.writeframes(pcm.tobytes())
    (program_text,) = blocks(page("README.md"), "python")
    (folder / "talk.py").write_text(program_text, encoding="utf-8")
    parley = Path(sys.executable).with_name("parley")
    paths = {"trace": folder / "trace", "log": folder / "log", "parley": parley, "python": sys.executable}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "XDG_", "HF_"))}
    done = subprocess.run(
        [*unshare, "sh", "-c", ALONE.format(**paths)],
        cwd=folder, env=kept | {"HOME": str(home)}, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    log = (folder / "log").read_text(encoding="utf-8")
    assert done.returncode == 0, done.stderr + log
    files = [path for path in home.rglob("*") if path.is_file()]
    return Outcome(done.stdout, log, (folder / "trace").read_text(encoding="utf-8"), files)


@pytest.mark.slow
def test_it_answers_without_a_network(alone: Outcome) -> None:
    assert "paris" in alone.answer.lower()


@pytest.mark.slow
def test_it_connects_to_nothing_but_this_machine_and_to_the_ports_that_the_page_names(alone: Outcome) -> None:
    reached = set(re.findall(r'sin6?_port=htons\((\d+)\).*?"([0-9a-f.:]+)"', alone.trace))
    assert {address for _, address in reached} <= {"127.0.0.1", "::1"}
    named = re.search(r"ports ((?:\d+, )+\d+ and \d+)", PAGE)
    assert named
    asked = {port for port, _ in re.findall(r'connect\(\d+, \{.*?htons\((\d+)\).*?"([0-9.]+)"', alone.trace)}
    assert asked == set(re.findall(r"\d+", named[1]))


@pytest.mark.slow
def test_it_writes_no_file_and_logs_no_words(alone: Outcome) -> None:
    assert alone.home == []
    assert not re.search("paris|weather|heard", alone.log, re.IGNORECASE)


def test_the_page_loads_nothing_from_other_sites() -> None:
    """A link that a person may follow is none of that."""
    loads = re.compile(
        r"""(?:\bsrc=|<link\b[^>]*\bhref=|\burl\(|@import |\bfrom |\bimport\(|\bfetch\()["'`]?(?:https?:|wss?:)?//"""
    )
    looked_at = 0
    for path in (ROOT / "src/parley/web").rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".svg", ".webmanifest"):
            looked_at += 1
            assert loads.findall(path.read_text(encoding="utf-8")) == [], path
    assert looked_at > 20
    assert loads.search('<script src="https://cdn.example.com/x.js">')


def test_it_names_what_uninstall_removes() -> None:
    from parley.cli.uninstall_plan import DATA_NAMES

    kept = {name for name in DATA_NAMES if not name.startswith("cables")}
    assert kept <= set(re.findall(r"`~/\.local/share/parley/([\w-]+)`", PAGE))
