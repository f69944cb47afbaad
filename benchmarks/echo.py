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
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from parley.audio import files, pcm
from parley.audio.processing import AudioProcessor
from parley.audio.resampling import resample
from parley.audio.types import Int16, Samples
from parley.core.ids import ItemId, TurnId
from parley.core.turn_taking import Began, Paused, Pausing, Quiet, Resumed, Speaking, Turn, TurnTaking
from parley.engines.ports import SpeechRequest
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.engines.vad.silero import SileroVad
from parley.testing.rooms import ROOMS, Room
from tests.speech import clip

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "echo.json"

RATE = 48_000
CHUNK = RATE // 100
THRESHOLD = 0.5
SILENCE_MS = 500
"""How long the voice must rest before another onset counts as another turn: the default of `server_vad`."""

AGENT_DB = -20.0
USER_DB = -26.0
"""Levels of the two voices where they speak, under full scale: a loudspeaker driven well, a user at arm's length."""

BETWEEN_S = 2.5
"""Between two replies, and before the first."""

ANSWER_WINDOW_MS = 1_000
"""An interruption that has started no turn by then was not heard."""

CONVERGED_S = 5
"""Echo loss is told from here on; turns are counted from the first sample."""

BAR_ERLE_DB = 20.0
BAR_SELF_INTERRUPTIONS = 0
BAR_HEARD = 0.85
FAINT_ECHO_DB = -20.0
"""Rooms whose echo is fainter than this are left out of the bar for echo loss: what is left of it lies under the microphone's noise."""

PASSAGES = (
    ("alloy", "It is eighteen degrees in Paris, with a light wind from the west. Tomorrow will be warmer, but take an umbrella."),
    ("echo", "I have found three trains this afternoon. The first leaves at ten past two and arrives at a quarter to five."),
    ("nova", "Your table is booked for four people at half past seven. Shall I tell them that one of you does not eat fish?"),
    ("onyx", "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. It happens in the green parts of a plant."),
    ("shimmer", "Sure. First crush the garlic, then warm the oil slowly, and add the tomatoes only when the kitchen begins to smell good."),
    ("sage", "The meeting with Anna has been moved to Thursday at nine. I have told the others, and sent them the new agenda."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to treat the microphone; `make` None leaves it alone."""

    name: str
    make: Callable[[], AudioProcessor] | None


def cancellation() -> AudioProcessor:
    """Echo cancellation alone, without the gate behind it."""
    processor = AudioProcessor(RATE, echo=True, noise="off", gain=False)
    processor.gate = None
    return processor


SETUPS = (
    Setup("none", None),
    Setup("cancellation", cancellation),
    Setup("as talk does", lambda: AudioProcessor(RATE, echo=True, noise="near_field", gain=True)),
)


@dataclass(frozen=True, slots=True)
class Track:
    """What is played, what the user says over it (both int16 `[n]` at 48 kHz), and where each begins and ends, in samples."""

    far: Int16
    near: Int16
    replies: tuple[tuple[int, int], ...]
    interruptions: tuple[int, ...]

    @property
    def agent_s(self) -> float:
        return sum(end - start for start, end in self.replies) / RATE


def at_level(audio: Samples, decibels: float) -> Samples:
    """The recording with its voice (not its pauses) at this level under full scale."""
    loud = audio[np.abs(audio) > 0.02 * np.abs(audio).max()]
    result: Samples = audio * np.float32(10 ** (decibels / 20) / np.sqrt(np.mean(loud**2)))
    return result


def recording(name: str, seconds: float | None = None) -> Samples:
    """A recording at 48 kHz, cut to `seconds`, from its first sound on."""
    found = files.read(clip(name))
    audio = resample(found.audio, found.sample_rate, RATE)
    begins = int(np.argmax(np.abs(audio) > 0.03 * np.abs(audio).max()))
    return audio[begins : None if seconds is None else begins + int(seconds * RATE)]


async def agent_voices(passages: int) -> list[Samples]:
    """Replies to be spoken: synthesized, and a recorded voice for one that is no synthesizer."""
    synthesizer = EspeakSynthesizer()
    await synthesizer.open()
    voices: list[Samples] = []
    for voice, text in PASSAGES[:passages]:
        pieces = [chunk async for chunk in synthesizer.speak(SpeechRequest(text=text, voice=voice))]
        audio = np.concatenate([piece.audio for piece in pieces])
        voices.append(resample(audio, pieces[0].sample_rate, RATE))
    await synthesizer.close()
    story = recording("two_cities")
    voices += [story[at * RATE : (at + 11) * RATE] for at in (0, 11, 22, 33)]
    return [at_level(voice, AGENT_DB) for voice in voices]


def track(replies: list[Samples], interruptions: list[Samples]) -> Track:
    """The replies one after another, each interrupted (where there are interruptions) at a time of its own."""
    silence = np.zeros(int(BETWEEN_S * RATE), np.float32)
    parts, bounds, at = [silence], [], len(silence)
    for reply in replies:
        bounds.append((at, at + len(reply)))
        parts += [reply, silence]
        at += len(reply) + len(silence)
    far = np.concatenate(parts)
    near, begins = np.zeros(len(far), np.float32), []
    chance = np.random.default_rng(7)
    for index, (start, end) in enumerate(bounds) if interruptions else ():
        said = interruptions[index % len(interruptions)]
        begin = int(chance.integers(start + RATE, max(start + RATE + 1, end - RATE - len(said) // 2)))
        near[begin : begin + len(said)] += said[: len(near) - begin]
        begins.append(begin)
    return Track(pcm.to_int16(far), pcm.to_int16(near), tuple(bounds), tuple(begins))


def treated(setup: Setup, far: Int16, heard: Int16) -> tuple[Int16, float]:
    """The microphone's signal after `setup`, and the processor time it took, in ms for each second."""
    if setup.make is None:
        return heard, 0.0
    processor = setup.make()
    since = time.process_time()
    parts = []
    for at in range(0, len(far), CHUNK):
        processor.render(far[at : at + CHUNK])
        parts.append(processor.capture(heard[at : at + CHUNK]))
    parts.append(processor.flush())
    return np.concatenate(parts), (time.process_time() - since) * 1e3 / (len(far) / RATE)


def erle_db(played: Track, heard: Int16, left: Int16) -> float:
    """Echo return loss enhancement while the agent speaks: how much of the sound at the microphone was taken away."""
    active = np.zeros(len(heard), bool)
    for start, end in played.replies:
        active[max(start, CONVERGED_S * RATE) : end] = True
    before, after = (float(np.mean(signal[active].astype(np.float64) ** 2)) for signal in (heard, left))
    return 10 * math.log10(before / max(after, 1e-9))


def turns(silero: SileroVad, signal: Int16) -> Iterator[tuple[int, int]]:
    """Each turn that the core would begin: the sample (48 kHz) of its onset, and the one at which it knew."""
    audio = resample(pcm.to_float(signal), RATE, 16_000)
    slot = silero.allocate()
    taking, size = TurnTaking(), silero.frame_samples
    for end in range(size, len(audio) + 1, size):
        probability = float(silero.score([slot], audio[None, end - size : end])[0])
        # The core counts in 24 kHz samples.
        match taking.heard(end * 3 // 2, probability, THRESHOLD):
            case Began(onset=onset):
                turn = Turn(TurnId(0), ItemId(""), onset, onset, onset, False)
                taking.position = Speaking(turn)
                yield onset * 2, end * 3
            case Paused(since=since):
                taking.position = Pausing(turn, since)
            case Resumed():
                taking.position = Speaking(turn)
        if isinstance(taking.position, Pausing) and taking.scored_to - taking.position.since >= SILENCE_MS * 24:
            taking.position = Quiet()
    silero.release(slot)


def own_turns(silero: SileroVad, room: Room, setup: Setup, alone: Track) -> int:
    """Turns that the agent's own voice starts in this room."""
    left, _ = treated(setup, alone.far, room.microphone(alone.far, alone.near, RATE))
    return sum(1 for _ in turns(silero, left))


def measure_room(silero: SileroVad, room: Room, setup: Setup, alone: Track, both: Track) -> dict[str, Any]:
    """The agent alone, and the agent interrupted."""
    heard = room.microphone(alone.far, alone.near, RATE)
    left, cpu_ms = treated(setup, alone.far, heard)
    self_turns = [begun for begun, _ in turns(silero, left)]
    over, _ = treated(setup, both.far, room.microphone(both.far, both.near, RATE))
    found = list(turns(silero, over))
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


async def measure(rooms: tuple[Room, ...], passages: int, more_seeds: int) -> dict[str, Any]:
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
    quiet = np.zeros(len(both.far), np.int16)
    undisturbed = Room("no echo", 100, 0, -120.0)
    rows.append(measure_room(silero, undisturbed, SETUPS[0], Track(quiet, quiet, alone.replies, ()), both))
    await silero.close()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "rows": rows,
    }


def totals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each setup over all rooms with an echo."""
    found = []
    for setup in SETUPS:
        mine = [row for row in rows if row["setup"] == setup.name and row["level_db"] > -100]
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
    console.print(table)
    for total in result["totals"]:
        console.print(
            f"{total['setup']}: {total['self_interruptions_per_hour']:g} self-interruptions an hour "
            f"(in {total['agent_hours']:g} h of agent speech), {total['heard_share']:.0%} of interruptions heard"
        )


def broken(result: dict[str, Any]) -> list[str]:
    """The bars that `parley talk`'s own setup breaks."""
    total = result["totals"][-1]
    found = []
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
    parser.add_argument("--rooms", default="", help="only rooms whose name contains this")
    parser.add_argument("--passages", type=int, default=len(PASSAGES), help="only so many synthesized replies")
    parser.add_argument(
        "--seeds", type=int, default=5, help="further rooms of each kind in which the agent alone is heard"
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the table")
    parser.add_argument("--no-write", action="store_true", help="leave results/echo.json as it is")
    args = parser.parse_args()
    result = asyncio.run(measure(tuple(room for room in ROOMS if args.rooms in room.name), args.passages, args.seeds))
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
