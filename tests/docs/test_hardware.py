"""The page about hardware: each figure is one of the benchmarks or of the catalogue."""

from __future__ import annotations

import json
import re
from typing import Any

from parley.models.catalogue import catalogue
from tests.docs.commands import ROOT, page

PAGE = page("docs/hardware.md")
MEMORY = PAGE.split("## Memory")[1].split("\n## ")[0]


def results(name: str) -> Any:
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))


def row(begins: str) -> str:
    found = re.search(rf"^\| {re.escape(begins)}.*? \| (.+) \|$", MEMORY, re.MULTILINE)
    assert found, begins
    return found[1]


def test_memory_is_what_was_measured() -> None:
    voices = {one["engine"]: one["memory_mib"] for one in results("round_trip")["voices"]}
    for title, engine in (("hibari", "hibari"), ("espeak-ng", "espeak"), ("Kokoro", "kokoro")):
        assert row(title) == f"{voices[engine]} MiB"
    models = {
        "Whisper tiny.en": "whisper:tiny.en",
        "Moonshine tiny": "moonshine:tiny-v1",
        "SmolLM2": "llama:smollm2-135m",
    }
    for title, name in models.items():
        assert row(title) == f"{catalogue()[name].memory_mib} MiB"
    soak = results("soak")
    assert row("the server alone") == f"{soak['figures']['end_mib']:.0f} MiB"
    assert f"after {soak['sessions']:,} conversations" in PAGE
    assert "373 MiB after the\nfirst round and 375 at the end" in page("benchmarks/README.md")
    assert row("the server with its default engines") == "375 MiB"


def test_processor_time_is_what_was_measured() -> None:
    section = PAGE.split("## Processor")[1]
    found = results("round_trip")
    rtf = {one["engine"]: one["rtf"] for one in (*found["recognizers"], *found["voices"])}
    for title, engine in {
        "PocketSphinx": "pocketsphinx",
        "Whisper tiny.en": "whisper:tiny.en",
        "Moonshine tiny of the first generation": "moonshine:tiny-v1",
        "hibari": "hibari",
        "espeak-ng": "espeak",
        "Kokoro": "kokoro",
    }.items():
        said = re.search(rf"^\| {re.escape(title)} \| ([\d,]+) ms \|$", section, re.MULTILINE)
        assert said, title
        measured_ms = 1000 * rtf[engine]
        assert abs(int(said[1].replace(",", "")) - measured_ms) <= max(0.5, measured_ms / 100), title
    turn = results("offline_turns")["runs"][0]
    assert f"{turn['first_audio_p50_ms']} ms (median)" in section


def test_the_cores_of_interpreting_are_those_of_the_benchmark() -> None:
    table = page("benchmarks/README.md")
    named = ("`normal`", "`moonshine`: the same", "`base`: Whisper base")
    rows = [re.search(rf"^\| {re.escape(name)}.* \| ([\d.]+) \|$", table, re.MULTILINE) for name in named]
    cores = [found[1] for found in rows if found]
    assert "took {} cores, with Moonshine {}, with Whisper base {}.".format(*cores) in PAGE
