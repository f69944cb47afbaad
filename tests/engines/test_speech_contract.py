"""What every speech-to-speech model promises: audio with the words that go with it, one end, an end at once when it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from parley.engines.ports import (
    SPEECH,
    ChatEnd,
    ChatMessage,
    DialogueEvent,
    DialogueRequest,
    EngineRefused,
    EngineSpec,
    Samples,
    SpeechModel,
    SpokenDelta,
)
from parley.engines.registry import create
from parley.engines.speech.bench import create as create_bench
from parley.engines.speech.bench import tone


@pytest_asyncio.fixture(params=["bench"])
async def model(request: pytest.FixtureRequest) -> AsyncIterator[SpeechModel]:
    engine = create(SPEECH, EngineSpec(request.param))
    assert isinstance(engine, SpeechModel)
    await engine.open()
    yield engine
    await engine.close()


def said(engine: SpeechModel, loudness: float = 0.1) -> Samples:
    made: Samples = (loudness * np.sin(np.arange(engine.info.sample_rate) / 20)).astype(np.float32)
    return made


async def answered(engine: SpeechModel, request: DialogueRequest) -> list[DialogueEvent]:
    return [event async for event in engine.reply(request)]


def spoken(events: list[DialogueEvent]) -> list[SpokenDelta]:
    return [event for event in events if isinstance(event, SpokenDelta)]


async def test_an_answer_is_audio_with_its_words_and_one_end(model: SpeechModel) -> None:
    request = DialogueRequest(said(model), (ChatMessage("system", "Be brief."), ChatMessage("user", "one two three")))
    events = await answered(model, request)
    assert isinstance(events[-1], ChatEnd)
    assert sum(isinstance(event, ChatEnd) for event in events) == 1
    pieces = spoken(events)
    total_ms = sum(1000 * len(piece.audio) / piece.sample_rate for piece in pieces)
    assert total_ms > 0
    for piece in pieces:
        assert piece.audio.dtype == np.float32
        assert np.abs(piece.audio).max() <= 1.0
    words = [word for piece in pieces for word in piece.words]
    assert [word.start_ms for word in words] == sorted(word.start_ms for word in words)
    assert all(0 <= word.start_ms <= word.end_ms <= total_ms + 1 for word in words)
    assert "".join(piece.text for piece in pieces).strip()


async def test_an_answer_without_audio_goes_by_the_messages(model: SpeechModel) -> None:
    request = DialogueRequest(np.zeros(0, np.float32), (ChatMessage("user", "Hello."),))
    assert spoken(await answered(model, request))


async def test_a_voice_that_it_does_not_have_is_refused(model: SpeechModel) -> None:
    assert all(model.resolve_voice(name) for name in ("", *model.info.voices))
    assert model.resolve_voice("no such voice") is None
    with pytest.raises(EngineRefused) as caught:
        await answered(model, DialogueRequest(said(model), voice="no such voice"))
    assert caught.value.code == "unknown_voice"


async def test_an_answer_that_is_closed_leaves_others_alone(model: SpeechModel) -> None:
    request = DialogueRequest(said(model), (ChatMessage("user", "one two three"),))
    whole = asyncio.create_task(answered(model, request))
    async with aclosing(model.reply(request)) as events:  # type: ignore[type-var]
        await anext(events)
    assert isinstance((await whole)[-1], ChatEnd)


async def test_the_bench_model_answers_with_a_tone_for_each_word_as_loud_as_the_user() -> None:
    engine = create_bench("", {"first_audio_ms": 0, "word_ms": 50})
    request = DialogueRequest(said(engine), (ChatMessage("user", "a bench"),))
    quiet, loud = [spoken(await answered(engine, replace(request, audio=said(engine, level)))) for level in (0.1, 0.4)]
    assert [piece.text for piece in quiet] == ["a", " bench"]
    assert [len(piece.audio) for piece in quiet] == [1_200, 1_200]
    rms = float(np.sqrt(np.mean(said(engine, 0.4) ** 2)))
    np.testing.assert_allclose(loud[1].audio, tone("bench", 50, rms), atol=1e-6)
    np.testing.assert_allclose(loud[0].audio, 4 * quiet[0].audio, atol=1e-4)
