"""Attempts at a response: which are running, what is held, and when one times out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.core.regions.attempt import Attempt, Attempts, Basis, Held, Plan
from parley.core.regions.context import Shown
from parley.core.regions.response import Response
from parley.core.words.errors import Fault
from parley.core.words.events import (
    ClauseStarted,
    GenerationEvent,
    GenerationFailed,
    GenerationFinished,
    SpeechGenerated,
    TextGenerated,
)
from parley.core.words.ids import AttemptId, ResponseId
from parley.core.words.limits import GENERATION_SILENCE_NS, MAX_HELD_BYTES
from parley.core.words.settings import Settings
from parley.core.words.work import Utterance

A, B = AttemptId(1), AttemptId(2)
BASIS = Basis("hello", 0, 1)
ENDS: list[GenerationEvent] = [GenerationFinished(A), GenerationFailed(A, Fault("broken", "It is broken."))]


def attempt(id: AttemptId = A, now: int = 0) -> Attempt:
    return Attempt(id, Utterance("hello"), Shown(()), 2, 100, now, Plan(), {})


def running(*made: Attempt) -> Attempts:
    attempts = Attempts()
    for one in made:
        attempts.add(one)
    return attempts


def test_progress_restarts_the_timeout_of_an_attempt() -> None:
    attempts = running(first := attempt(A, 0), attempt(B, 10))
    assert attempts.deadline_ns() == GENERATION_SILENCE_NS
    assert attempts.progressed(A, 20) is first
    assert attempts.deadline_ns() == 10 + GENERATION_SILENCE_NS
    assert not first.silent(19 + GENERATION_SILENCE_NS)
    assert first.silent(20 + GENERATION_SILENCE_NS)


@pytest.mark.parametrize("end", ENDS, ids=["finished", "failed"])
def test_an_ended_attempt_has_no_timeout_and_is_not_stopped(end: GenerationEvent) -> None:
    attempts = running(made := attempt())
    assert attempts.running() == [A]
    assert attempts.generated(TextGenerated(A, "hello"), 1) is made
    assert attempts.generated(end, 2) is made
    assert made.ended
    assert attempts.generated(TextGenerated(A, "more"), 3) is None, "nothing follows the end"
    assert (attempts.running(), attempts.deadline_ns()) == ([], None)
    assert not made.silent(10 * GENERATION_SILENCE_NS)
    assert A in attempts
    assert not attempts.forget(A)


def test_a_running_attempt_is_stopped_once() -> None:
    attempts = running(made := attempt())
    assert (list(attempts), attempts.get(A)) == ([made], made)
    assert attempts.forget(A)
    assert not attempts.forget(A)
    assert (A in attempts, attempts.get(A), attempts.progressed(A, 1), attempts.deadline_ns()) == (
        False,
        None,
        None,
        None,
    )


def test_the_audio_of_the_turn_counts_as_input_of_a_speculative_reply() -> None:
    made = attempt()
    made.feed(response := Response.begin(ResponseId("r"), None, Settings()), turn_ms=900)
    assert (made.response, made.input_audio_ms) == (response, 1000)


def test_held_output_is_released_once() -> None:
    attempts = running(made := attempt())
    attempts.hold(made, BASIS)
    held = attempts.take_held()
    assert held is not None
    assert (held.attempt, held.basis) == (made, BASIS)
    assert attempts.take_held() is None


@given(st.lists(st.sampled_from([0, 2, 4800, 48_000])))
def test_held_output_keeps_its_order_and_counts_audio_and_events(sizes: list[int]) -> None:
    held = Held(attempt(), BASIS)
    output: list[GenerationEvent] = []
    for size in sizes:
        output += [ClauseStarted(A, "hello"), SpeechGenerated(A, bytes(size))]
    for event in output:
        held.hold(event)
    assert held.output == output
    assert held.bytes >= sum(sizes)
    assert held.too_large is (held.bytes > MAX_HELD_BYTES)
    assert not held.failed


def test_held_output_without_audio_is_limited_too() -> None:
    held = Held(attempt(), BASIS)
    for _ in range(MAX_HELD_BYTES // 256):
        held.hold(TextGenerated(A, "a"))
    assert not held.too_large
    held.hold(TextGenerated(A, "a"))
    assert held.too_large


def test_a_failed_held_attempt_is_recorded_as_failed() -> None:
    held = Held(attempt(), BASIS)
    held.hold(ENDS[1])
    held.hold(TextGenerated(A, "late"))
    assert held.failed


@pytest.mark.parametrize("other", [Basis("hallo", 0, 1), Basis("hello", 1, 1), Basis("hello", 0, 2)])
def test_a_basis_holds_only_for_the_same_words_settings_and_conversation(other: Basis) -> None:
    assert Basis("hello", 0, 1) == BASIS
    assert other != BASIS


def test_closing_the_session_leaves_no_running_or_held_attempt() -> None:
    attempts = running(made := attempt())
    attempts.hold(made, BASIS)
    attempts.clear()
    assert (list(attempts), attempts.held, attempts.running()) == ([], None, [])
