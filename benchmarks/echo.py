"""How much echo control takes out, and whether an agent can hear itself: `python -m benchmarks.echo`.

Plays an agent's voice into synthetic rooms, gives what the microphone would hear to `AudioProcessor` as `parley talk` does (48 kHz,
10 ms at a time), and the rest to the real Silero and to the core's own rule for when somebody begins to speak. Prints a table,
writes results/echo.json; exits with 1 when a bar is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.echo_tracks import (
    PASSAGES,
    RATE,
    SETUPS,
    USER_DB,
    Setup,
    Track,
    agent_voices,
    at_level,
    cancellation,
    recording,
    track,
    treated,
    turns_of,
)
from benchmarks.echo_without_path import measure_without_path
from parley.audio.types import Int16
from parley.engines.vad.silero import SileroVad
from parley.testing.acoustics import ROOMS, Room

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "echo.json"
ANSWER_WINDOW_MS = 1_000
"""An interruption that has started no turn by then was not heard."""

CONVERGED_S = 5
"""Echo loss is told from here on; turns are counted from the first sample."""

BAR_ERLE_DB = 20.0
BAR_SELF_INTERRUPTIONS = 0
BAR_HEARD = 0.85
BAR_HEARD_WITHOUT_PATH = 0.95
FAINT_ECHO_DB = -20.0
"""Rooms whose echo is fainter than this are left out of the bar for echo loss: what is left of it lies under the microphone's noise."""


def erle_db(played: Track, heard: Int16, left: Int16) -> float:
    """Echo return loss enhancement while the agent speaks: how much of the sound at the microphone was taken away."""
    active = np.zeros(len(heard), bool)
    for start, end in played.replies:
        active[max(start, CONVERGED_S * RATE) : end] = True
    before, after = (float(np.mean(signal[active].astype(np.float64) ** 2)) for signal in (heard, left))
    return 10 * math.log10(before / max(after, 1e-9))


def own_turns(silero: SileroVad, room: Room, setup: Setup, alone: Track) -> int:
    """Turns that the agent's own voice starts in this room."""
    left, _ = treated(setup, alone.far, room.microphone(alone.far, alone.near, RATE))
    return len(turns_of(silero, [left])[0])


def measure_room(silero: SileroVad, room: Room, setup: Setup, alone: Track, both: Track) -> dict[str, Any]:
    """The agent alone, and the agent interrupted."""
    heard = room.microphone(alone.far, alone.near, RATE)
    left, cpu_ms = treated(setup, alone.far, heard)
    self_turns = [begun for begun, _ in turns_of(silero, [left])[0]]
    over, _ = treated(setup, both.far, room.microphone(both.far, both.near, RATE))
    found = turns_of(silero, [over])[0]
    delays = []
    for begin in both.interruptions:
        within = [
            known
            for onset, known in found
            if begin - RATE // 10 <= onset and begin <= known <= begin + ANSWER_WINDOW_MS * 48
        ]
        if within:
            delays.append((within[0] - begin) / 48)
    return {
        "room": room.name,
        "rt60_ms": room.rt60_ms,
        "delay_ms": room.delay_ms,
        "level_db": room.level_db,
        "distortion": room.distortion,
        "setup": setup.name,
        # The gate leaves silence; what is told is what cancellation alone takes away.
        "erle_db": round(erle_db(alone, heard, left), 1) if setup.make is cancellation else None,
        "self_interruptions": len(self_turns),
        "self_interruption_s": [round(at / RATE, 2) for at in self_turns],
        "agent_s": round(alone.agent_s, 1),
        "interruptions": len(both.interruptions),
        "heard": len(delays),
        "delay_ms_median": round(statistics.median(delays)) if delays else None,
        "delay_ms_max": round(max(delays)) if delays else None,
        "cpu_ms_per_s": round(cpu_ms, 1),
    }


async def measure(rooms: tuple[Room, ...], passages: int, more_seeds: int, tracks: int) -> dict[str, Any]:
    silero = SileroVad()
    await silero.open()
    replies = await agent_voices(passages)
    said = [
        recording("weather_question"),
        recording("hello_world"),
        recording("beckett", 1.5),
        recording("two_cities", 2.5),
    ]
    said = [at_level(one, USER_DB) for one in said]
    alone, both = track(replies, []), track(replies, said)
    rows = [measure_room(silero, room, setup, alone, both) for room in rooms for setup in SETUPS]
    for row, room in zip([row for row in rows if row["setup"] == SETUPS[-1].name], rooms, strict=True):
        others = [replace(room, seed=room.seed + 100 * number) for number in range(1, more_seeds + 1)]
        row["self_interruptions"] += sum(own_turns(silero, other, SETUPS[-1], alone) for other in others)
        row["agent_s"] = round(alone.agent_s * (1 + len(others)), 1)
    if rows:
        quiet = np.zeros(len(both.far), np.int16)
        undisturbed = Room("no echo", 100, 0, -120.0)
        rows.append(measure_room(silero, undisturbed, SETUPS[0], Track(quiet, quiet, alone.replies, ()), both))
    without_path = await measure_without_path(silero, replies, tracks) if tracks else []
    await silero.close()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "rows": rows,
        "without_path": without_path,
    }


def totals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each setup over all rooms with an echo."""
    found = []
    for setup in SETUPS:
        mine = [row for row in rows if row["setup"] == setup.name and row["level_db"] > -100]
        if not mine:
            continue
        hours = sum(row["agent_s"] for row in mine) / 3_600
        found.append(
            {
                "setup": setup.name,
                "agent_hours": round(hours, 2),
                "self_interruptions_per_hour": round(sum(row["self_interruptions"] for row in mine) / hours, 1),
                "heard_share": round(sum(row["heard"] for row in mine) / sum(row["interruptions"] for row in mine), 3),
                "worst_erle_db": min(
                    (row["erle_db"] for row in mine if row["erle_db"] is not None and row["level_db"] > FAINT_ECHO_DB),
                    default=None,
                ),
            }
        )
    return found


def show(result: dict[str, Any]) -> None:
    table = Table(box=SIMPLE)
    for title in (
        "Room",
        "RT60/delay ms",
        "Echo dB",
        "Control",
        "ERLE dB",
        "Self-int.",
        "Heard",
        "Delay ms",
        "CPU ms/s",
    ):
        table.add_column(title, justify="left" if title in ("Room", "Control") else "right", no_wrap=title != "Room")
    for row in result["rows"]:
        table.add_row(
            row["room"],
            f"{row['rt60_ms']}/{row['delay_ms']}",
            f"{row['level_db']:g}",
            row["setup"],
            "" if row["erle_db"] is None else f"{row['erle_db']:.1f}",
            str(row["self_interruptions"]),
            f"{row['heard']}/{row['interruptions']}",
            f"{row['delay_ms_median']}/{row['delay_ms_max']}",
            f"{row['cpu_ms_per_s']:.1f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 140)
    if result["rows"]:
        console.print(table)
    if result["without_path"]:
        console.print(without_path_table(result["without_path"]))
    for total in result["totals"]:
        console.print(
            f"{total['setup']}: {total['self_interruptions_per_hour']:g} self-interruptions an hour "
            f"(in {total['agent_hours']:g} h of agent speech), {total['heard_share']:.0%} of interruptions heard"
        )


def without_path_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE, title="no echo path")
    for title in ("Microphone", "Interrupted", "Control", "Self-int.", "Heard in 0.5 s", "Delay ms"):
        table.add_column(title, justify="left" if title in ("Microphone", "Interrupted", "Control") else "right")
    for row in rows:
        table.add_row(
            row["microphone"],
            row["when"],
            row["setup"],
            f"{row['self_interruptions']} in {row['agent_s']:g} s",
            f"{row['heard']}/{row['interruptions']}" if row["interruptions"] else "",
            f"{row['delay_ms_median']}/{row['delay_ms_max']}" if row["interruptions"] else "",
        )
    return table


def broken(result: dict[str, Any]) -> list[str]:
    """The bars that `parley talk`'s own setup breaks."""
    found = []
    for row in result["without_path"]:
        if row["setup"] != SETUPS[-1].name or not row["barred"]:
            continue
        name = f"{row['microphone']}, {row['when']}"
        if row["self_interruptions"]:
            found.append(f"{name}: {row['self_interruptions']} self-interruptions without an echo path; the bar is 0")
        if row["heard"] < BAR_HEARD_WITHOUT_PATH * row["interruptions"]:
            share = row["heard"] / row["interruptions"]
            found.append(f"{name}: {share:.0%} of the interruptions heard; the bar is {BAR_HEARD_WITHOUT_PATH:.0%}")
    if not result["totals"]:
        return found
    total = result["totals"][-1]
    if total["self_interruptions_per_hour"] > BAR_SELF_INTERRUPTIONS:
        found.append(
            f"{total['self_interruptions_per_hour']} self-interruptions an hour; the bar is {BAR_SELF_INTERRUPTIONS}"
        )
    if total["heard_share"] < BAR_HEARD:
        found.append(f"{total['heard_share']:.0%} of the interruptions heard; the bar is {BAR_HEARD:.0%}")
    worst = result["totals"][1]["worst_erle_db"]
    if worst is not None and worst < BAR_ERLE_DB:
        found.append(f"the worst echo loss is {worst} dB; the bar is {BAR_ERLE_DB}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rooms",
        default="",
        help="only rooms whose name contains this; none has 'none' in its name",
    )
    parser.add_argument("--passages", type=int, default=len(PASSAGES), help="only so many synthesized replies")
    parser.add_argument(
        "--seeds", type=int, default=5, help="further rooms of each kind in which the agent alone is heard"
    )
    parser.add_argument(
        "--tracks", type=int, default=20, help="conversations with each microphone that has no echo path; 0: none"
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the table")
    parser.add_argument("--no-write", action="store_true", help="leave results/echo.json as it is")
    args = parser.parse_args()
    rooms = tuple(room for room in ROOMS if args.rooms in room.name)
    result = asyncio.run(measure(rooms, args.passages, args.seeds, args.tracks))
    result["totals"] = totals(result["rows"])
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    if not args.no_write:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    for line in broken(result):
        print(line, file=sys.stderr)
    sys.exit(1 if broken(result) else 0)


if __name__ == "__main__":
    main()
