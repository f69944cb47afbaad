"""How late the interpreter's own client makes a voice, and whether an hour of two clocks changes that: `python -m benchmarks.call_sound`.

A simulated microphone and a simulated loudspeaker, each with a clock, with `parley.interpret.sound.DirectionSound` between them, as in
a call. Noise is recorded and found again in what is played, by cross-correlation: the delay is from the moment a sample is recorded to the
moment it sounds. The devices' own delays are not in it, nor is a server's time.

- `raw`: the speaker's own voice, as the panic key and the original in the mix take it, straight from one device to the other.
- `returned`: to the link at 24 kHz and back from it at once, as from a server that needs no time: what the client adds to a translation.

`--write` keeps the figures in `results/call_sound.json`. The command exits with 1 where a bar is broken.

    .venv/bin/python -m benchmarks.call_sound --minutes 60 --write
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from parley.audio.types import Samples
from parley.interpret.sound import PIECE_MS, DirectionSound, MixedOriginal, SoundPiece

RESULTS: Final = Path(__file__).parent / "results" / "call_sound.json"

RATE: Final = 48_000
PIECE: Final = round(RATE * PIECE_MS / 1000)
WINDOW: Final = 10 * PIECE
"""What is looked for in the recording: a tenth of a second."""

REMEMBERED: Final = 60
"""Pieces of the recording that it is looked for in."""

MOST_MS: Final = 60.0
"""The bar of the delay."""

MOST_SPREAD_MS: Final = 20.0
"""The bar of how far the delay moves, once the clocks are known."""

KNOWN_AFTER_S: Final = 60.0

RETURNED_AFTER_S: Final = 1.0
"""Nothing is translated while the devices start."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`ppm`: how much faster the microphone's clock runs. `every_s`: how often the delay is measured."""

    way: Literal["raw", "returned"]
    ppm: float
    seconds: float
    every_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """`delay_ms` is measured every so many seconds; `gaps` are pieces that had silence in them."""

    delay_ms: list[float]
    gaps: int
    found_ppm: float


async def simulate(scenario: Scenario) -> Outcome:
    """Run it; deterministic."""
    raw = scenario.way == "raw"
    played_at_s = 0.0

    def back(piece: SoundPiece) -> None:
        if piece.kind == "captured" and not raw and now_s > RETURNED_AFTER_S:
            sound.push(piece.audio, now_s, piece.at_s)

    sound = DirectionSound(MixedOriginal(raw=raw), back, lambda at_s, until_s: None)
    sound.connect(RATE, RATE)
    sound.listen_on(asyncio.get_running_loop())
    noise = np.random.default_rng(1)
    recording: deque[Samples] = deque(maxlen=REMEMBERED)
    playing: deque[Samples] = deque(maxlen=WINDOW // PIECE)
    delays: list[float] = []
    recorded_s = now_s = 0.0
    recorded = played = gaps = 0
    measure_at_s = 5.0
    while now_s < scenario.seconds:
        # A recorded piece is there once it is whole; the loudspeaker asks half a piece after a multiple of its own.
        record_s = (recorded + 1) * PIECE_MS / 1000 / (1 + scenario.ppm * 1e-6)
        play_s = (played + 0.5) * PIECE_MS / 1000
        if record_s <= play_s:
            recorded += 1
            piece = (0.1 * noise.standard_normal(PIECE)).astype(np.float32)
            recording.append(piece)
            now_s = recorded_s = record_s
            sound.record(piece, record_s)
        else:
            played += 1
            now_s, played_at_s = play_s, play_s
            audio = sound.play(PIECE, play_s)
            playing.append(audio)
            gaps += play_s > 2 * RETURNED_AFTER_S and not float(np.abs(audio).max()) > 0.01
        await asyncio.sleep(0)
        if now_s >= measure_at_s and playing.maxlen == len(playing):
            measure_at_s += scenario.every_s
            first_s = played_at_s - (len(playing) - 1) * PIECE_MS / 1000
            delays.append(_delay_ms(np.concatenate(playing), first_s, np.concatenate(recording), recorded_s))
    return Outcome([round(each, 2) for each in delays], gaps, round(sound.clocks_ppm, 2))


def _delay_ms(played: Samples, first_s: float, recorded: Samples, last_s: float) -> float:
    """How long after its recording the first sample of `played` sounds."""
    size = 1 << (len(recorded) + len(played)).bit_length()
    product = np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(played, size))
    at = int(np.argmax(np.fft.irfft(product, size)[: len(recorded) - len(played)]))
    return 1000 * (first_s - (last_s - (len(recorded) - 1 - at) / RATE))


def scenarios(seconds: float) -> dict[str, Scenario]:
    """The published ones."""
    return {
        "raw, +100 ppm": Scenario("raw", 100, seconds, 1.0),
        "raw, -100 ppm": Scenario("raw", -100, seconds, 1.0),
        "returned, equal clocks": Scenario("returned", 0, min(seconds, 60.0), 0.5),
    }


def summary(outcome: Outcome, scenario: Scenario) -> dict[str, Any]:
    """The figures of one scenario; `broken` names the bars that it breaks."""
    known = outcome.delay_ms[round(KNOWN_AFTER_S / scenario.every_s) :] or outcome.delay_ms
    figures: dict[str, Any] = {
        "delay_ms": {
            "min": min(outcome.delay_ms),
            "median": float(np.median(outcome.delay_ms)),
            "max": max(outcome.delay_ms),
        },
        "first_minute_median_ms": float(np.median(outcome.delay_ms[: round(60 / scenario.every_s)])),
        "last_minute_median_ms": float(np.median(outcome.delay_ms[-round(60 / scenario.every_s) :])),
        "gaps": outcome.gaps,
        "found_ppm": outcome.found_ppm,
    }
    bars = {
        "delay": max(outcome.delay_ms) <= MOST_MS,
        "spread": max(known) - min(known) <= MOST_SPREAD_MS,
        "gaps": outcome.gaps == 0,
    }
    return figures | {"broken": [name for name, kept in bars.items() if not kept]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="simulated time of each scenario [60]")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {RESULTS.name}")
    chosen = parser.parse_args(arguments)
    console = Console(stderr=True)
    figures: dict[str, Any] = {}
    table = Table(
        "scenario", "delay, ms (least, median, most)", "first minute", "last minute", "gaps", "found ppm", "broken"
    )
    for name, scenario in scenarios(chosen.minutes * 60).items():
        with console.status(name):
            found = summary(asyncio.run(simulate(scenario)), scenario)
        figures[name] = found
        delay = found["delay_ms"]
        table.add_row(
            name,
            f"{delay['min']:.1f}  {delay['median']:.1f}  {delay['max']:.1f}",
            f"{found['first_minute_median_ms']:.1f}",
            f"{found['last_minute_median_ms']:.1f}",
            str(found["gaps"]),
            f"{found['found_ppm']:.1f}",
            ", ".join(found["broken"]) or "-",
        )
    Console().print(table)
    if chosen.write:
        document = {"minutes": chosen.minutes, "rate": RATE, "piece_ms": PIECE_MS, "scenarios": figures}
        RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        print(f"written: {RESULTS}", file=sys.stderr)
    return 1 if any(found["broken"] for found in figures.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
