"""What Parley's contract suite says of both engines: `pip install pytest`, then `pytest examples/blocking_engines`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from parley_beeps import BeepRecognizer, BeepSynthesizer, create_recognizer, create_synthesizer

from parley.testing.contracts import RecognizerContract, SynthesizerContract


class TestBeepRecognizer(RecognizerContract):
    @pytest.fixture
    def make_engine(self) -> Callable[[], BeepRecognizer]:
        return lambda: create_recognizer("", {})


class TestBeepSynthesizer(SynthesizerContract):
    @pytest.fixture
    def make_engine(self) -> Callable[[], BeepSynthesizer]:
        return lambda: create_synthesizer("", {"hertz": 330})
