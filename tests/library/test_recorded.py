"""A session of the library can be recorded, and `parley replay` runs it again: its own policy and rules answer from the recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from parley.cli.main import run
from parley.library import Answer, CallFunction, LibraryError, PauseSeen, Said, VoiceSession
from parley.runtime.trace import replay
from parley.testing.fakes import FakeModel
from tests.library.rig import RATE, cut, pipeline, silence, voice

TALK = np.concatenate([voice(600), silence(1500), voice(500), silence(1500)])


class AnswersEverySecond:
    """A policy that no other process has."""

    speaks = True

    def __init__(self) -> None:
        self.turns = 0

    def words_became_stable(self, said: Said) -> tuple[Answer, ...]:
        return ()

    def turn_ended(self, said: Said) -> tuple[Answer, ...]:
        self.turns += 1
        return (Answer(),) if self.turns % 2 else ()

    def may_speculate(self, said: Said) -> bool:
        return False

    def voice_over_output(self) -> str:
        return "cut"


def longer(pause: PauseSeen) -> int:
    return 700 if pause.turn_ms < 900 else 300


def recorded(folder: Path, **options: Any) -> Path:
    with pipeline(llm=options.pop("llm", FakeModel(["One two."], ["Three four."]))) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, trace_dir=folder, **options)
        for frame in cut(TALK, 1920):
            session.step(frame)
        session.flush()
        session.close()
    (trace,) = folder.glob("*.trace")
    return trace


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"policy": AnswersEverySecond(), "endpointing": longer, "pre_roll": 250, "barge_in": lambda text, ms: ms > 200},
        {"policy": lambda transcript: "hello" in transcript},
    ],
    ids=["built_in", "all_own", "a_function"],
)
def test_a_recorded_session_replays_to_the_same_effects(tmp_path: Path, options: dict[str, Any]) -> None:
    trace = recorded(tmp_path, **options)
    result = replay(trace)
    assert result.mismatch is None
    assert result.effects > 50
    assert run(["replay", str(trace)]) == 0


def test_a_session_with_tools_replays_without_them(tmp_path: Path) -> None:
    def now() -> str:
        return "noon"

    def model(messages: list[dict[str, Any]]) -> str | CallFunction:
        return messages[-1]["content"] if messages[-1]["role"] == "tool" else CallFunction("now")

    assert replay(recorded(tmp_path, llm=model, tools=[now])).mismatch is None


def test_a_replay_whose_judgements_were_altered_says_where(tmp_path: Path) -> None:
    trace = recorded(tmp_path, policy=AnswersEverySecond())
    lines = trace.read_bytes().splitlines()
    asked = next(number for number, line in enumerate(lines) if b'"answers":[[{' in line)
    step = msgspec.json.decode(lines[asked])
    step["answers"] = [[]]
    lines[asked] = msgspec.json.encode(step)
    trace.write_bytes(b"\n".join(lines) + b"\n")
    assert f"Line {asked + 1}" in (replay(trace).mismatch or "")
    assert run(["replay", str(trace)]) == 1


def test_a_trace_goes_into_a_folder() -> None:
    with pytest.raises(LibraryError, match="trace_dir=5 is not possible"):
        VoiceSession(pipeline(), sample_rate=RATE, trace_dir=5)  # type: ignore[arg-type]
