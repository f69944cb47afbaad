"""How many live sessions one Parley process carries, and how soon it answers them: `make bench`, or `python benchmarks/realtime.py`.

Starts `parley serve --pipeline bench` in a process of its own on a free port, drives it with `parley bench` in another, with recorded
speech, at growing numbers of sessions and once with every reply talked over; prints a table, writes results/realtime.json, and exits
with 1 when a bar is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "realtime.json"
RECORDING = Path(os.environ.get("PARLEY_TEST_AUDIO") or ROOT.parent / "shared" / "audio") / "weather_question.wav"
PARLEY = str(Path(sys.executable).parent / "parley")
SENTENCE = "What's the weather like in Paris today?"
START_LIMIT_S = 60

BAR_SESSIONS = 200
BARS = ["--max-missed", "0", "--max-late", "5", "--max-unstopped", "0"]
BAR_CPU_MS = ["--max-cpu-ms", "3.5"]
"""Held to at the full number of sessions: with few, the fixed cost of the server's ticks is shared by few."""

SILERO_64_FRAMES_MS = 1.7
"""Where the bar was set. Processor time is quoted as it was measured, never divided by this."""

TABLE_TITLE = (
    "Pipeline bench, 20 ms chunks, Silero, silence wait 500 ms. p50, p95, p99: first audio beyond the ideal, ms; "
    "silence: barge-in to silence, ms; CPU: of the server, ms per session-second"
)

QUIET_PERCENT = 10.0
"""Of one core. What other processes use beyond this shows in the delays: the run is kept, and marked."""


@dataclass(frozen=True, slots=True)
class Run:
    sessions: int
    barge_in: bool = False

    @property
    def name(self) -> str:
        return f"{self.sessions} session{'s' * (self.sessions > 1)}" + (", barging in" if self.barge_in else "")


def main() -> int:
    arguments = parse_arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    doubts = Console(stderr=True)
    runs = [Run(int(count)) for count in arguments.sessions.split(",")]
    if arguments.barge_in:
        runs.append(Run(arguments.barge_in, barge_in=True))
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        recording = speech(Path(scratch), arguments.wav)
        for run in runs:
            doubts.print(f"[dim]{run.name}: {arguments.duration:g} s measured[/]")
            with server("--pipeline", "bench") as (url, pid):
                found.append(drive(run, url, pid, recording, arguments.duration))
            for broken in found[-1]["broken"]:
                doubts.print(f"[red]{run.name}: {broken}[/]")
    console.print(table(found))
    told = machine()
    console.print(
        f"{told['processor']}, {told['cores']} cores; Silero's published graph on 64 frames takes {told['silero_64_frames_ms']:g} ms here "
        f"(the bar was set where it takes {SILERO_64_FRAMES_MS:g} ms)"
    )
    result = {"machine": told, "recording": recording.name, "duration_s": arguments.duration, "runs": found}
    if arguments.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
        doubts.print(f"[dim]written to {RESULTS.relative_to(ROOT)}[/]")
    return 1 if any(each["broken"] for each in found) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load a Parley server of our own and compare it with the bar.")
    parser.add_argument("--sessions", default="1,50,100,200", help="numbers of sessions, one run each (1,50,100,200)")
    parser.add_argument(
        "--barge-in", type=int, default=100, metavar="N", help="one more run of N that interrupt; 0: none"
    )
    parser.add_argument("--duration", type=float, default=30, help="seconds measured in each run (30)")
    parser.add_argument("--wav", type=Path, default=RECORDING, help="what the sessions say")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave results/realtime.json alone")
    return parser.parse_args()


def speech(scratch: Path, recording: Path) -> Path:
    """The recording; where there is none, a synthesized sentence."""
    if recording.exists():
        return recording
    path = scratch / "espeak.wav"
    pcm = asyncio.run(synthesized(SENTENCE))
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(pcm[1])
        wav.writeframes(pcm[0])
    return path


async def synthesized(sentence: str) -> tuple[bytes, int]:
    """A sentence as PCM16 and its rate, by espeak-ng."""
    import numpy as np

    from parley.engines.ports import TTS, EngineSpec, SpeechRequest, SpeechSynthesizer
    from parley.engines.registry import create

    engine = create(TTS, EngineSpec("espeak"))
    assert isinstance(engine, SpeechSynthesizer)
    await engine.open()
    try:
        parts = [chunk async for chunk in engine.speak(SpeechRequest(text=sentence, voice="alloy"))]
    finally:
        await engine.close()
    samples = np.concatenate([part.audio for part in parts])
    quiet = np.zeros(parts[0].sample_rate // 4, dtype=np.float32)
    pcm = (np.concatenate((quiet, samples, quiet)) * 32767).astype("<i2")
    return pcm.tobytes(), parts[0].sample_rate


@contextmanager
def server(*options: str) -> Iterator[tuple[str, int]]:
    """A server for one run, so that no run inherits another's memory: its URL and process id."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [PARLEY, "serve", *options, "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
        )
        assert process.stderr is not None
        expired = threading.Timer(START_LIMIT_S, process.kill)
        expired.start()
        told: list[str] = []
        try:
            for line in process.stderr:
                told.append(line)
                if listening := re.search(r"listens on http(://[^\s]+)", line):
                    break
            else:
                raise SystemExit(f"parley serve did not start:\n{''.join(told)}")
            expired.cancel()
            threading.Thread(target=lambda stream: list(stream), args=(process.stderr,), daemon=True).start()
            yield f"ws{listening.group(1)}", process.pid
        finally:
            expired.cancel()
            process.terminate()
            process.wait(30)


def drive(run: Run, url: str, pid: int, recording: Path, duration_s: float) -> dict[str, Any]:
    """One `parley bench`: its figures, the bars it broke, and what else the machine was doing."""
    command = [
        PARLEY,
        "bench",
        "--url",
        url,
        "--sessions",
        str(run.sessions),
        "--wav",
        str(recording),
        "--pid",
        str(pid),
    ]
    command += ["--duration", str(duration_s), "--silence-ms", "500", "--json", *BARS]
    command += ["--barge-in"] if run.barge_in else []
    command += BAR_CPU_MS if run.sessions >= BAR_SESSIONS else []
    busy_s, server_s, client_s, began_s = busy_seconds(), tree_seconds(pid), os.times().children_user, time.monotonic()
    client_s += os.times().children_system
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"parley bench failed:\n{done.stderr}")
    times = os.times()
    ours_s = tree_seconds(pid) - server_s + times.children_user + times.children_system - client_s
    others = 100 * (busy_seconds() - busy_s - ours_s) / (time.monotonic() - began_s)
    said = [line.removeprefix("parley bench: ") for line in done.stderr.splitlines()]
    return {
        "name": run.name,
        "figures": json.loads(done.stdout),
        "broken": [line.removeprefix("bar broken: ") for line in said if line.startswith("bar broken: ")],
        "doubts": [line for line in said if not line.startswith("bar broken: ")],
        "other_processes_percent_of_a_core": round(max(0.0, others), 1),
    }


def busy_seconds() -> float:
    """Processor time that anybody on this machine has used: user, nice, system, interrupts (proc(5), /proc/stat)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def tree_seconds(pid: int) -> float:
    from parley.load.process_usage import read_usage

    return read_usage(pid).cpu_s


def silero_64_frames_ms() -> float:
    """The processor time of a yardstick, the published Silero graph over 64 frames of one stream: it says how fast this machine is
    as it is now (neighbours on the same core double it), and does not change when Parley's own way to score them does."""
    import numpy as np
    import onnxruntime

    from parley.engines.vad.silero import find_weights

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = onnxruntime.InferenceSession(str(find_weights()), options, providers=["CPUExecutionProvider"])
    frames = np.random.default_rng(1).normal(0, 0.1, (64, 576)).astype(np.float32)
    state = np.zeros((1, 1, 128), np.float32)
    times = []
    for _ in range(200):
        began_s = time.process_time()
        graph.run(None, {"input": frames, "h": state, "c": state})
        times.append(time.process_time() - began_s)
    return round(1000 * sorted(times)[len(times) // 2], 2)


def machine() -> dict[str, Any]:
    models = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "silero_64_frames_ms": silero_64_frames_ms(),
    }


def table(found: list[dict[str, Any]]) -> Table:
    shown = Table(title=TABLE_TITLE, title_justify="left", box=SIMPLE, padding=0)
    columns = ("run", "p50", "p95", "p99", "missed", "early", "late %", "silence p95")
    for column in (*columns, "CPU", "MiB", "client %", "others %", "bar"):
        shown.add_column(column, justify="left" if column == "run" else "right", no_wrap=True)
    for each in found:
        figures = each["figures"]
        beyond = figures["beyond_ideal"]
        others = each["other_processes_percent_of_a_core"]
        cells = [beyond["p50_ms"], beyond["p95_ms"], beyond["p99_ms"], figures["missed"], figures["early"]]
        cells += [figures["late_percent"], figures["barge_in_to_silence"]["p95_ms"]]
        cells += [figures["server_cpu_ms_per_session_s"], figures["server_rss_mib"], figures["client_cpu_percent"]]
        shown.add_row(
            each["name"],
            *("-" if cell is None else f"{cell:.4g}" for cell in cells),
            f"{others:.0f}{' !' if others > QUIET_PERCENT else ''}",
            "broken" if each["broken"] else "met",
        )
    return shown


if __name__ == "__main__":
    sys.exit(main())
