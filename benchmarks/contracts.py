"""What the contract suite finds of every engine of this repository: `python -m benchmarks.contracts`.

Runs `tests/contracts` on models that the tests make, and the same suite on published weights where they are on this machine
(`parley models pull`). Writes `results/contracts.json`, of which `docs/engines.md` is made (`scripts/engines_page.py`): how many promises
hold, which do not and why, what was skipped, and which weights were absent. The counts are no times: they are the same on a busy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parley.engines.ports import Engine, EngineError, EngineSpec, stages
from parley.engines.registry import create

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "contracts.json"
TESTS = ("test_engines.py", "test_remote_engines.py", "test_llama.py", "test_moshi.py")
PUBLISHED = (
    "stt.whisper:tiny.en",
    "stt.moonshine:tiny-v1",
    "mt.bergamot",
    "tts.kokoro",
    "turn.smart",
    "llm.llama:smollm2-135m",
)
"""Engines on published weights of the catalogue, each of which is tested where its weights are."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--engines", default=",".join(PUBLISHED), help="engines on published weights, STAGE.NAME[:MODEL],..."
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the result is written")
    parser.add_argument("pytest", nargs="*", help="further arguments of pytest, after --")
    arguments = parser.parse_args()
    absent: dict[str, str] = {}
    there: list[str] = []
    for name in filter(None, arguments.engines.split(",")):
        if reason := asyncio.run(why_not(name)):
            absent[name] = reason
            print(f"{name} is not tested: {reason}", file=sys.stderr)
        else:
            there.append(name)
    made = run([str(ROOT / "tests" / "contracts" / name) for name in TESTS], arguments.pytest, ROOT)
    # Parley's own tests hide the models of this machine; elsewhere they are found.
    published = run([f"--parley-engine={name}" for name in there], arguments.pytest) if there else []
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    result = {
        "on": machine,
        "pytest": arguments.pytest,
        "engines": [summary(engine) for engine in (*made, *published) if engine["name"] != "bench"],
        "absent": absent,
    }
    arguments.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    broken = [one["engine"] for one in result["engines"] for other in one["others"] if other["outcome"] == "failed"]
    print(f"broken promises: {', '.join(broken) or 'none'}", file=sys.stderr)
    return 1 if broken else 0


def run(tests: Sequence[str], further: Sequence[str], folder: Path | None = None) -> list[dict[str, Any]]:
    """What the suite finds with these arguments, engine by engine; in a folder without configuration of pytest unless one is given."""
    with tempfile.TemporaryDirectory() as empty:
        report = Path(empty) / "report.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--parley-report={report}",
            *tests,
            *further,
        ]
        subprocess.run(command, cwd=folder or empty, check=False)
        found: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["engines"]
    return found


def summary(engine: dict[str, Any]) -> dict[str, Any]:
    """An engine's counts, and the reasons of what did not pass."""
    others = [promise for promise in engine["promises"] if promise["outcome"] != "passed"]
    reasons = Counter((one["outcome"], one.get("reason", "")) for one in others)
    return {
        **{key: engine[key] for key in ("stage", "name", "engine", "about")},
        "passed": engine["counts"].get("passed", 0),
        "others": [
            {"outcome": outcome, "reason": reason, "count": count} for (outcome, reason), count in reasons.items()
        ],
    }


async def why_not(name: str) -> str:
    """Why an engine cannot be opened on this machine; "" where it can."""
    stage_name, _, written = name.partition(".")
    stage = next(stage for stage in stages() if stage.name == stage_name)
    try:
        engine: Engine = create(stage, EngineSpec.parse(written))
        await engine.open()
    except EngineError as error:
        return error.message
    await engine.close()
    return ""


if __name__ == "__main__":
    sys.exit(main())
