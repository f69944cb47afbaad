"""How late and how well sessions interpret: `python -m benchmarks.interpreting`.

Starts `parley serve` for each run, in a process of its own, and lets a translation session interpret a talk (`interpreting_talk.toml`)
in real time: 40 ms of audio every 40 ms. The talk is spoken by hibari or Kokoro, whose word times are known. The runs:

- `own`: bench engines of fixed latency, 1 and 20 sessions. What is left of the time from a decision to the first audio is ours.
- `normal`, `low`, `careful`: Whisper tiny.en, Bergamot and espeak-ng, English to Portuguese, at each lag. `base`: with Whisper base.
- `moonshine`, `moonshine-low`: Moonshine tiny, whose time grows with what it hears.
- `pocketsphinx`: a recogniser that promises nothing while it listens.
- `ten-minutes`: the talk five times over at 190 words a minute.
- `apertium`, `pivot`: English to Spanish, by rules alone and with Portuguese in between. `from-portuguese`,
  `from-spanish-apertium` and `from-spanish-pivot`: the other way, half of the talk, in Kokoro's voices.

    parley models pull --accept whisper:tiny.en whisper:base moonshine:tiny-v1 kokoro:v1.0 bergamot:en-pt bergamot:pt-en
    pip install omnisteval==0.1.10 sacrebleu==2.6.0
    python -m benchmarks.interpreting [RUN...]

`--base FOLDER` names the folder of Whisper base where the catalogue's source cannot be reached. Each run's figures replace those of the
same name in `results/interpreting.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.interpreting_client import interpret
from benchmarks.interpreting_figures import figures, percentiles, scored
from benchmarks.interpreting_talk import spoken
from benchmarks.realtime import busy_seconds, machine, server, tree_seconds

RESULTS = Path(__file__).resolve().parent / "results" / "interpreting.json"
MT_MS, TTS_MS = 50, 100
"""What the bench engines take by themselves."""


@dataclass(frozen=True, slots=True)
class Run:
    """One talk and one pipeline. `speed` of the speaker: hibari speaks 195 words a minute by itself, pauses included."""

    name: str
    source: str = "en"
    target: str = "pt"
    stt: str = "whisper:tiny.en"
    mt: str = "bergamot"
    lag: str = "normal"
    speed: float = 0.78
    sentences: int = 30
    rounds: int = 1


NORMAL = Run("normal")
MOONSHINE = "moonshine:tiny-v1"
FROM = replace(NORMAL, target="en", stt="whisper:base", speed=0.9, sentences=15)
"""The other way. Kokoro takes longer to say the talk than the talk lasts."""
RUNS = (
    NORMAL,
    replace(NORMAL, name="low", lag="low"),
    replace(NORMAL, name="careful", lag="careful"),
    replace(NORMAL, name="base", stt="whisper:base"),
    replace(NORMAL, name="moonshine", stt=MOONSHINE),
    replace(NORMAL, name="moonshine-low", stt=MOONSHINE, lag="low"),
    replace(NORMAL, name="pocketsphinx", stt="pocketsphinx"),
    replace(NORMAL, name="ten-minutes", speed=0.92, rounds=5),
    replace(NORMAL, name="apertium", target="es", mt="apertium"),
    replace(NORMAL, name="pivot", target="es", mt="pivot:apertium,bergamot"),
    replace(FROM, name="from-portuguese", source="pt"),
    replace(FROM, name="from-spanish-apertium", source="es", mt="apertium"),
    replace(FROM, name="from-spanish-pivot", source="es", mt="pivot:apertium,bergamot"),
)
BENCH = """
[pipelines.default]
stt = "bench"
stt_options = {{ text = "One two three four." }}
mt = "bench"
mt_options = {{ first_word_ms = {mt_ms} }}
tts = "bench"
tts_options = {{ first_audio_ms = {tts_ms}, chunks = 5 }}
language = "en"
"""


def main() -> int:
    arguments = parse_arguments()
    console = Console(stderr=True)
    kept = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else {}
    for name in arguments.runs or ["own", *(run.name for run in RUNS)]:
        console.print(f"{name} ...", markup=False)
        if name == "own":
            kept[name] = own_time(arguments.own_sessions, arguments.own_seconds)
        else:
            run = next(run for run in RUNS if run.name == name)
            kept[name] = one(replace(run, rounds=arguments.rounds or run.rounds), arguments.base, arguments.keep)
        console.print_json(json.dumps(kept[name], ensure_ascii=False))
    result = {"machine": machine(), "runs": kept}
    if not arguments.no_write:
        RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if arguments.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        show(kept)
    return 0


def own_time(sessions: Sequence[int], seconds: float) -> dict[str, Any]:
    """Decision to first audio with engines of fixed latency, less that latency, for each number of sessions at once."""
    text = BENCH.format(mt_ms=MT_MS, tts_ms=TTS_MS)
    talk = asyncio.run(spoken("en", "", sentences=30, rounds=1, speed=1.0))

    async def several(url: str, count: int) -> list[float]:
        async def later(index: int) -> list[float]:
            await asyncio.sleep(index * 0.13)
            done = await interpret(url, "default", "x-bench", talk, limit_ms=1_000 * seconds)
            if not done.closed or done.errors:
                raise SystemExit(f"a session failed: {done.errors}")
            return [one.waited_ms - MT_MS - TTS_MS for one in done.clauses if one.audio_at_ms]

        return [wait for waits in await asyncio.gather(*map(later, range(count))) for wait in waits]

    found = {}
    for count in sessions:
        with configured(text) as path, server("--config", path) as (url, _):
            found[str(count)] = percentiles(asyncio.run(several(url, count)), 50, 95, 99)
    return {"own_time_ms_by_sessions": found, "engines_ms": MT_MS + TTS_MS}


def one(run: Run, base: Path | None, keep: Path | None) -> dict[str, Any]:
    """The figures of one run."""
    stt = f"whisper:{base.resolve()}" if base is not None and run.stt == "whisper:base" else run.stt
    text = (
        f'[pipelines.default]\nstt = "{stt}"\nmt = "{run.mt}"\ntts = "espeak"\nlag = "{run.lag}"\n'
        f'language = "{run.source}"\n'
    )
    talk = asyncio.run(spoken(run.source, run.target, sentences=run.sentences, rounds=run.rounds, speed=run.speed))
    began = time.perf_counter()
    busy = busy_seconds()
    with configured(text) as path, server("--config", path) as (url, pid):
        used = tree_seconds(pid)
        interpreted = asyncio.run(interpret(url, "default", run.target, talk))
        used = tree_seconds(pid) - used
    lasted = time.perf_counter() - began
    if not interpreted.closed:
        raise SystemExit(f"{run.name}: the session was not closed: {interpreted.errors}")
    with tempfile.TemporaryDirectory() as folder:
        scores = scored(talk, interpreted, run.target, Path(folder) if keep is None else keep / run.name)
    return {
        "engines": {"stt": run.stt, "mt": run.mt, "tts": "espeak"},
        "languages": f"{run.source} to {run.target}",
        "lag": run.lag,
        **figures(talk, interpreted),
        **scores,
        "cpu_share_of_a_core": round(used / (talk.length_ms / 1_000), 2),
        "others_share_of_a_core": round(max(0.0, (busy_seconds() - busy - used) / lasted), 2),
    }


@contextmanager
def configured(text: str) -> Iterator[str]:
    """A configuration file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parley.toml"
        path.write_text(text, encoding="utf-8")
        yield str(path)


def show(runs: dict[str, Any]) -> None:
    table = Table("run", "languages", "ear-voice p50", "p90", "pause p50", "p95", "facts", "LongYAAL", "chrF", "CPU")
    for name, run in runs.items():
        if "ear_voice_span" not in run:
            for sessions, own in run["own_time_ms_by_sessions"].items():
                print(f"own time, {sessions} sessions: p50 {own['p50']}, p95 {own['p95']}, p99 {own['p99']} ms")
            continue
        span, pause = run["ear_voice_span"], run["pause_to_audio"]
        table.add_row(
            name,
            run["languages"],
            str(span.get("p50")),
            str(span.get("p90")),
            str(pause.get("p50")),
            str(pause.get("p95")),
            f"{run['facts']['right']} of {run['facts']['of']}",
            str(run["speech"].get("LongYAAL (CA)")),
            str(run["speech"].get("chrF")),
            str(run["cpu_share_of_a_core"]),
        )
    Console().print(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"own, {', '.join(run.name for run in RUNS)} (all)")
    parser.add_argument("--base", type=Path, help="the folder of Whisper base, in place of whisper:base")
    parser.add_argument(
        "--rounds", type=int, default=0, help="how often the talk is given (each run has its own number)"
    )
    parser.add_argument("--own-sessions", type=_numbers, default=(1, 20), help="sessions at once for `own` (1,20)")
    parser.add_argument("--own-seconds", type=float, default=60, help="seconds of the talk for `own` (60)")
    parser.add_argument("--keep", type=Path, help="keep what the field's tools are given, and say, in this folder")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--no-write", action="store_true", help="leave results/interpreting.json alone")
    asked = parser.parse_args()
    known = {"own", *(run.name for run in RUNS)}
    if unknown := [name for name in asked.runs if name not in known]:
        parser.error(f"there is no run {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return asked


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
