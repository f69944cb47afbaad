"""The contract suite on llama.cpp in this process, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from parley.engines.ports import LLM, EngineSpec
from parley.engines.registry import create
from parley.testing.contracts import LanguageModelContract
from tests.engines.tiny_gguf import tiny_gguf

pytest.importorskip("xllamacpp", reason="the extra llama is not installed: make test-weights")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("llama") / "tiny.gguf", context=1280)


class TestLlama(LanguageModelContract):
    @pytest.fixture
    def make_engine(self, weights: Path) -> Callable[[], Any]:
        return partial(create, LLM, EngineSpec("llama", str(weights), {"threads": 1, "temperature": 0}))
