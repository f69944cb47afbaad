"""Waits against false cut-offs, as a curve: `python -m benchmarks.turn_curve --smart PATH`.

What is heard: the user's side of 100 dialogues in the voice of hibari-tts and the recordings of `tests/speech.py`, whole utterances with
silences of natural lengths inside (`turn_curve_corpus`). A session of the library hears each in sample time with Silero, the core's
turn-taking and a real recogniser (`turn_curve_hearing`); the core's endpointing then decides on the frames of every pause for each policy:
fixed silences, the judge `rules` and Smart Turn at each eagerness, and Smart Turn at thresholds with the wait that its authors use.

Prints a table, writes results/turn_curve.json and docs/images/turn_curve.svg. `--heard FILE` keeps what was heard for the next time.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.turn_curve_corpus import SEED, utterances
from benchmarks.turn_curve_hearing import Judged, Pause, Policy, figures, hear_all, smart_answers
from benchmarks.turn_curve_picture import picture
from parley.core.policy.turn_rules import PauseSeen, RuleTable
from parley.core.words.settings import Eagerness, SemanticVad, ServerVad, TurnDetection
from parley.engines.turn.rules import weigh
from parley.engines.turn.smart import combined

RESULTS = Path(__file__).with_name("results") / "turn_curve.json"
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "turn_curve.svg"

FIXED_MS = (200, 300, 400, 500, 600, 700, 800, 1_000, 1_200)
EAGERNESSES: tuple[Eagerness, ...] = ("high", "medium", "low")
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
HALVES = ("fit", "held_out")

WORDS_MS = {"pocketsphinx": 64, "whisper": 704}
"""From the question for the words of a pause to their judgement: a recogniser's own time, which sample time does not pass. Assumed."""

SMART_MS = 96
"""A judgement of Smart Turn, features included: the median measured on one of two shared cores was 90 ms."""

TABLE = RuleTable()


@dataclass(frozen=True, slots=True)
class Threshold:
    """Smart Turn as its authors run it: the turn ends after 200 ms if the probability reaches the threshold, otherwise after 3 s."""

    at: float

    def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
        return 200 if pause.finished is not None and pause.finished >= self.at else 3_000


def policies() -> list[Policy]:
    found = [Policy(f"{ms} ms", "fixed", "", ServerVad(silence_duration_ms=ms), TABLE) for ms in FIXED_MS]
    for judge in ("rules", "smart"):
        found += [Policy(eagerness, judge, judge, SemanticVad(eagerness), TABLE) for eagerness in EAGERNESSES]
    found += [Policy(f"{at:g}", "smart threshold", "smart alone", SemanticVad(), Threshold(at)) for at in THRESHOLDS]
    return found


def judged(pauses: Sequence[Pause], smart: Sequence[Sequence[float]], words_ms: int) -> list[Judged]:
    """Each pause with the answers of both judges. The first question has the partial transcript, the later ones wait for words."""
    found = []
    for pause, answers in zip(pauses, smart, strict=True):
        delays = [0 if number == 0 else words_ms for number in range(len(pause.questions))]
        asked = [ms + delay for ms, delay in zip(pause.asked_ms, delays, strict=True)]
        rules = tuple((ms, weigh(each).probability) for ms, each in zip(asked, pause.questions, strict=True))
        # A session gives a question up when it asks the next one.
        last = len(asked) - 1
        kept = [number for number, ms in enumerate(asked) if number == last or ms + SMART_MS <= asked[number + 1]]
        alone = tuple((asked[number] + SMART_MS, answers[number]) for number in kept)
        both = tuple((asked[number] + SMART_MS, combined(answers[number], pause.questions[number])) for number in kept)
        found.append(Judged(pause, {"rules": rules, "smart": both, "smart alone": alone}))
    return found


def rows_of(found: Sequence[Judged], recogniser: str) -> list[dict[str, Any]]:
    rows = []
    for half in HALVES:
        part = [one for one in found if one.pause.utterance.half == half]
        for policy in policies():
            row = {"words": recogniser, "half": half, "family": policy.family, "policy": policy.name}
            rows.append(row | figures(part, policy))
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(box=SIMPLE, title="Wait from the end of the voice, ms; pauses in which the turn was ended, %")
    names = ("words", "half", "family", "policy", "mean_ms", "p90_ms", "cuts_percent")
    for name in names:
        table.add_column(name, justify="left" if name in names[:4] else "right")
    for row in rows:
        table.add_row(*(str(row[name]) for name in names))
    Console(width=110).print(table)


def counts(found: Sequence[Judged]) -> list[dict[str, Any]]:
    """What each half holds."""
    rows = []
    for half in HALVES:
        part = [one.pause for one in found if one.pause.utterance.half == half]
        ends = sum(pause.ends for pause in part)
        sources = sorted({pause.utterance.source for pause in part})
        rows.append({"half": half, "ends": ends, "pauses": len(part) - ends, "sources": sources})
    return rows


Heard = tuple[list[Pause], list[tuple[float, ...]]]


def heard(recogniser: str, weights: str, kept: Path | None) -> Heard:
    """Every pause and Smart Turn's answers; from the file `kept` where it exists, and kept there for the next time."""
    if kept is not None and kept.exists():
        with kept.open("rb") as file:
            return cast(Heard, pickle.load(file))
    pauses = hear_all(utterances(), recogniser)
    found = pauses, smart_answers(pauses, weights)
    if kept is not None:
        with kept.open("wb") as file:
            pickle.dump(found, file)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--stt", default="pocketsphinx", help="the recogniser, as in the configuration (default: pocketsphinx)"
    )
    parser.add_argument(
        "--smart", default="", metavar="PATH", help="the graph of Smart Turn (default: as `turn = smart` finds it)"
    )
    parser.add_argument(
        "--heard", type=Path, help="a file that keeps what was heard; where it exists, it is judged anew"
    )
    parser.add_argument("--no-write", action="store_true", help="leave the results and the picture as they are")
    options = parser.parse_args()
    name = options.stt.partition(":")[0]
    found = judged(*heard(options.stt, options.smart, options.heard), WORDS_MS[name])
    rows = rows_of(found, name)
    show(rows)
    if not options.no_write:
        RESULTS.write_text(json.dumps({"seed": SEED, "heard": counts(found), "rows": rows}, indent=1) + "\n")
        PICTURE.write_text(picture([row for row in rows if row["half"] == "held_out"]))


if __name__ == "__main__":
    main()
