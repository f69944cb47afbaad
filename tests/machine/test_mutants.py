"""A test of the checker: it must find each fault put into the core in simulated sessions."""

from __future__ import annotations

import pytest

from parley.testing.simulator import SimulationFailed, simulate
from tests.machine.mutants import MUTANTS, Mutant, applied

pytestmark = pytest.mark.slow

SEEDS = 600
"""A fault must be found within this many sessions; most are found within ten."""


def test_there_are_enough_mutants() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 15


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_the_checker_finds(mutant: Mutant) -> None:
    with applied(mutant):
        found = next((seed for seed in range(SEEDS) if not _passes(seed)), None)
    assert found is not None, f"survived {SEEDS} sessions: {mutant.name} ({mutant.what})"
    assert _passes(found), f"seed {found} fails without the fault, too"


def _passes(seed: int) -> bool:
    try:
        simulate(seed)
    except SimulationFailed:
        return False
    return True
