"""When speech begins and ends: a click begins nothing, a short gap ends nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.interpret.speech_gate import FRAMES_TO_BEGIN, QUIET, SPEECH, SpeechGate

FRAME_MS = 32.0


def test_a_click_begins_nothing_and_a_short_gap_ends_nothing() -> None:
    gate = SpeechGate(FRAME_MS, pause_ms=320)
    clicks = ([SPEECH] * (FRAMES_TO_BEGIN - 1) + [0.0]) * 20
    assert not any(gate.push(each) for each in clicks)
    assert [gate.push(SPEECH) for _ in range(FRAMES_TO_BEGIN)][-1] == "began"
    gaps = ([0.0] * 9 + [QUIET]) * 5
    assert not any(gate.push(each) for each in gaps)
    assert [gate.push(0.0) for _ in range(10)] == [None] * 9 + ["ended"]


def test_a_pause_shorter_than_a_frame_is_one_frame() -> None:
    gate = SpeechGate(FRAME_MS, pause_ms=1)
    assert gate.pause_ms == FRAME_MS
    assert gate.begin_ms == FRAMES_TO_BEGIN * FRAME_MS
    for _ in range(FRAMES_TO_BEGIN):
        gate.push(1.0)
    assert gate.push(0.0) == "ended"


@given(st.lists(st.floats(0, 1), max_size=200), st.integers(1, 600))
def test_beginnings_and_ends_take_turns(scores: list[float], pause_ms: int) -> None:
    gate = SpeechGate(FRAME_MS, pause_ms)
    edges = []
    for each in scores:
        before = gate.speaking
        edge = gate.push(each)
        assert (edge is not None) == (gate.speaking != before)
        edges += [] if edge is None else [edge]
    assert edges[::2] == ["began"] * len(edges[::2])
    assert edges[1::2] == ["ended"] * len(edges[1::2])
