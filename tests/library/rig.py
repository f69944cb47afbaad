"""Pipelines of fakes for the library, and sounds for them: loud is voice, quiet is none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports import Partial, RecognitionSpec, Transcript
from parley.library import Pipeline, VoiceEvent
from parley.testing.fakes import (
    FakeModel,
    FakeRecognizer,
    FakeRecognizerStream,
    FakeSynthesizer,
    FakeTurnJudge,
    FakeVoiceActivity,
)

RATE = 24_000
E = TypeVar("E")


def pipeline(**engines: Any) -> Pipeline:
    """A pipeline of fakes; what is named replaces one."""
    chosen: dict[str, Any] = {
        "vad": FakeVoiceActivity(),
        "turn": None,
        "stt": FakeRecognizer("hello there", "and then", "what else"),
        "llm": FakeModel(["One two three four five."]),
        "tts": FakeSynthesizer(word_ms=200),
    }
    return Pipeline(**(chosen | engines))


def judged(finished: float) -> FakeTurnJudge:
    return FakeTurnJudge(finished)


def voice(ms: int, rate: int = RATE) -> NDArray[np.int16]:
    """Something loud."""
    times = np.arange(rate * ms // 1000) / rate
    return (8000 * np.sin(2 * np.pi * 220 * times)).astype(np.int16)


def silence(ms: int, rate: int = RATE) -> NDArray[np.int16]:
    return np.zeros(rate * ms // 1000, np.int16)


def cut(audio: NDArray[np.int16], size: int) -> Iterator[NDArray[np.int16]]:
    for start in range(0, len(audio), size):
        yield audio[start : start + size]


def of(kind: type[E], events: Iterable[VoiceEvent]) -> list[E]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


class Fingerprints(FakeRecognizer):
    """Its transcript names exactly the samples that a turn was given."""

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> FakeRecognizerStream:
        return _Fingerprint(self, spec, on_partial)


class _Fingerprint(FakeRecognizerStream):
    async def _answer(self) -> Transcript:
        return Transcript(f"{len(self.audio)} samples, {hashlib.sha256(self.audio.tobytes()).hexdigest()[:12]}")
