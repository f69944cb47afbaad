"""A pipeline of one's own whose answers come from a model that hears and speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from parley import LibraryError, ReplyAudio, ReplyEnded, ReplyText, VoiceSession
from parley.engines.ports import (
    LLM,
    SPEECH,
    TTS,
    ChatEnd,
    DialogueEvent,
    DialogueRequest,
    EngineInfo,
    EngineSpec,
    SpokenDelta,
)
from parley.library import Pipeline
from tests.library.rig import RATE, cut, of, pipeline, silence, voice

BENCH = EngineSpec("bench", "", {"first_audio_ms": 1, "word_ms": 100})


class Echo:
    """Says the turn back, as the object of a program that brings its own model."""

    def __init__(self) -> None:
        self.requests: list[DialogueRequest] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("speech", "echo", "Says the turn back.", sample_rate=RATE)

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return "echo" if not voice else None

    async def reply(self, request: DialogueRequest) -> AsyncIterator[DialogueEvent]:
        self.requests.append(request)
        yield SpokenDelta(request.audio, RATE, request.transcript)
        yield ChatEnd("stop")


def test_a_named_model_answers_and_neither_language_model_nor_voice_is_loaded() -> None:
    with Pipeline(speech=BENCH, stt="bench", turn=None) as pipe:
        assert pipe.speaks
        assert pipe.answers
        assert set(pipe.engines) == {"vad", "stt", "speech"}
        session = VoiceSession(pipe, sample_rate=RATE)
        said = [event.text for event in session.say("hello there") if isinstance(event, ReplyText)]
    assert said == ["hello", " there"]
    assert not {LLM, TTS} & pipe.config.engines.keys()


def test_an_object_hears_the_turn_and_its_answer_is_heard() -> None:
    model = Echo()
    turn = voice(600)
    with pipeline(speech=model, llm=None, tts=None) as pipe:
        assert pipe.config.engines.keys() >= {SPEECH}
        session = VoiceSession(pipe, sample_rate=RATE)
        events = list(session.run(cut(np.concatenate([turn, silence(1_200)]), 480)))
    (ended,) = of(ReplyEnded, events)
    assert ended.turn.answered == ended.turn.heard
    audio = np.concatenate([event.samples for event in of(ReplyAudio, events)])
    (request,) = model.requests
    assert len(audio) == len(request.audio)
    assert len(turn) < len(audio) < 2 * len(turn)
    np.testing.assert_allclose(audio / 32_768, request.audio, atol=2e-4)


def test_what_is_named_beside_it_stays() -> None:
    pipe = Pipeline(speech=BENCH, llm="responder", tts="espeak")
    assert pipe.config.engines.keys() >= {LLM, TTS, SPEECH}


def test_summaries_need_a_language_model() -> None:
    with pytest.raises(LibraryError, match="compaction needs a language model"):
        Pipeline(speech=BENCH, compaction=True)
    assert Pipeline(speech=BENCH, compaction=True, llm="responder").config.compaction
