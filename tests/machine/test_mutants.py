"""A test of the checker: it must find each fault put into the core in simulated sessions."""

from __future__ import annotations

import pytest

from parley.testing.simulator import SimulationFailed, simulate
from tests.machine.mutants import MUTANTS, Mutant, applied

pytestmark = pytest.mark.slow

SEEDS = 600
"""A fault must be found within this many sessions; most are found within ten."""

TRIED_FIRST = {
    "a summary outlives its messages": 44,
    "unspoken words kept": 26,
    "uncut audio retrieved": 35,
    "an outdated attempt is released": 61,
    "a held attempt outlives its pause": 61,
    "the loudspeaker is not stopped": 35,
    "generations are not stopped": 18,
    "waits forever for a transcript": 20,
    "no queue of one": 73,
    "the question is lost": 55,
    "an output without its call": 224,
    "a client's truncation is ignored": 39,
    "side replies have no end": 33,
    "the voice knows what nobody heard": 48,
    "the voice hears another clause": 70,
    "a summary takes the model": 3,
    "heard too much": 8,
    "heard too little": 2,
    "audio committed twice": 3,
    "two responses at once": 10,
    "replies before the transcript": 6,
    "words outlive their turn": 229,
    "streams left open": 3,
    "answered twice": 6,
}
"""By the name of the fault, the seed that found it last: it is tried before all others, which saves the sessions that find nothing.

A seed that no longer finds the fault costs time only: the search goes on through all of them.
"""


def test_there_are_enough_mutants() -> None:
    names = {mutant.name for mutant in MUTANTS}
    assert len(names) == len(MUTANTS) >= 15
    assert set(TRIED_FIRST) <= names
    assert all(0 <= seed < SEEDS for seed in TRIED_FIRST.values())


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_the_checker_finds(mutant: Mutant) -> None:
    seeds = (TRIED_FIRST.get(mutant.name, 0), *range(SEEDS))
    with applied(mutant):
        found = next((seed for seed in seeds if not _passes(seed)), None)
    assert found is not None, f"survived {SEEDS} sessions: {mutant.name} ({mutant.what})"
    assert _passes(found), f"seed {found} fails without the fault, too"


def _passes(seed: int) -> bool:
    try:
        simulate(seed)
    except SimulationFailed:
        return False
    return True
