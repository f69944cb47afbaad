"""How long the end of a turn is waited for, and how often a speaker who only pauses is cut off: `python -m benchmarks.turns`.

Every stop of `turns_corpus` is heard by a session of the library in sample time (Silero, the core's endpointing, the judge `rules`),
which says when it notices the pause and what its judge is given to hear. Each is judged with the true words and with PocketSphinx'.
Prints a table, writes results/turns.json; exits with 1 when a bar is broken. `--fit` prints the weights of the judge's rules as
fitted to the split `fit` (`turns_fit`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks import turns_fit
from benchmarks.turns_corpus import NOISE, RATE, SPLITS, Stop, stops
from parley.core.policy.endpointing import pause_needed_ms
from parley.core.policy.turn_rules import PauseSeen
from parley.core.words.settings import Eagerness, SemanticVad, ServerVad, TurnDetection
from parley.engines.ports import EngineInfo, Partial, PauseContext, RecognitionSpec, Samples, Transcript
from parley.engines.stt.pocketsphinx import create as pocketsphinx
from parley.engines.turn.rules import RuleJudge, weigh
from parley.library import Pipeline, VoiceSession

T = TypeVar("T")

RESULTS = Path(__file__).with_name("results") / "turns.json"

FRAME_MS = 32
"""A pause is looked at once for each frame of the voice model."""

SILENCE_MS = 480
"""Heard after each stop. By then the words have come and have been judged, and the rest of the wait is arithmetic."""

PAUSES_MS = (300, 500, 800, 1_200, 2_000)
"""How long a speaker who goes on is silent: each inner stop is counted with each of them. Most pauses in speech last between 200 ms and
1 s, with a long tail (Campione & Véronis 2002)."""

FIXED_MS = (200, 500, 800)
EAGERNESSES: tuple[Eagerness, ...] = ("high", "medium", "low")

BAR_MEDIUM_P90_MS = 1_500


# --- hearing ------------------------------------------------------------------------------------------------------------


class NoWords:
    """A `SpeechRecognizer` without words: what is said is put into the judge's question afterwards, from each recogniser."""

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("stt", "no-words", "Understands nothing.", sample_rate=RATE)

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> _NoStream:
        return _NoStream()


class _NoStream:
    def feed(self, audio: Samples) -> None:
        return None

    async def flush(self) -> Transcript:
        return Transcript("")

    async def finish(self) -> Transcript:
        return Transcript("")

    def close(self) -> None:
        return None


class WatchedJudge(RuleJudge):
    """The judge, keeping the last question."""

    asked: PauseContext | None = None

    def forget(self) -> None:
        self.asked = None

    async def judge(self, pause: PauseContext) -> float:
        self.asked = pause
        return await super().judge(pause)


@dataclass(frozen=True, slots=True)
class Heard:
    """A stop as a session heard it: what its judge was asked, and how long after the end of the voice the pause is counted from."""

    stop: Stop
    question: PauseContext
    late_ms: float


def hear(pipeline: Pipeline, judge: WatchedJudge, stop: Stop) -> Heard | None:
    """Let a session hear the stop; None where it noticed no pause there."""
    counted_from_ms: list[float] = []

    def watch(pause: PauseSeen) -> int:
        since_end_ms = (session.samples_taken - stop.voice_end) * 1000 / RATE
        counted_from_ms.append(since_end_ms - pause.pause_ms)
        return 60_000

    judge.forget()
    session = VoiceSession(pipeline, sample_rate=RATE, turn_detection=SemanticVad("low"), endpointing=watch)
    silence = np.random.default_rng(1).normal(0, NOISE, RATE * SILENCE_MS // 1000).astype(np.float32)
    audio, size = np.concatenate([stop.audio, silence]), RATE * FRAME_MS // 1000
    for at in range(0, len(audio), size):
        session.step(audio[at : at + size])
    session.close()
    return None if judge.asked is None else Heard(stop, judge.asked, counted_from_ms[-1])


def hear_all(corpus: Sequence[Stop]) -> list[Heard]:
    """Every stop that a session noticed."""
    judge = WatchedJudge()
    with Pipeline(turn=judge, stt=NoWords(), llm=None, tts=None) as pipeline:
        heard = [hear(pipeline, judge, stop) for stop in counted("sessions", corpus)]
    return [one for one in heard if one is not None]


async def transcribed(heard: Sequence[Heard]) -> list[Transcript]:
    """PocketSphinx' words for each stop, flushed where the judge is asked, as a session does."""
    recogniser = pocketsphinx("", {})
    await recogniser.open()
    transcripts = []
    for one in counted("pocketsphinx", heard):
        stream = recogniser.open_stream(RecognitionSpec("en"), lambda partial: None)
        stream.feed(one.question.audio)
        transcripts.append(await stream.finish())
    await recogniser.close()
    return transcripts


def counted(title: str, things: Sequence[T]) -> Iterator[T]:
    for number, thing in enumerate(things, 1):
        print(f"\r{title}: {number} of {len(things)}", end="", file=sys.stderr, flush=True)
        yield thing
    print(file=sys.stderr)


Everything = dict[str, list[Heard]]


def everything(every: int, kept: Path | None) -> Everything:
    """The stops with each recogniser's words; from the file `kept` where it exists, and kept there for the next time."""
    if kept is not None and kept.exists():
        with kept.open("rb") as file:
            return cast(Everything, pickle.load(file))
    heard = hear_all([stop for split in SPLITS for stop in stops(split)[::every]])
    transcripts = asyncio.run(transcribed(heard))
    found = {
        "true words": [replace(one, question=worded(one.question, Transcript(one.stop.text))) for one in heard],
        "pocketsphinx": [
            replace(one, question=worded(one.question, words)) for one, words in zip(heard, transcripts, strict=True)
        ],
    }
    if kept is not None:
        with kept.open("wb") as file:
            pickle.dump(found, file)
    return found


def worded(question: PauseContext, words: Transcript) -> PauseContext:
    return replace(question, text=words.text, language="en", confidence=words.confidence)


# --- figures ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """A stop with the judgement of it."""

    stop: Stop
    late_ms: float
    finished: float

    def wait_ms(self, detection: TurnDetection) -> float:
        """From the end of the voice to the end of the turn, if the silence goes on."""
        frames = -(-pause_needed_ms(detection, self.finished) // FRAME_MS)
        return self.late_ms + frames * FRAME_MS


def cuts_percent(judged: Iterable[Judged], detection: TurnDetection) -> float:
    """Of the pauses after which a speaker goes on, those in which the turn was ended."""
    waits = [one.wait_ms(detection) for one in judged if not one.stop.ends]
    return round(100 * statistics.fmean(wait <= pause for wait in waits for pause in PAUSES_MS), 1)


def wait_ms(judged: Iterable[Judged], detection: TurnDetection, percent: float) -> int:
    """The percentile of the waits at the ends of turns."""
    return round(float(np.percentile([one.wait_ms(detection) for one in judged if one.stop.ends], percent)))


def figures(judged: Sequence[Judged], detection: TurnDetection) -> dict[str, float]:
    return {
        "p50_ms": wait_ms(judged, detection, 50),
        "p90_ms": wait_ms(judged, detection, 90),
        "cuts_percent": cuts_percent(judged, detection),
    }


def equal_fixed_wait(judged: Sequence[Judged], p50_ms: float) -> ServerVad:
    """The shortest fixed wait whose p50 is at least this one."""
    candidates = (ServerVad(silence_duration_ms=ms) for ms in range(FRAME_MS, 10_000, FRAME_MS))
    return next(fixed for fixed in candidates if wait_ms(judged, fixed, 50) >= p50_ms)


def rows_of(heard: Sequence[Heard], recogniser: str, split: str) -> list[dict[str, Any]]:
    """The table's rows for one recogniser and one split."""
    judged = [
        Judged(one.stop, one.late_ms, weigh(one.question).probability) for one in heard if one.stop.split == split
    ]
    known: dict[str, Any] = {"words": recogniser, "split": split}
    rows = [known | {"wait": f"fixed {ms}"} | figures(judged, ServerVad(silence_duration_ms=ms)) for ms in FIXED_MS]
    for eagerness in EAGERNESSES:
        row = known | {"wait": eagerness} | figures(judged, SemanticVad(eagerness))
        fixed = equal_fixed_wait(judged, row["p50_ms"])
        equal = {"fixed_ms": fixed.silence_duration_ms, "fixed_cuts_percent": cuts_percent(judged, fixed)}
        rows.append(row | equal)
    return rows


def counts(corpus: Sequence[Stop], split: str) -> dict[str, Any]:
    """What a split holds."""
    found = [stop for stop in corpus if stop.split == split]
    ends = sum(stop.ends for stop in found)
    return {
        "split": split,
        "ends": ends,
        "pauses": len(found) - ends,
        "sources": sorted({stop.source for stop in found}),
    }


def broken(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The bars that the rows break."""
    found = []
    for row in rows:
        where = f"{row['wait']}, {row['words']}, {row['split']}"
        if "fixed_cuts_percent" in row and row["cuts_percent"] >= row["fixed_cuts_percent"]:
            found.append(f"{where}: cuts {row['cuts_percent']} %, a fixed wait {row['fixed_cuts_percent']} %")
        if row["wait"] == "medium" and row["p90_ms"] > BAR_MEDIUM_P90_MS:
            found.append(f"{where}: p90 {row['p90_ms']} ms, at most {BAR_MEDIUM_P90_MS}")
    return found


def show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(box=SIMPLE, title="Wait from the end of the voice, ms; cuts of pauses that go on, %")
    for title in ("words", "split", "wait", "p50", "p90", "cuts", "fixed wait of this p50", "its cuts"):
        table.add_column(title, justify="left" if title in ("words", "split", "wait") else "right")
    for row in rows:
        names = ("words", "split", "wait", "p50_ms", "p90_ms", "cuts_percent", "fixed_ms", "fixed_cuts_percent")
        table.add_row(*(str(row.get(name, "")) for name in names), end_section=row["wait"] == EAGERNESSES[-1])
    Console(width=110).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--heard", type=Path, help="a file that keeps what was heard; where it exists, it is judged anew"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="hear only every Nth stop of the corpus")
    parser.add_argument("--fit", action="store_true", help="print fitted weights instead of figures")
    parser.add_argument("--no-write", action="store_true", help="leave results/turns.json as it is")
    options = parser.parse_args()
    heard = everything(options.every, options.heard)
    if options.fit:
        questions = [
            (one.question, one.stop.ends) for found in heard.values() for one in found if one.stop.split == "fit"
        ]
        turns_fit.show(questions)
        return 0
    rows = [row for name, found in heard.items() for split in SPLITS for row in rows_of(found, name, split)]
    show(rows)
    if not options.no_write:
        corpus = [one.stop for one in heard["true words"]]
        RESULTS.write_text(
            json.dumps({"stops": [counts(corpus, split) for split in SPLITS], "rows": rows}, indent=1) + "\n"
        )
    for bar in (faults := broken(rows)):
        print(f"broken: {bar}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
