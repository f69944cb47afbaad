"""A tiny CSM in a folder, the model loaded from it, and the same network in transformers' own hands."""

from __future__ import annotations

import contextlib
import importlib
import io
from pathlib import Path
from typing import Any

import pytest

from parley.engines.tts.csm.model import CsmModel
from tests.engines.csm.tiny_csm import csm_folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """torch's threads wait for each other in loops: on a machine that is busy, two take ten times as long as one."""
    with contextlib.suppress(ImportError):
        importlib.import_module("torch").set_num_threads(1)


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
