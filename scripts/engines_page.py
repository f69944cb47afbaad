"""Writes docs/engines.md from what the engines declare and what was measured; `--check` fails when the page is out of date.

The declarations are those of `parley engines`; the figures are those of benchmarks/results: contracts.json, round_trip.json and
offline_turns.json, which `python -m benchmarks.contracts`, `benchmarks.round_trip` and `benchmarks.offline_turns` write.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from parley.engines.ports import EngineInfo, stages
from parley.engines.registry import available

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "engines.md"
RESULTS = ROOT / "benchmarks" / "results"

AS_INSTALLED = {("mt", "apertium"), ("mt", "auto"), ("mt", "bergamot")}
"""Engines whose languages depend on the machine, which the page must not."""

INTRODUCTION = """# Engines

An engine is one line of configuration: `tts = "hibari"`, `stt = "whisper:tiny.en"`, or a flag such as `--tts espeak`. This page is
written by `scripts/engines_page.py` from what the engines declare (`parley engines` prints the same) and from what was measured;
[configuration.md](configuration.md#options-of-the-engines) has their options, [models.md](models.md) the models,
[audio-servers.md](audio-servers.md) shows remote recognition and voices (`openai`), [speech-to-speech.md](speech-to-speech.md)
models that hear and speak, [moderation.md](moderation.md) moderators, and [engines-howto.md](engines-howto.md) says how to write one.
"""

CONTRACT = """
## The contract suite

How many promises of its stage each engine holds (`python -m benchmarks.contracts`; [engines-howto.md](engines-howto.md#test-it) says what
they are). Where an engine's weights are too large to be installed with it, the tests make a model of the same form with random weights.
"""

MEASURED = """
## Measured

{count} sentences, each spoken by a voice and read back by a recogniser, on {cores} cores of a shared virtual machine:
`python -m benchmarks.round_trip`. WER is the word error rate, of words without case and punctuation. First audio is the median from the
request to the first chunk, RTF the processor time by the length of the audio, the final the median time from the end of a whole sentence
that was given at once to its words. Both times are those of a machine that does nothing else; "-" stands where there was none such.
"""

TURNS = """
The whole offline turn, over a socket, with hibari's voice on both sides, the built-in responder and the default turn detection, which waits
for 500 ms of silence: from the end of the speech to the first audio of the reply (`python -m benchmarks.offline_turns`).
"""


def main() -> int:
    text = page(available(), _results("contracts"), _results("round_trip"), _results("offline_turns"))
    if "--check" in sys.argv[1:]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/engines.md is out of date: python scripts/engines_page.py", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def _results(name: str) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return results


def page(infos: list[EngineInfo], contracts: dict[str, Any], measured: dict[str, Any], turns: dict[str, Any]) -> str:
    parts = [INTRODUCTION]
    titles = {stage.name: stage.title for stage in stages()}
    shown = [info for info in infos if info.name != "bench"]  # they serve benchmarks
    rows: list[Sequence[str]]
    for stage, group in groupby(shown, key=lambda info: info.stage):
        rows = [
            (f"`{info.name}`", _escaped(info.summary), _languages(info), _needs(info), info.licence or "-")
            for info in group
        ]
        parts.append(f"\n## {titles[stage].capitalize()}: `{stage}`\n")
        parts.append(_table(("Engine", "What it is", "Languages", "Needs", "Licence"), rows))
    left_out = f"Run with `{shlex.join(contracts['pytest'])}`.\n" if contracts["pytest"] else ""
    parts.append(f"{CONTRACT}{left_out}\n" + _contract_table(contracts, {(info.stage, info.name) for info in shown}))
    tested = {(one["stage"], "chain" if "Chain" in one["engine"] else one["name"]) for one in contracts["engines"]}
    others = ", ".join(f"`{info.stage}.{info.name}`" for info in shown if (info.stage, info.name) not in tested)
    parts.append(f"\nWithout a run of its own: {others}.\n" if others else "")
    parts.append(MEASURED.format(count=measured["sentences"], cores=measured["on"]["cores"]))
    voices = [voice["engine"] for voice in measured["voices"]]
    wer = {(pair["tts"], pair["stt"]): f"{pair['wer']:.3f}" for pair in measured["pairs"]}
    rows = [
        (
            f"`{one['engine']}`",
            *(wer.get((voice, one["engine"]), "-") for voice in voices),
            f"{one['rtf']:.2f}",
            _ms(one["final_p50_ms"]),
        )
        for one in measured["recognizers"]
    ]
    parts.append("\n" + _table(("Recogniser", *(f"WER of `{voice}`" for voice in voices), "RTF", "Final"), rows))
    rows = [
        (f"`{one['engine']}`", _ms(one["first_audio_p50_ms"]), f"{one['rtf']:.3f}", f"{one['memory_mib']} MiB")
        for one in measured["voices"]
    ]
    parts.append("\n" + _table(("Voice", "First audio", "RTF", "Memory"), rows))
    parts.append(TURNS)
    rows = [
        (
            f"`{run['stt']}`",
            *(f"{run[f'first_audio_{share}_ms']} ms" for share in ("p50", "p90", "max")),
            f"{run['wer']:.3f}",
        )
        for run in turns["runs"]
    ]
    parts.append("\n" + _table(("Recogniser", "p50", "p90", "Longest", "WER"), rows))
    return "".join(parts)


def _contract_table(contracts: dict[str, Any], known: set[tuple[str, str]]) -> str:
    rows: list[Sequence[str]] = []
    for one in contracts["engines"]:
        name = "chain" if "Chain" in one["engine"] else one["name"]
        if (one["stage"], name) not in known:
            continue  # an engine of the tests
        by_outcome: dict[str, list[str]] = {"expected": [], "skipped": [], "failed": []}
        for other in one["others"]:
            by_outcome[other["outcome"]].append(f"{other['count']}: {other['reason']}")
        installed = f"`{one['engine'].partition('.')[2]}` as installed" if "." in one["engine"] else "as installed"
        cells = (_escaped("; ".join(by_outcome[outcome])) or "-" for outcome in by_outcome)
        rows.append((f"`{one['stage']}.{name}`", one["about"].rstrip(".") or installed, str(one["passed"]), *cells))
    rows += [(f"`{name}`", _escaped(reason), "not run", "-", "-", "-") for name, reason in contracts["absent"].items()]
    return _table(("Engine", "On", "Held", "Excepted, and why", "Skipped", "Broken"), rows)


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.0f} ms"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _languages(info: EngineInfo) -> str:
    if (info.stage, info.name) in AS_INSTALLED:
        return "those installed"
    if not info.languages:
        return "-"
    return ", ".join(info.languages) if len(info.languages) <= 6 else f"{len(info.languages)}"


def _needs(info: EngineInfo) -> str:
    return _escaped(", ".join(info.needs)) or "-"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
