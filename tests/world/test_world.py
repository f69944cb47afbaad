"""Thousands of simulated sessions: users who hesitate and interrupt, links that stall, engines that fail, do not answer and answer late.

To run more of them: `python -m parley.testing.simulator --seeds 0:100000 --jobs 2`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.notices import InputSpeechStopped
from parley.core.words.pipeline_events import PipelineFound
from parley.core.words.settings import Capabilities, OwnerSettings, SemanticVad, ServerVad, Settings, Transcription
from parley.testing.rules.base import Step
from parley.testing.scenarios import Scenario
from parley.testing.simulate_cli import run_batch
from parley.testing.simulator import Simulation, replayed, simulate
from parley.testing.timeline import render

FAST_SEEDS = 300
"""In `make check`: some ten seconds."""

SLOW_BATCHES = 3
SLOW_BATCH = 250
"""In `make test`: as many more in each batch, some fifteen seconds on one core."""


@cache
def _assert_clean(first: int, end: int) -> Counter[str]:
    batch = run_batch(first, end)
    assert not batch.failures, (
        f"{len(batch.failures)} of {end - first} seeds failed; the first:\n{batch.failures[0][2]}"
    )
    return batch.counts


@pytest.mark.slow
def test_no_law_is_broken_and_every_session_becomes_idle() -> None:
    _assert_clean(0, FAST_SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(SLOW_BATCHES))
def test_no_law_is_broken_in_thousands_of_sessions(batch: int) -> None:
    first = FAST_SEEDS + batch * SLOW_BATCH
    _assert_clean(first, first + SLOW_BATCH)


def test_the_seeds_cover_the_cases_they_are_meant_for() -> None:
    counts = _assert_clean(0, FAST_SEEDS)
    wanted = (
        "speculative attempts",
        "speculative attempts released",
        "replies resumed",
        "pipelines changed",
        "interruptions",
        "fillers heard",
        "late events",
        "silent models",
        "silent recognisers",
        "failed transcripts",
        "stalls",
        "done completed",
        "done cancelled",
        "done failed",
        "done incomplete",
        "error conversation_already_has_active_response",
        "error response_cancel_not_active",
        "closed by the server",
    )
    missing = [name for name in wanted if not counts[name]]
    assert not missing, f"no seed brings about {missing}"


@pytest.mark.parametrize("seed", [1, 7, 23, 42, 1234])
def test_the_same_seed_gives_the_same_effects_byte_for_byte(seed: int) -> None:
    first, second = simulate(seed), simulate(seed)
    assert first.digest == second.digest


@pytest.mark.parametrize("seed", range(40))
def test_a_recorded_session_replays_to_the_same_effects(seed: int) -> None:
    outcome = simulate(seed)
    assert replayed(outcome) == outcome.steps


@pytest.mark.parametrize("seed", range(60))
def test_every_spoken_word_is_in_the_conversation_once(seed: int) -> None:
    """No word is in two turns or in none: pre-roll, pauses and ends are cut at the right samples."""
    drawn = Scenario.drawn(random.Random(seed)).clean()
    settings = replace(drawn.settings, kind="realtime", turn_detection=ServerVad(), transcription=Transcription("any"))
    owner = replace(drawn.owner, barge_in="immediate", session_ms=3_600_000)  # none ends in the middle of a word
    simulation = Simulation(seed, replace(drawn, settings=settings, owner=owner, ends="quiet"))
    simulation.run()
    streams = [simulation.checker.streams.by_item.get(item) for item in simulation.checker.conversation.order]
    heard = [stream.resolved or "" for stream in streams if stream is not None]
    assert " ".join(filter(None, heard)) == " ".join(word.text for word in simulation.sound.words)


def waits_ms(seed: int, hears_endings: float) -> list[float]:
    """The silence that ended each turn of a session without a turn judge, where the recogniser does or does not hear endings."""
    drawn = Scenario.drawn(random.Random(seed)).clean()
    engines = replace(drawn.speech_engines, judge_silent=1.0, partials=1.0, hears_endings=hears_endings)
    settings = replace(drawn.settings, kind="realtime", turn_detection=SemanticVad("low"))
    simulation = Simulation(seed, replace(drawn, settings=settings, speech_engines=engines, ends="quiet"))
    outcome = simulation.run()
    ends = [n.audio_end_ms for step in outcome.steps for n in step.notices if isinstance(n, InputSpeechStopped)]
    voiced = [last // SAMPLES_PER_MS for _, last in simulation.sound.voiced]
    return [end - max((last for last in voiced if last <= end), default=end) for end in ends]


def test_a_recogniser_that_hears_endings_halves_the_wait_without_a_judge() -> None:
    seeds = range(12)
    without, with_endings = [[wait for seed in seeds for wait in waits_ms(seed, hears)] for hears in (0.0, 1.0)]
    assert sum(with_endings) / len(with_endings) < 0.5 * sum(without) / len(without)


def test_the_timeline_shows_a_pipeline_that_was_found() -> None:
    found = PipelineFound("other", Settings(voice="marin"), OwnerSettings(), Capabilities())
    assert "PipelineFound realtime audio" in render([Step(found, 0, ())], 0)
