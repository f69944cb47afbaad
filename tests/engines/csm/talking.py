"""A tiny CSM for tests of the engine: its options, what is said with it, and what its model is asked to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import TTS, EngineSpec, Samples, SpeechRequest, SpokenTurn
from parley.engines.registry import create
from parley.engines.tts.csm import spoken_text
from parley.engines.tts.csm.engine import CsmSynthesizer
from parley.engines.tts.csm.model import CsmModel, Frame

FRAME = 1920
OPTIONS: dict[str, object] = {"device": "cpu", "sessions": 4, "batch": 4, "eos_bias": -20, "seed": 1}


def csm(folder: object, **options: object) -> CsmSynthesizer:
    engine = create(TTS, EngineSpec("csm", str(folder), {**OPTIONS, **options}))
    assert isinstance(engine, CsmSynthesizer)
    return engine


@asynccontextmanager
async def opened(folder: object, **options: object) -> AsyncIterator[CsmSynthesizer]:
    engine = csm(folder, **options)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


async def say(engine: CsmSynthesizer, text: str = "Yes.", **request: Any) -> Samples:
    chunks = [chunk.audio async for chunk in engine.speak(SpeechRequest(text, **request))]
    return np.concatenate([np.zeros(0, np.float32), *chunks])


def sound(seconds: float, seed: int = 0, rate: int = 24_000) -> Samples:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (0.1 * noise).astype(np.float32)


def user(name: str, text: str = "What is it?", seconds: float = 0.8, seed: int = 0) -> SpokenTurn:
    return SpokenTurn(name, "user", text, sound(seconds, seed), 24_000)


def ours(name: str, text: str, audio: Samples) -> SpokenTurn:
    return SpokenTurn(name, "assistant", text, audio, 24_000)


def quickened(monkeypatch: pytest.MonkeyPatch, data: object) -> None:
    """Speech without a second of babble behind it, and a folder for what is kept."""
    monkeypatch.setattr(spoken_text, "SPARE_S", 0.4)
    monkeypatch.setenv("XDG_DATA_HOME", str(data))


class Calls:
    """What the model was asked to do, while it does it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.encoded: list[int] = []
        self.appended: list[list[Any]] = []
        self.stepped: list[int] = []
        self.before_step: Callable[[Sequence[Any]], None] = lambda sequences: None
        encode, append, step = CsmModel.encode, CsmModel.append, CsmModel.step

        def encoding(model: CsmModel, audio: Samples) -> Any:
            self.encoded.append(len(audio))
            return encode(model, audio)

        def appending(model: CsmModel, sequence: Any, pieces: Any) -> None:
            self.appended.append(list(pieces))
            append(model, sequence, pieces)

        def stepping(model: CsmModel, sequences: Sequence[Any]) -> list[Frame]:
            self.before_step(sequences)
            self.stepped.append(len(sequences))
            return step(model, sequences)

        monkeypatch.setattr(CsmModel, "encode", encoding)
        monkeypatch.setattr(CsmModel, "append", appending)
        monkeypatch.setattr(CsmModel, "step", stepping)
