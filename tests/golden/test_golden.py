"""Readable timelines of every flow of the protocol: what a client sees, in order, and the session's effects for its engines.

`->` client events, `<-` server events, `..` events of an engine or the clock, `**` effects for the shell. After an intended change:
`pytest tests/golden --update`, then read the difference.
"""

from __future__ import annotations

import difflib
import textwrap
from pathlib import Path

import pytest

from tests.golden.flows import FLOWS

TIMELINES = Path(__file__).parent / "timelines"


def written(name: str) -> str:
    """The flow's file: its description, then its timeline."""
    script = FLOWS[name]
    return textwrap.fill(script.__doc__ or name, 120) + "\n\n" + script().timeline()


@pytest.mark.parametrize("name", FLOWS)
def test_the_flow_matches_its_golden_timeline(name: str, request: pytest.FixtureRequest) -> None:
    page = TIMELINES / f"{name}.txt"
    now = written(name)
    if request.config.getoption("--update", default=False):
        TIMELINES.mkdir(exist_ok=True)
        page.write_text(now, encoding="utf-8")
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    difference = "\n".join(difflib.unified_diff(before.splitlines(), now.splitlines(), "stored", "now", lineterm=""))
    assert not difference, f"{name} differs from its timeline (pytest tests/golden --update rewrites it):\n{difference}"


def test_every_golden_timeline_belongs_to_a_flow() -> None:
    assert {page.stem for page in TIMELINES.glob("*.txt")} == set(FLOWS)
