"""Where the microphone does not hear the loudspeaker: how soon an interruption is heard, and whether the agent interrupts itself.

Each track is a conversation with an `AudioProcessor` of its own: a first reply, interrupted within its first second, and
another reply, interrupted later. Delays are counted in samples, from where the voice begins.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.echo_tracks import RATE, SETUPS, USER_DB, Setup, Track, at_level, recording, spoken, treated, turns_of
from parley.audio import pcm
from parley.audio.types import Int16, Samples
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.engines.vad.silero import SileroVad
from parley.testing.acoustics import ROOMS, Room

WITHIN_MS = 500
REPLY_S = 6.0
PAUSE_S = 1.5
"""Before each reply, and after the last."""

MOVED_AT_S = 2.0
"""Into the first reply the headphones are plugged in or pulled out; the interruption comes `SETTLED_S` later."""

SETTLED_S = 3.0

FAN_DB = -46.0
"""A loud room's steady noise at the microphone, under full scale: 20 dB below the voice."""

Hear = Callable[[Track, int], Int16]
"""What the microphone gives for a track; the number chooses the chance in it."""

HEADPHONES = Room("headphones", 100, 40, -120.0)
LAPTOP = ROOMS[1]


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of microphone. `moved`: the path appears or goes while the first reply plays."""

    microphone: str
    hear: Hear
    moved: bool = False
    interrupted: bool = True


def headset(track: Track, number: int) -> Int16:
    return HEADPHONES.microphone(track.far, track.near, RATE)


def silent_headset(track: Track, number: int) -> Int16:
    return track.near


def headset_in_a_loud_room(track: Track, number: int) -> Int16:
    steps = np.random.default_rng(number).normal(0.0, 1.0, len(track.near) + 480)
    walk = np.cumsum(steps)
    # A random walk without what lies below some 100 Hz: a fan.
    fan = (walk - np.convolve(walk, np.ones(481) / 481, "same"))[240:-240]
    heard = track.near + fan * (32_768 * 10 ** (FAN_DB / 20) / fan.std())
    result: Int16 = np.clip(heard, -32_768, 32_767).astype(np.int16)
    return result


def plugged_in(track: Track, number: int) -> Int16:
    at = track.replies[0][0] + int(MOVED_AT_S * RATE)
    before = LAPTOP.microphone(track.far, track.near, RATE)
    return np.concatenate([before[:at], headset(track, number)[at:]])


def pulled_out(track: Track, number: int) -> Int16:
    at = track.replies[0][0] + int((MOVED_AT_S + 0.07 * number) * RATE)
    return np.concatenate([headset(track, number)[:at], LAPTOP.microphone(track.far, track.near, RATE)[at:]])


CASES = (
    Case("headset", headset),
    Case("headset, silent microphone", silent_headset),
    Case("headset in a loud room", headset_in_a_loud_room),
    Case("laptop, then headset", plugged_in, moved=True),
    Case("headset, then laptop", pulled_out, moved=True, interrupted=False),
)


async def sayings() -> list[Samples]:
    """What the user says, each from where the voice begins: recorded, and synthesized."""
    said = [recording("weather_question"), recording("hello_world"), recording("beckett", 1.5)]
    synthesizer = EspeakSynthesizer()
    await synthesizer.open()
    for voice, text in (
        ("ash", "Stop, that is enough."),
        ("coral", "Wait, what about tomorrow?"),
        ("verse", "No, I meant Thursday."),
    ):
        said.append(await spoken(synthesizer, voice, text))
    await synthesizer.close()
    return [begun(at_level(audio, USER_DB)) for audio in said]


def begun(audio: Samples) -> Samples:
    """From the first 10 ms on that lie within 20 dB of the voice's level."""
    frames = audio[: len(audio) // 480 * 480].reshape(-1, 480)
    loud = np.mean(frames**2, axis=1) > 10 ** ((USER_DB - 20) / 10)
    return audio[int(np.argmax(loud)) * 480 :]


def conversation(replies: list[Samples], said: list[Samples], number: int, case: Case, *, interrupted: bool) -> Track:
    """Two replies, each with one interruption of its own (where it is interrupted)."""
    chance = np.random.default_rng(number)
    pause = np.zeros(int(PAUSE_S * RATE), np.float32)
    parts, bounds, at = [pause], [], len(pause)
    for turn in range(2):
        reply = replies[(number + 3 * turn) % len(replies)][: int(REPLY_S * RATE)]
        parts += [reply, pause]
        bounds.append((at, at + len(reply)))
        at += len(reply) + len(pause)
    far = np.concatenate(parts)
    near, begins = np.zeros(len(far), np.float32), []
    for turn, (start, end) in enumerate(bounds) if interrupted else ():
        audio = said[(number + turn) % len(said)]
        if turn or not case.moved:
            earliest, latest = (0.1, 1.0) if turn == 0 else (1.5, min(4.0, (end - start) / RATE - 1.5))
        else:
            earliest = MOVED_AT_S + SETTLED_S
            latest = earliest + 0.3
        begin = start + int(chance.uniform(earliest, latest) * RATE)
        near[begin : begin + len(audio)] += audio[: len(near) - begin]
        begins.append(begin)
    return Track(pcm.to_int16(far), pcm.to_int16(near), tuple(bounds), tuple(begins))


async def measure_without_path(silero: SileroVad, replies: list[Samples], tracks: int) -> list[dict[str, Any]]:
    """A row for each microphone, moment and control (untouched, and as `parley talk` treats it), over so many conversations each."""
    said = await sayings()
    rows = []
    for case in CASES:
        alone = [conversation(replies, said, number, case, interrupted=False) for number in range(tracks)]
        over = [conversation(replies, said, number, case, interrupted=True) for number in range(tracks)]
        for setup in (SETUPS[0], SETUPS[-1]):
            own = sum(map(len, turns_of(silero, _left(setup, case, alone))))
            found = turns_of(silero, _left(setup, case, over)) if case.interrupted else []
            moments = ("3 s later", "later") if case.moved else ("first second", "later")
            for turn, when in enumerate(moments if case.interrupted else ("never",)):
                begins = [track.interruptions[turn] for track in over] if case.interrupted else []
                delays = [_delay_ms(begin, turns) for begin, turns in zip(begins, found, strict=True)]
                heard = [delay for delay in delays if delay is not None and delay <= WITHIN_MS]
                told = [delay for delay in delays if delay is not None]
                rows.append(
                    {
                        "microphone": case.microphone,
                        "when": when,
                        "setup": setup.name,
                        "barred": case.interrupted and (not case.moved or turn == 1),
                        "self_interruptions": own,
                        "agent_s": round(sum(track.agent_s for track in alone), 1),
                        "interruptions": len(begins),
                        "heard": len(heard),
                        "delay_ms_median": round(statistics.median(told)) if told else None,
                        "delay_ms_max": round(max(told)) if told else None,
                    }
                )
    return rows


def _left(setup: Setup, case: Case, tracks: list[Track]) -> list[Int16]:
    return [treated(setup, track.far, case.hear(track, number))[0] for number, track in enumerate(tracks)]


def _delay_ms(begin: int, turns: list[tuple[int, int]]) -> float | None:
    """From where the voice begins until the core knows; None where no turn begins with it."""
    within = [known for onset, known in turns if begin - RATE // 10 <= onset <= begin + RATE and known >= begin]
    return (within[0] - begin) / (RATE / 1_000) if within else None
