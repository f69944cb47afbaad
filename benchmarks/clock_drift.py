"""Two sound devices whose clocks differ, an hour of them in a minute: `python -m benchmarks.clock_drift`.

A device that records gives pieces of a tone, one that plays takes pieces of its own size; each has its own clock, and calls back late by
chance. Between them is `parley.audio.clock_steering.SteeredBuffer`. The delay is measured from the phase of the tone that comes out, not
from what the buffer says of itself: how long after its recording each sample is played.

`--write` keeps the figures in `results/clock_drift.json`.

    .venv/bin/python -m benchmarks.clock_drift --minutes 60 --write
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from parley.audio.clock_steering import SteeredBuffer
from parley.audio.types import Samples

RESULTS = Path(__file__).parent / "results" / "clock_drift.json"

TONE_HZ = 400.0
AMPLITUDE = 0.5
WINDOW_S = 0.02
"""The phase of the tone is measured over so much of it."""

Who = Literal["source", "sink"]


@dataclass(frozen=True, slots=True)
class Stop:
    """A device that stands still: its callbacks do not come, and what it would have recorded or played meanwhile is lost."""

    who: Who
    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """`ppm`: how much faster the source's clock runs. `jitter_ms`: how late a callback comes at the most. `speech`: the tone pauses for a
    second after each three. `early_s`: how long the source runs before the sink begins."""

    ppm: float
    seconds: float
    in_rate: int = 24_000
    out_rate: int = 48_000
    piece_ms: float = 20.0
    taken_ms: float = 20.0
    jitter_ms: float = 0.0
    target_ms: float = 60.0
    most_ms: float | None = None
    speech: bool = False
    early_s: float = 0.0
    stops: tuple[Stop, ...] = ()
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What came of it. `delay_ms` has one value a second, beyond the target and the resampler's own lag; `held_ms` what could be pulled
    just before each second ends."""

    underruns: int = 0
    overflows: int = 0
    jumps: int = 0
    dropped_ms: float = 0.0
    ppm: float = 0.0
    target_ms: float = 0.0
    most_ppm_off: float = 0.0
    """Of the tone's frequency, over a tenth of a second."""
    steepest: float = 0.0
    """The largest difference of two neighbouring samples, in those of the tone itself."""
    delay_ms: list[float] = field(default_factory=list)
    held_ms: list[float] = field(default_factory=list)


def simulate(scenario: Scenario) -> Outcome:
    """Run it; deterministic."""
    buffer = SteeredBuffer(scenario.in_rate, scenario.out_rate, scenario.target_ms, most_ms=scenario.most_ms)
    ear = ToneEar(scenario, buffer.lag_ms)
    outcome = Outcome()
    source, sink = Source(scenario), ear
    held_at_s = 1.0
    for at_s, who in _callbacks(scenario):
        if who == "source":
            buffer.push(source.record(), at_s)
            continue
        sink.hear(buffer.pull(round(scenario.taken_ms * scenario.out_rate / 1000), at_s))
        if at_s >= held_at_s:
            held_at_s += 1.0
            outcome.held_ms.append(round(1000 * buffer.held / scenario.out_rate, 1))
    outcome.underruns, outcome.overflows, outcome.jumps = buffer.underruns, buffer.overflows, buffer.jumps
    outcome.dropped_ms, outcome.ppm, outcome.target_ms = buffer.dropped_ms, buffer.ppm, buffer.target_ms
    outcome.delay_ms = [round(delay, 2) for delay in ear.delays_ms]
    outcome.most_ppm_off, outcome.steepest = ear.most_ppm_off, ear.steepest
    return outcome


def _callbacks(scenario: Scenario) -> Iterator[tuple[float, Who]]:
    """When which device calls back, in order, on the sink's clock."""
    chance = random.Random(scenario.seed)
    source = _device("source", scenario.piece_ms / 1000 / (1 + scenario.ppm * 1e-6), 0.0, scenario, chance)
    sink = _device("sink", scenario.taken_ms / 1000, scenario.early_s, scenario, chance)
    return heapq.merge(source, sink)


def _device(who: Who, every_s: float, start_s: float, scenario: Scenario, chance: random.Random) -> Iterator[Any]:
    last_s, count = 0.0, 0
    while True:
        # A recorded piece is complete at its end; a played one is wanted at its begin.
        due_s = start_s + (count + (who == "source")) * every_s
        count += 1
        if due_s > scenario.seconds:
            return
        if any(stop.who == who and stop.at_s <= due_s < stop.at_s + stop.for_s for stop in scenario.stops):
            continue
        last_s = max(last_s, due_s + chance.uniform(0.0, scenario.jitter_ms / 1000))
        yield last_s, who


class Source:
    """A tone, piece by piece, or one that pauses like speech."""

    def __init__(self, scenario: Scenario) -> None:
        self._rate = scenario.in_rate
        self._size = round(scenario.piece_ms * scenario.in_rate / 1000)
        self._speech = scenario.speech
        self._at = 0

    def record(self) -> Samples:
        index = np.arange(self._at, self._at + self._size)
        self._at += self._size
        tone = AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * index / self._rate)
        if self._speech:
            # Of four seconds three are loud, faded over 20 ms.
            phase_s = index / self._rate % 4.0
            tone *= np.clip(np.minimum(phase_s, 3.0 - phase_s) / 0.02, 0.0, 1.0)
        return tone.astype(np.float32)


class ToneEar:
    """What the sink plays: how steep it is, its frequency, and how old each second of it is, from the phase of the tone."""

    def __init__(self, scenario: Scenario, lag_ms: float) -> None:
        self._scenario = scenario
        self._usual_ms = scenario.target_ms + lag_ms
        self._pieces: list[Samples] = []
        self._waiting = 0
        self._at = 0
        self._last = 0.0
        self._phase: float | None = None
        self.delays_ms: list[float] = []
        self.steepest = 0.0
        self.most_ppm_off = 0.0

    def hear(self, audio: Samples) -> None:
        self._pieces.append(audio)
        self._waiting += len(audio)
        if self._waiting >= self._scenario.out_rate:
            self._second(np.concatenate(self._pieces)[: self._scenario.out_rate])
            rest = np.concatenate(self._pieces)[self._scenario.out_rate :]
            self._pieces, self._waiting = [rest], len(rest)

    def _second(self, audio: Samples) -> None:
        rate = self._scenario.out_rate
        steps = np.abs(np.diff(audio, prepend=np.float32(self._last)))
        tone_step = AMPLITUDE * 2 * np.pi * TONE_HZ / rate
        self.steepest = max(self.steepest, float(steps.max()) / tone_step)
        self._last = float(audio[-1])
        index = np.arange(self._at, self._at + rate)
        self._at += rate
        turned = audio * np.exp(-2j * np.pi * TONE_HZ * index / rate)
        windows = turned.reshape(round(1 / WINDOW_S), -1).mean(axis=1)
        whole = np.abs(windows) > 0.49 * AMPLITUDE
        if not whole.all():
            self._phase = None  # a pause, or a gap: the phase is lost, modulo a period of the tone
            return
        self._measure(np.angle(windows))

    def _measure(self, phases: NDArray[np.float64]) -> None:
        scenario, first = self._scenario, self._phase is None
        phases = np.unwrap(phases if first else np.concatenate([[self._phase], phases]))
        if not first:
            slopes = (phases[5:] - phases[:-5]) / (5 * WINDOW_S) / (2 * np.pi * TONE_HZ)
            self.most_ppm_off = max(self.most_ppm_off, float(np.abs(slopes).max()) * 1e6)
        self._phase = float(phases[-1])
        played_s = self._at / scenario.out_rate - WINDOW_S / 2 + scenario.early_s
        said_s = played_s - scenario.early_s + self._phase / (2 * np.pi * TONE_HZ)
        recorded_s = said_s / (1 + scenario.ppm * 1e-6)
        delay_ms = (played_s - recorded_s) * 1000 - self._usual_ms
        if first:
            # What the phase alone cannot say: how many whole periods.
            period_ms = 1000 / TONE_HZ
            periods = round(delay_ms / period_ms)
            self._phase += 2 * np.pi * periods
            delay_ms -= periods * period_ms
        self.delays_ms.append(delay_ms)


HOUR_S = 3600.0


def scenarios(seconds: float) -> dict[str, Scenario]:
    """The published ones."""
    return {
        "+100 ppm": Scenario(100, seconds),
        "-100 ppm": Scenario(-100, seconds),
        "+300 ppm": Scenario(300, seconds),
        "-300 ppm": Scenario(-300, seconds),
        "+100 ppm, callbacks up to 10 ms late": Scenario(100, seconds, jitter_ms=10, target_ms=80),
        "-100 ppm, callbacks up to 40 ms late": Scenario(-100, seconds, jitter_ms=40, target_ms=140),
        "+100 ppm, 48 kHz to 44.1 kHz": Scenario(100, seconds, 48_000, 44_100, piece_ms=10, taken_ms=20),
    }


def summary(outcome: Outcome) -> dict[str, Any]:
    """The figures of one scenario; the first ten seconds of delay, in which nothing is known yet, count too."""
    figures = {name: value for name, value in asdict(outcome).items() if name not in ("delay_ms", "held_ms")}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()} | {
        "delay_off_ms": {
            "min": min(outcome.delay_ms),
            "max": max(outcome.delay_ms),
            "last_minute": [min(outcome.delay_ms[-60:]), max(outcome.delay_ms[-60:])],
        },
        "held_ms": {"min": min(outcome.held_ms), "max": max(outcome.held_ms)},
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="simulated time of each scenario [60]")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {RESULTS.name}")
    chosen = parser.parse_args(arguments)
    console = Console(stderr=True)
    figures: dict[str, Any] = {}
    table = Table("scenario", "gaps", "jumps", "found ppm", "delay off, ms", "tone off, ppm", "steepest")
    for name, scenario in scenarios(chosen.minutes * 60).items():
        with console.status(name):
            found = summary(simulate(scenario))
        figures[name] = found
        off = found["delay_off_ms"]
        table.add_row(
            name,
            str(found["underruns"]),
            str(found["jumps"]),
            f"{found['ppm']:.1f}",
            f"{off['min']:.1f} to {off['max']:.1f}",
            f"{found['most_ppm_off']:.0f}",
            f"{found['steepest']:.3f}",
        )
    Console().print(table)
    if chosen.write:
        document = {"minutes": chosen.minutes, "tone_hz": TONE_HZ, "scenarios": figures}
        RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        print(f"written: {RESULTS}", file=sys.stderr)


if __name__ == "__main__":
    main()
