"""`parley engines --languages`: what is covered from speech to speech, what each translator knows, and what is lacking."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from parley.cli.languages import lack_of
from parley.cli.main import run
from parley.engines.mt.apertium import ApertiumTranslator
from parley.engines.mt.apertium_modes import DIRECTORY
from parley.engines.stt.bench import BenchRecognizer
from parley.runtime.language_chain import LanguageChain

BENCH = 'stt = "bench"\nllm = "bench"\ntts = "bench"\n'


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_") and name != "PARLEY_MODELS_DIR"]:
        monkeypatch.delenv(name)


def configuration(*tables: str) -> None:
    """Writes pipelines of bench engines; each table is NAME, a line end, and what differs."""
    text = ""
    for table in tables:
        name, _, lines = table.partition("\n")
        named = {line.partition("=")[0].strip() for line in lines.splitlines()}
        rest = "".join(f"{line}\n" for line in BENCH.splitlines() if line.partition("=")[0].strip() not in named)
        text += f"[pipelines.{name}]\n{rest}{lines}\n"
    Path("parley.toml").write_text(text, encoding="utf-8")


def listed(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pipelines by name, and the translators by name and the pipelines that use them, as JSON has them."""
    assert run(["engines", "--languages", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    translators = {" ".join((one["name"], *one["pipelines"])): one for one in found["translators"]}
    return {one["name"]: one for one in found["pipelines"]}, translators


def test_a_pipeline_is_listed_from_speech_to_speech(capsys: pytest.CaptureFixture[str]) -> None:
    configuration('default\nstt = "pocketsphinx"\nmt = "bench"')
    pipelines, translators = listed(capsys)
    default = pipelines["default"]
    assert (default["default"], default["understands"], default["pairs"]) == (True, ["en"], [["en", "x-bench"]])
    assert default["engines"] == {"stt": "pocketsphinx", "mt": "bench", "tts": "bench"}
    assert default["problems"] == []
    assert pipelines["bench"]["pairs"] == [["", "x-bench"]], "a recogniser that does not say what it understands"
    assert [one for one in translators if one.startswith("bench")] == ["bench default bench"]
    routes = [(route["from_language"], route["to_language"]) for route in translators["bench default bench"]["routes"]]
    assert routes == [("en", "x-bench"), ("x-bench", "en")]
    assert run(["engines", "--languages"]) == 0
    out = capsys.readouterr().out
    assert "  default (the default)\n    recogniser   pocketsphinx: en\n" in out
    assert "    end to end   en -> x-bench\n" in out
    assert "    end to end   any -> x-bench\n" in out
    assert "  bench (pipelines: default, bench): 2 pairs\n    en -> x-bench\n    x-bench -> en\n" in out


def test_without_a_translator_the_command_that_installs_one_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    configuration('default\nmt = "auto"\nmt_options.apertium = "nowhere"')
    pipelines, translators = listed(capsys)
    (problem,) = pipelines["default"]["problems"]
    assert problem["message"] == "No translator is on this machine."
    assert "apt-get install apertium" in problem["remedy"]
    assert pipelines["default"]["pairs"] == []
    assert "apt-get install apertium" in translators["auto default"]["problem"]["remedy"]
    assert run(["engines", "--languages"]) == 0
    out = capsys.readouterr().out
    assert "    end to end   nothing. No translator is on this machine.\n" in out
    assert "  auto (pipelines: default): nothing\n" in out


def test_a_pipeline_without_the_stage_says_how_to_name_a_translator() -> None:
    problem = lack_of(LanguageChain.of(BenchRecognizer(0, "x").info, None, None))
    assert problem is not None
    assert problem.message == "It has no translator."
    assert 'mt = "auto"' in problem.remedy


def test_an_engine_that_cannot_be_opened_is_named_and_the_others_are_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configuration(
        'default\nmt = "bench"', 'lost\nmt = "bergamot:nowhere"', 'deaf\nstt = "moonshine:nowhere"\nmt = "bench"'
    )
    pipelines, translators = listed(capsys)
    assert pipelines["default"]["pairs"] == [["", "x-bench"]]
    (lost,) = pipelines["lost"]["problems"]
    assert lost["message"].startswith("mt bergamot:nowhere cannot be used: ")
    assert lost["remedy"]
    (deaf,) = pipelines["deaf"]["problems"]
    assert deaf["message"].startswith("stt moonshine:nowhere cannot be used: ")
    assert translators["bergamot:nowhere lost"]["problem"]["message"] in lost["message"]
    assert "names no language model" in translators["llm"]["problem"]["message"]
    (bench,) = (translators[name] for name in translators if name.startswith("bench "))
    assert bench["problem"] is None
    assert run(["engines", "--languages"]) == 0
    out = capsys.readouterr().out
    assert "  lost\n    end to end   nothing. mt bergamot:nowhere cannot be used: " in out
    assert "  bergamot:nowhere (pipelines: lost): nothing\n" in out


def test_a_wrong_option_of_a_translator_does_not_end_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    configuration('default\nmt = "bench"\nmt_options.frist_word_ms = 5')
    pipelines, translators = listed(capsys)
    assert "frist_word_ms" in pipelines["default"]["problems"][0]["message"]
    assert pipelines["bench"]["pairs"] == [["", "x-bench"]]
    assert "frist_word_ms" in translators["bench default"]["problem"]["message"]
    assert len(translators["bench bench"]["routes"]) == 2


@pytest.mark.skipif(
    shutil.which("apertium") is None or ("en", "es") not in ApertiumTranslator(Path(DIRECTORY)).pairs(),
    reason="Apertium is not installed (Debian: apt-get install apertium apertium-eng-spa)",
)
def test_a_language_without_a_voice_is_named_and_routes_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    configuration('default\nstt = "pocketsphinx"\nmt = "auto"\ntts = "hibari"', 'able\nmt = "auto"\ntts = "espeak"')
    pipelines, translators = listed(capsys)
    assert pipelines["default"]["unspoken"] == ["es"]
    (problem,) = pipelines["default"]["problems"]
    assert problem["message"] == "Its voice speaks none of the languages that it is translated into: es."
    assert "es" in {target for _, target in pipelines["able"]["pairs"]}
    route = next(route for route in translators["auto default able"]["routes"] if route["to_language"] == "es")
    assert route["engine"] in route["reason"]


def test_a_configuration_is_only_for_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["engines", "--config", "parley.toml"]) == 2
    assert "--languages" in capsys.readouterr().err
    assert run(["engines", "--languages", "--config", "none.toml"]) == 2
    captured = capsys.readouterr()
    assert "none.toml" in captured.err
    assert captured.out == ""
