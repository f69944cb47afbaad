"""The contract of synthesizers on CSM: the real loading and speaking code on random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from parley.engines.ports import TTS, EngineSpec
from parley.engines.registry import create
from parley.testing.contracts import SynthesizerContract

pytest.importorskip("torch", reason="torch (the extra `csm`) is not installed")
pytest.importorskip("transformers", reason="transformers (the extra `csm`) is not installed")

pytestmark = pytest.mark.slow


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
