"""A tiny CSM in a folder, the model loaded from it, and the same network in transformers' own hands."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from parley.engines.tts.csm.model import CsmModel
from tests.engines.csm.tiny_csm import csm_folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with contextlib.redirect_stderr(io.StringIO()):
        return csm_folder(tmp_path_factory.mktemp("csm"))


@pytest.fixture(scope="session")
def reference(folder: Path) -> Any:
    """`CsmForConditionalGeneration` of transformers."""
    transformers = pytest.importorskip("transformers")
    return transformers.CsmForConditionalGeneration.from_pretrained(folder).eval()


@pytest.fixture(scope="session")
def model(folder: Path) -> CsmModel:
    """Each test closes what it opens."""
    return CsmModel(folder, device="cpu", slots=4)
