"""Fixtures and helpers that every test area shares."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from tests.speech import ClipMissing, clip, load

# How long an example takes says something about the machine only.
settings.register_profile("without-a-clock", deadline=None)
settings.load_profile("without-a-clock")

# A shell that runs the tests in the background has them, and all that they start, ignore Ctrl-C, which some of them send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The models and voices of whoever runs the tests are none of theirs, unless they say so.
os.environ["PARLEY_MODELS_DIR"] = os.environ.get("PARLEY_TEST_MODELS_DIR") or str(
    Path(tempfile.gettempdir(), "parley-tests-no-models")
)
os.environ["PARLEY_VOICES_DIR"] = str(Path(tempfile.gettempdir(), "parley-tests-no-voices"))
os.environ["PARLEY_OWN_VOICES_DIR"] = str(Path(tempfile.gettempdir(), "parley-tests-no-own-voices"))


SLOW_WEIGHT = 15
"""A test marked `slow` takes as much time as so many others, on average."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several processes take the longest files first: a long one that comes last would keep one process busy and the others waiting."""
    if not hasattr(config, "workerinput"):
        return
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += SLOW_WEIGHT if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: -weights[item.path])


def pytest_collection_finish() -> None:
    """Keep what collecting made, modules and thousands of test items, out of every later garbage collection: it all stays to the end.

    Tests that look for leaks collect garbage again and again; walking those objects took most of the time of such a test.
    """
    gc.collect()
    gc.freeze()


def clip_path(name: str) -> Path:
    """The WAV file of a clip; skips the test where it is missing (see `tests/speech.py`)."""
    try:
        return clip(name)
    except ClipMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def speech() -> Callable[[str], tuple[NDArray[np.int16], int]]:
    """Load a clip by name: `pcm, rate = speech("hello_world")`."""
    return lambda name: load(clip_path(name))
