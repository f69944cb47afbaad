"""Fixtures that every test area shares."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

AUDIO = Path(os.environ.get("PARLEY_TEST_AUDIO") or Path(__file__).resolve().parents[2] / "shared" / "audio")


@pytest.fixture
def speech() -> Callable[[str], tuple[NDArray[np.int16], int]]:
    """Load a recording by name: `pcm, rate = speech("hello_world")`; skips where the recordings are absent."""

    def load(name: str) -> tuple[NDArray[np.int16], int]:
        path = AUDIO / f"{name}.wav"
        if not path.exists():
            pytest.skip(f"recorded speech not found at {path}; set PARLEY_TEST_AUDIO to the folder that holds it")
        with wave.open(str(path)) as wav:
            return np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2"), wav.getframerate()

    return load
