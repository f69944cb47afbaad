"""The contract of synthesizers on CSM: the real loading and speaking code on random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from parley.engines.ports import TTS, EngineSpec
from parley.engines.registry import create
from parley.engines.tts.csm import spoken_text
from parley.testing.contracts import SynthesizerContract
from tests.engines.csm.talking import quickened

pytest.importorskip("torch", reason="torch (the extra `csm`) is not installed")
pytest.importorskip("transformers", reason="transformers (the extra `csm`) is not installed")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Random weights babble for as long as a text may take: here it is as long as a fast speaker needs."""
    quickened(monkeypatch, tmp_path)
    monkeypatch.setattr(spoken_text, "SLOWEST_WORD_S", 0.2)
    monkeypatch.setattr(spoken_text, "SLOWEST_CHAR_S", 0.04)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.engines.csm.tiny_csm import csm_folder

    return csm_folder(tmp_path_factory.mktemp("csm") / "tiny")


class TestCsm(SynthesizerContract):
    @pytest.fixture
    def make_engine(self, weights: Path) -> Callable[[], Any]:
        # Random weights end their speech by chance: the bias leaves the end to the length of the text.
        options = {"device": "cpu", "sessions": 16, "eos_bias": -20}
        return partial(create, TTS, EngineSpec("csm", str(weights), options))
