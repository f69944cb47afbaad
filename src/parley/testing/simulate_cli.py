"""Simulates many seeds: `python -m parley.testing.simulator --seeds 0:100000 --jobs 2`.

Results go to stdout, progress to stderr; exit code 1 when a seed failed.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from parley.testing.simulator import SimulationFailed, simulate

_PARTICULARS = re.compile(r"\b(item|resp|sess|conv|call)_\w+|'[^']*'|\d+(?= of| ms| bytes)")

BATCH = 50
"""Seeds per batch of a worker: a second or two of work."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The results of some seeds."""

    counts: Counter[str]
    simulated_s: float
    failures: tuple[tuple[int, str, str], ...]


def run_batch(first: int, end: int) -> Batch:
    """Simulate the seeds first..end-1; failures are collected, not raised."""
    counts: Counter[str] = Counter()
    simulated = 0.0
    failures: list[tuple[int, str, str]] = []
    for seed in range(first, end):
        try:
            outcome = simulate(seed)
        except SimulationFailed as failed:
            failures.append((seed, failed.what, str(failed)))
            continue
        counts += outcome.counts
        simulated += outcome.simulated_s
    return Batch(counts, simulated, tuple(failures))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m parley.testing.simulator", description="Simulated sessions under the checker."
    )
    parser.add_argument("--seeds", default="0:1000", metavar="FIRST:END", help="which seeds (default 0:1000)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--show", action="store_true", help="print the timeline of each seed")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failing seed")
    options = parser.parse_args()
    first, end = (int(part) for part in options.seeds.split(":"))
    if options.show:
        for seed in range(first, end):
            sys.stdout.write(simulate(seed).timeline())
        return
    sys.exit(_run(first, end, options.jobs, keep_going=options.keep_going))


def _run(first: int, end: int, jobs: int, *, keep_going: bool) -> int:
    began = time.monotonic()
    counts: Counter[str] = Counter()
    simulated, done, laws = 0.0, 0, Counter[str]()
    starts = range(first, end, BATCH)
    ends = [min(start + BATCH, end) for start in starts]
    pool = ProcessPoolExecutor(jobs) if jobs > 1 else None
    batches = map(run_batch, starts, ends) if pool is None else pool.map(run_batch, starts, ends)
    for batch, last in zip(batches, ends, strict=True):
        counts += batch.counts
        simulated += batch.simulated_s
        done = last - first
        for _, what, text in batch.failures:
            laws[_PARTICULARS.sub("*", what)[:90]] += 1
            sys.stdout.write((text.split("\n")[0] if keep_going else text) + "\n")
        elapsed = time.monotonic() - began
        sys.stderr.write(
            f"\r{done} of {end - first} seeds, {laws.total()} failed, {simulated / 3600:.1f} h simulated, {elapsed:.0f} s "
        )
        if batch.failures and not keep_going:
            break
    sys.stderr.write("\n")
    if pool is not None:
        pool.shutdown(cancel_futures=True)
    for what, count in laws.most_common():
        sys.stdout.write(f"{count:6} x {what}\n")
    for name, count in sorted(counts.items()):
        sys.stdout.write(f"{count:8} {name}\n")
    return 1 if laws else 0
