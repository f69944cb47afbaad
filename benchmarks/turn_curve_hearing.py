"""What a session of the library notices of an utterance: every frame of every pause, and every question to its judge.

Laws: sample time, real Silero, the core's turn-taking, a real recogniser; the turn never ends by itself, so that any policy can be applied
afterwards to the same frames. The policies are the core's own: nothing here decides when a turn ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from benchmarks.turn_curve_corpus import Utterance
from benchmarks.turns_corpus import RATE
from parley.core.policy.turn_rules import Endpointing, PauseSeen
from parley.core.words.settings import SemanticVad, TurnDetection
from parley.engines.ports import PauseContext
from parley.engines.turn.rules import RuleJudge
from parley.library import Pipeline, VoiceSession

T = TypeVar("T")

FRAME_MS = 32
"""A pause is looked at once for each frame of the voice model."""

COUNTED_MS = 200
"""A pause counts if the voice was off for so long: shorter ones are the gaps of plosives, and no policy here ends a turn in them."""

NEVER_MS = 60_000


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause as the core saw it.

    `frames_ms`: its length at each look; `asked_ms[i]`: its length when `questions[i]` was put to the judge; `late_ms`: how long after the
    end of the voice the core counts from, where the voice ended for good.
    """

    utterance: Utterance
    frames_ms: tuple[int, ...]
    questions: tuple[PauseContext, ...]
    asked_ms: tuple[int, ...]
    late_ms: float
    ends: bool


class _Asked(RuleJudge):
    """The judge, keeping its questions."""

    def __init__(self) -> None:
        self.questions: list[PauseContext] = []

    async def judge(self, pause: PauseContext) -> float:
        self.questions.append(pause)
        return await super().judge(pause)


def hear_all(corpus: Sequence[Utterance], recogniser: str) -> list[Pause]:
    """Every pause of every utterance, each utterance in a session of its own."""
    judge = _Asked()
    with Pipeline(turn=judge, stt=recogniser, llm=None, tts=None, language="en") as pipeline:
        return [pause for one in counted(recogniser, corpus) for pause in _hear(pipeline, judge, one)]


def _hear(pipeline: Pipeline, judge: _Asked, utterance: Utterance) -> Iterator[Pause]:
    looks: list[tuple[int, int, int]] = []

    def watch(pause: PauseSeen) -> int:
        looks.append((session.samples_taken * 1000 // RATE, pause.pause_ms, len(judge.questions)))
        return NEVER_MS

    judge.questions.clear()
    session = VoiceSession(pipeline, sample_rate=RATE, turn_detection=SemanticVad("low"), endpointing=watch)
    size = RATE * FRAME_MS // 1000
    for at in range(0, len(utterance.audio), size):
        session.step(utterance.audio[at : at + size])
    session.close()
    end_ms = utterance.voice_end * 1000 / RATE
    for group in _pauses(looks):
        last = group is looks or group[-1] == looks[-1]
        frames = tuple(pause_ms for _, pause_ms, _ in group)
        if last and not utterance.ends:
            frames = tuple(ms for ms in frames if ms <= utterance.pauses_ms[-1])
        if not last and frames[-1] < COUNTED_MS:
            continue
        first, until = group[0][2], group[-1][2]
        asked = tuple(next(ms for _, ms, count in group if count > index) - FRAME_MS for index in range(first, until))
        questions = tuple(judge.questions[first:until])
        late_ms = group[0][0] - group[0][1] - end_ms
        yield Pause(utterance, frames, questions, asked, late_ms, last and utterance.ends)


def _pauses(looks: list[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    group: list[tuple[int, int, int]] = []
    for look in looks:
        if group and look[1] <= group[-1][1]:
            yield group
            group = []
        group.append(look)
    if group:
        yield group


@dataclass(frozen=True, slots=True)
class Policy:
    """A line of the table: who judges (a key of `Judged.finished`, "" for nobody), and the core's decision from that."""

    name: str
    family: str
    judge: str
    detection: TurnDetection
    endpointing: Endpointing


@dataclass(frozen=True, slots=True)
class Judged:
    """A pause with each judge's probabilities, and from which length of the pause on each is known."""

    pause: Pause
    finished: dict[str, tuple[tuple[int, float], ...]]

    def ended_ms(self, policy: Policy) -> int | None:
        """The length of the pause at the frame in which the policy ends the turn; None where the speaker goes on before that."""
        known = self.finished.get(policy.judge, ())
        for pause_ms in self._looks():
            latest = [finished for from_ms, finished in known if from_ms <= pause_ms]
            seen = PauseSeen(pause_ms, 0, "", latest[-1] if latest else None)
            if pause_ms >= policy.endpointing.pause_needed_ms(policy.detection, seen):
                return pause_ms
        return None

    def _looks(self) -> Iterator[int]:
        yield from self.pause.frames_ms
        if self.pause.ends:
            yield from range(self.pause.frames_ms[-1] + FRAME_MS, NEVER_MS, FRAME_MS)


def figures(judged: Sequence[Judged], policy: Policy) -> dict[str, float]:
    """Mean and 90th percentile of the wait from the end of the voice at true ends, and the share of pauses in which the turn was ended."""
    waits = [one.pause.late_ms + (one.ended_ms(policy) or 0) for one in judged if one.pause.ends]
    cut = [one.ended_ms(policy) is not None for one in judged if not one.pause.ends]
    return {
        "mean_ms": round(float(np.mean(waits))),
        "p90_ms": round(float(np.percentile(waits, 90))),
        "cuts_percent": round(100 * float(np.mean(cut)), 1),
    }


def counted(title: str, things: Sequence[T]) -> Iterator[T]:
    for number, thing in enumerate(things, 1):
        print(f"\r{title}: {number} of {len(things)}", end="", file=sys.stderr, flush=True)
        yield thing
    print(file=sys.stderr)


def smart_answers(pauses: Sequence[Pause], weights: str) -> list[tuple[float, ...]]:
    """The probability that Smart Turn itself hears, for each question of each pause."""
    from parley.engines.turn.smart import create

    async def ask() -> list[tuple[float, ...]]:
        judge = create(weights, {"alone": True})
        await judge.open()
        try:
            return [
                tuple([await judge.judge(question) for question in pause.questions])
                for pause in counted("smart turn", pauses)
            ]
        finally:
            await judge.close()

    return asyncio.run(ask())
