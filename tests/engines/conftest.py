"""What every test of an engine begins with."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_endpoint_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no endpoint of the machine that runs the tests."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for stage in ("LLM", "STT", "TTS", "MODERATION"):
        monkeypatch.delenv(f"PARLEY_{stage}_API_KEY", raising=False)
        monkeypatch.delenv(f"PARLEY_{stage}_BASE_URL", raising=False)
