"""The server of the beta's clients comes from the server's own environment: `openai` 1.99.9 demands an older `websockets`."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def parley() -> Path:
    program = ROOT / ".venv" / "bin" / "parley"
    assert program.exists(), "the server is not installed; run: make test-clients"
    return program
