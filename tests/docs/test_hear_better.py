"""The page about better recognition and voices: its sizes are the catalogue's, its figures those of the benchmarks, in one unit."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from parley.cli.main import cli
from parley.engines.stt.auto import PREFERRED, better
from parley.models.catalogue import catalogue, megabytes
from tests.docs.commands import ROOT, page

PAGE = page("docs/better-voices-and-recognition.md")
ROUND_TRIP = json.loads((ROOT / "benchmarks/results/round_trip.json").read_text(encoding="utf-8"))


def rows(title: str) -> dict[str, list[str]]:
    """The cells of a table by the model in the first one."""
    table = PAGE.split(f"\n| {title} | Size |")[1].split("\n\n")[0]
    found = re.findall(r"^\| `([^`]+)`(?: \(installed\))? \| (.+) \|$", table, re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found}


def test_each_size_is_that_of_the_catalogue() -> None:
    sizes = {name: cells[0] for title in ("Recogniser", "Voice") for name, cells in rows(title).items()}
    assert len(sizes) > 15
    models = catalogue()
    assert sizes == {name: megabytes(models[name].size) if name in models else "0 MB" for name in sizes}


def test_each_figure_of_a_recogniser_is_a_measured_one() -> None:
    measured = {one["engine"]: one for one in ROUND_TRIP["recognizers"]}
    errors = {pair["stt"]: pair["wer"] for pair in ROUND_TRIP["pairs"] if pair["tts"] == "hibari"}
    for name, (_, _, rtf, final, wrong) in rows("Recogniser").items():
        if name in measured:
            one = measured.pop(name)
            expected = [f"{one['rtf']:.2f}", f"{one['final_p50_ms']:.0f} ms", f"{errors[name]:.1%}".replace("%", " %")]
            assert [rtf, final, wrong] == expected
        else:
            assert [rtf, final, wrong] == ["-", "-", "-"], name
    assert not measured


def test_each_figure_of_a_voice_is_a_measured_one() -> None:
    measured = {one["engine"]: one for one in ROUND_TRIP["voices"]}
    for name, (_, _, first, rtf, memory) in rows("Voice").items():
        one = measured.get("kokoro" if name == "kokoro:v1.0" else name)
        if one is None:
            assert [first, rtf, memory] == ["-", "-", "-"], name
        else:
            expected = [f"{one['first_audio_p50_ms']:.0f} ms", f"{one['rtf']:.3f}", f"{one['memory_mib']} MiB"]
            assert [first, rtf, memory] == expected


def test_each_model_that_is_named_is_in_the_catalogue() -> None:
    engines = {name.partition(":")[0] for name in catalogue()}
    named = {
        name for name in re.findall(r"(?<![\w/])([a-z-]+:[a-z0-9][\w.-]*\w)", PAGE) if name.partition(":")[0] in engines
    }
    assert len(named) > 15
    assert named <= set(catalogue())


def test_the_order_of_the_whisper_models_is_that_of_the_engine() -> None:
    assert f"the first of {', '.join(PREFERRED)};" in PAGE


@pytest.mark.parametrize("name", ["whisper:tiny.en", "whisper:base"])
def test_a_model_has_one_size_wherever_a_person_reads_it(name: str) -> None:
    size = megabytes(catalogue()[name].size)
    runner = CliRunner()
    for arguments in (["models", "info", name], ["models", "search", name]):
        assert size in runner.invoke(cli, arguments).output, arguments
    assert size in better()
    assert size in page("docs/quickstart.md") + page("docs/interpreting.md")
