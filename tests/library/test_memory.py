"""A session in one's own program dies with its last reference, without the garbage collector."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from parley.library import Pipeline, VoiceSession
from parley.library.frame_reader import Frame
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer
from tests.library.rig import RATE, cut, pipeline, silence, voice
from tests.runtime.rig import settled

PER_SESSION = ("parley.core.", "parley.runtime.", "parley.library.")


def made_since_the_freeze() -> Counter[str]:
    kinds = (type(one) for one in gc.get_objects())
    return Counter(kind.__name__ for kind in kinds if str(kind.__module__).startswith(PER_SESSION))


def steps(pipe: Pipeline) -> None:
    session = VoiceSession(pipe, sample_rate=RATE)
    for frame in cut(np.concatenate([voice(600), silence(1500)]), 480):
        session.step(frame)
    session.flush()
    session.close()


def leaves_in_mid_reply(pipe: Pipeline) -> None:
    session = VoiceSession(pipe, sample_rate=RATE)
    for frame in cut(np.concatenate([voice(600), silence(900)]), 480):
        session.step(frame)
    session.close()


@pytest.mark.parametrize("use", [steps, leaves_in_mid_reply], ids=lambda use: use.__name__)
def test_a_session_leaves_no_objects(use: Callable[[Pipeline], None]) -> None:
    engines = Fakes()
    with pipeline(**engines.named) as pipe:
        VoiceSession(pipe, sample_rate=RATE).say("Load the engines.")
        with engines.without_the_collector():
            use(pipe)
            engines.forget()
            assert not made_since_the_freeze()


async def test_a_live_session_leaves_no_objects() -> None:
    async def source() -> AsyncIterator[Frame]:
        for frame in cut(np.concatenate([voice(300), silence(700)]), 480):
            yield frame

    async def call(pipe: Pipeline) -> None:
        async for _ in VoiceSession(pipe, sample_rate=RATE).live(source(), lambda audio: None):
            pass

    engines = Fakes()
    async with pipeline(**engines.named) as pipe:
        await call(pipe)
        with engines.without_the_collector():
            await call(pipe)
            engines.forget()
            await settled(lambda: not made_since_the_freeze())


class Fakes:
    """Engines that can forget what they were asked."""

    def __init__(self) -> None:
        self.named = {
            "stt": FakeRecognizer(*["hello there"] * 4),
            "llm": FakeModel(["One two three."]),
            "tts": FakeSynthesizer(word_ms=50),
        }

    def forget(self) -> None:
        for engine in self.named.values():
            for kept in ("streams", "requests"):
                getattr(engine, kept, []).clear()

    @contextmanager
    def without_the_collector(self) -> Iterator[None]:
        self.forget()
        gc.collect()
        gc.freeze()  # for good: later collections need not walk the thousands of objects that collecting the tests made
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
