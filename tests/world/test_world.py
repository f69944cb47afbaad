"""Thousands of simulated sessions: users who hesitate and interrupt, links that stall, engines that fail, stay silent and answer late.

More of them by hand: `python -m parley.testing.simulator --seeds 0:100000 --jobs 2`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from parley.core.words.settings import ServerVad, Transcription
from parley.testing.scenarios import Scenario
from parley.testing.simulate_cli import run_batch
from parley.testing.simulator import World, replayed, simulate

FAST_SEEDS = 300
"""In `make check`: some ten seconds."""

SLOW_BATCHES = 5
SLOW_BATCH = 400
"""In `make test`: two thousand more, about a minute on one core."""


@cache
def _assert_clean(first: int, end: int) -> Counter[str]:
    batch = run_batch(first, end)
    assert not batch.failures, (
        f"{len(batch.failures)} of {end - first} seeds failed; the first:\n{batch.failures[0][2]}"
    )
    return batch.counts


@pytest.mark.slow
def test_no_law_is_broken_and_everything_comes_to_rest() -> None:
    _assert_clean(0, FAST_SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(SLOW_BATCHES))
def test_no_law_is_broken_in_thousands_of_sessions(batch: int) -> None:
    first = FAST_SEEDS + batch * SLOW_BATCH
    _assert_clean(first, first + SLOW_BATCH)


def test_the_seeds_bring_about_what_they_are_there_for() -> None:
    counts = _assert_clean(0, FAST_SEEDS)
    wanted = (
        "guesses",
        "guesses released",
        "replies resumed",
        "pipelines changed",
        "interruptions",
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
def test_every_word_said_stands_in_the_conversation_once(seed: int) -> None:
    """No word lies in two turns or in none: pre-roll, pauses and ends are cut at the right samples."""
    drawn = Scenario.drawn(random.Random(seed)).clean()
    settings = replace(drawn.settings, kind="realtime", turn_detection=ServerVad(), transcription=Transcription("any"))
    owner = replace(drawn.owner, barge_in="immediate", session_ms=3_600_000)  # none ends in the middle of a word
    world = World(seed, replace(drawn, settings=settings, owner=owner, ends="quiet"))
    world.run()
    streams = [world.checker.streams.by_item.get(item) for item in world.checker.conversation.order]
    heard = [stream.resolved or "" for stream in streams if stream is not None]
    assert " ".join(filter(None, heard)) == " ".join(word.text for word in world.sound.words)
