"""`parley doctor` says of each pipeline what it translates, when its translations begin, and what its voice lacks."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parley.cli.main import run
from parley.cli.translation_checks import check_translation, routes
from parley.engines.common_info import common_info
from parley.engines.mt.apertium import ApertiumTranslator
from parley.engines.mt.auto import AutoTranslator
from parley.engines.mt.bench import BenchTranslator
from parley.engines.mt.llm import LlmTranslator
from parley.engines.ports import STT, EngineInfo, EngineSpec
from parley.engines.registry import create

BENCH = 'stt = "bench"\nllm = "bench"\ntts = "bench"\n'
HEARS = EngineInfo("stt", "ears", "Ears.", languages=("en", "es"), promises=True)
SPEAKS = EngineInfo("tts", "mouth", "Mouth.", languages=("en", "es"))


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_") and name != "PARLEY_MODELS_DIR"]:
        monkeypatch.delenv(name)


@pytest.fixture
def rules(tmp_path: Path) -> ApertiumTranslator:
    (tmp_path / "modes").mkdir()
    for name in ("eng-spa", "spa-eng", "es-pt"):
        (tmp_path / "modes" / f"{name}.mode").write_text("lt-proc $1 /y.bin")
    return ApertiumTranslator(tmp_path)


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code = run(["doctor", "--port", "0", "--json", *arguments])
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert code == (1 if any(row["required"] and not row["ok"] for row in found.values()) else 0)
    return found


def test_the_routes_of_a_pipeline_are_told_and_that_its_recogniser_promises_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = rows(capsys, "--pipeline", "bench")
    assert found["translation (bench)"]["ok"]
    assert found["translation (bench)"]["seen"] == "2 pairs through bench; it speaks x-bench"
    clauses = found["clauses (bench)"]
    assert (clauses["ok"], clauses["required"]) == (False, False)
    assert "begins at a pause" in clauses["seen"]
    assert "--stt moonshine:tiny-v1" in clauses["remedy"]
    assert "voices (bench)" not in found


def test_a_machine_without_a_translator_passes_and_reads_how_to_install_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = f'[pipelines.default]\n{BENCH}mt = "auto"\nmt_options.apertium = "nowhere"\n'
    Path("parley.toml").write_text(text, encoding="utf-8")
    found = rows(capsys)
    lack = found["translation (default)"]
    assert (lack["ok"], lack["required"], lack["seen"]) == (False, False, "No translator is on this machine.")
    assert "apt-get install apertium" in lack["remedy"]
    assert not {"clauses (default)", "voices (default)"} & set(found), "there is nothing to wait for"
    assert "translation (bench)" not in found, "the pipeline of benchmarks was not chosen"


def test_a_pipeline_whose_engine_does_not_open_is_told_by_that_engine_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables = (f'[pipelines.{name}]\n{BENCH}mt = "{mt}"\n' for name, mt in (("lost", "bergamot:nowhere"),))
    deaf = '[pipelines.deaf]\nstt = "moonshine:nowhere"\nllm = "bench"\ntts = "bench"\nmt = "bench"\n'
    Path("parley.toml").write_text("".join(tables) + deaf, encoding="utf-8")
    found = rows(capsys, "--pipeline", "bench")
    assert not found["mt bergamot:nowhere (lost)"]["ok"]
    assert not found["stt moonshine:nowhere (deaf)"]["ok"]
    assert [name for name in found if name.startswith("translation")] == ["translation (bench)"]


def test_languages_that_the_voice_does_not_speak_are_named(rules: ApertiumTranslator) -> None:
    first, *others = check_translation("p", "", HEARS, rules, SPEAKS)
    assert (first.ok, first.seen) == (True, "3 pairs through apertium; it speaks en, es")
    (voices,) = others
    assert (voices.ok, voices.required) == (False, False)
    assert voices.seen == "the translator gives pt, which the voice mouth does not speak"
    assert "--tts espeak" in voices.remedy
    (only,) = check_translation("p", "en", HEARS, rules, SPEAKS)
    assert only.seen == "3 pairs through apertium; it speaks es", "the pipeline is for one language"


def test_a_voice_that_speaks_none_of_them_is_said_once(rules: ApertiumTranslator) -> None:
    (lack,) = check_translation("p", "en", HEARS, rules, EngineInfo("tts", "mouth", "Mouth.", languages=("de",)))
    assert (lack.ok, lack.required) == (False, False)
    assert lack.seen == "Its voice speaks none of the languages that it is translated into: es."


def test_a_recogniser_of_other_languages_is_said_once(rules: ApertiumTranslator) -> None:
    (lack,) = check_translation("p", "", EngineInfo("stt", "ears", "Ears.", languages=("de",)), rules, SPEAKS)
    assert "translates nothing from de" in lack.seen
    assert "apt-get install" in lack.remedy


async def test_routes_are_counted_by_their_engine() -> None:
    auto = AutoTranslator({"bench": BenchTranslator(0, 0)})
    await auto.open()
    assert routes(auto) == "2 pairs through bench (2)"
    assert routes(LlmTranslator(None)) == f"{len(LlmTranslator(None).info.languages)} languages through llm"


@pytest.mark.parametrize(
    ("engine", "options", "promises"),
    [
        ("whisper:tiny", {}, True),
        ("whisper:tiny", {"partials": False}, False),
        ("moonshine:m", {}, True),
        ("moonshine:m", {"partials": False}, False),
        ("onnx-asr:m", {}, True),
        ("onnx-asr:m", {"partials": False}, False),
        ("realtime:gpt-realtime-whisper", {}, True),
        ("openai:whisper-1", {}, False),
        ("pocketsphinx", {}, False),
        ("chain", {}, False),
    ],
)
def test_engines_declare_whether_they_promise_words_while_they_listen(
    engine: str, options: dict[str, object], promises: bool
) -> None:
    spec = EngineSpec.parse(engine, options)
    assert create(STT, spec).info.promises == promises


def test_a_chain_promises_what_all_its_engines_promise() -> None:
    silent = EngineInfo("stt", "other", "Other.")
    assert not common_info(HEARS, silent).promises
    assert not common_info(silent, HEARS).promises
    assert common_info(HEARS, HEARS).promises


PLUG_IN = """
from parley.engines.mt.bench import BenchTranslator

class Broken(BenchTranslator):
    def __init__(self, at):
        super().__init__(0, 0)
        self.at = at

    async def open(self):
        if self.at == "open":
            raise KeyError("weights")

    def pairs(self):
        raise OSError("no list of pairs")

def create(model, options):
    return Broken(model)
"""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with the translator `broken:open`, which cannot be opened, and `broken:pairs`, which cannot list its pairs."""
    site = tmp_path / "site"
    dist = site / "acme_mt-1.0.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-mt\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[parley.engines]\nmt.broken = acme_mt:create\n")
    (site / "acme_mt.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("acme_mt", None)


@pytest.mark.usefixtures("broken")
def test_what_a_packages_engine_raises_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    tables = (f'[pipelines.{at}]\n{BENCH}mt = "broken:{at}"\n' for at in ("open", "pairs"))
    Path("parley.toml").write_text("".join(tables), encoding="utf-8")
    found = rows(capsys, "--pipeline", "bench")
    assert found["mt broken:open (open)"]["seen"] == "KeyError: 'weights'"
    assert found["mt broken:pairs (pairs)"]["seen"] == "OSError: no list of pairs"
    assert found["translation (bench)"]["ok"]
    assert run(["engines", "--languages", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    problems = {one["name"]: one["problem"] for one in listed["translators"]}
    assert problems["broken:open"]["message"] == "KeyError: 'weights'"
    assert problems["broken:pairs"]["message"] == "OSError: no list of pairs"
    assert problems["bench"] is None
