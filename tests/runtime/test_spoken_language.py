"""A reply is spoken in the language that was heard, by a voice that speaks it where the synthesizer has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from parley.core.policy.spoken_language import LONG_TURN_MS
from parley.core.words.notices import ResponseDone
from parley.core.words.settings import Settings, Transcription
from parley.engines.ports import TTS, SpeechChunk, SpeechRequest, SpeechSynthesizer, Transcript
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.runtime.generation.voicing import voice_for
from parley.runtime.pipeline import LoadedPipeline
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer
from tests.runtime.rig import Rig, pipeline


def pipe_with(pipe: LoadedPipeline, tts: SpeechSynthesizer) -> LoadedPipeline:
    return replace(pipe, engines=pipe.engines.replaced({TTS: tts}))


class _Remembering(EspeakSynthesizer):
    """espeak-ng, and what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[SpeechRequest] = []

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        self.requests.append(request)
        async for chunk in super().speak(request):
            yield chunk


@pytest_asyncio.fixture
async def espeak() -> AsyncIterator[_Remembering]:
    engine = _Remembering()
    await engine.open()
    engine.requests.clear()
    yield engine
    await engine.close()


@pytest.mark.parametrize(
    ("configured", "voice", "heard", "asked"),
    [
        ("", "en-us", "de", ("de", "de")),
        ("en", "en-us+f2", "de", ("de+f2", "de")),
        ("en", "alloy", "de", ("alloy", "de")),
        ("en", "de+f2", "de-AT", ("de+f2", "de-AT")),
        ("en", "en-us", "tlh", ("en-us", "tlh")),
        ("en", "alloy", "tlh", ("alloy", "")),
        ("de", "alloy", "", ("alloy", "de")),
        ("", "en-us", "", ("en-us", "")),
    ],
    ids=[
        "another voice",
        "same timbre",
        "any language",
        "keeps its voice",
        "no voice",
        "no voice for any",
        "configured",
        "unknown",
    ],
)
async def test_a_turn_is_answered_by_a_voice_of_the_language_that_was_heard(
    espeak: _Remembering, configured: str, voice: str, heard: str, asked: tuple[str, str]
) -> None:
    stt = FakeRecognizer(Transcript("Wie spät ist es?", language=heard, language_confidence=0.95))
    pipe = pipeline(stt=stt, llm=FakeModel(["Halb zehn."]), voice=voice, language=configured)
    pipe = pipe_with(pipe, espeak)
    rig = Rig(pipe)
    rig.speak()
    done = await rig.client.heard(ResponseDone)
    assert done.response.status == "completed"
    assert [(request.voice, request.language) for request in espeak.requests] == [asked]
    await rig.over()


async def test_a_doubtful_language_of_a_short_turn_does_not_change_the_voice(espeak: _Remembering) -> None:
    stt = FakeRecognizer(Transcript("Hm.", language="cy", language_confidence=0.3))
    rig = Rig(pipe_with(pipeline(stt=stt, llm=FakeModel(["Yes?"]), voice="en-us"), espeak))
    rig.speak()
    await rig.client.heard(ResponseDone)
    assert [(request.voice, request.language) for request in espeak.requests] == [("en-us", "en")]
    await rig.over()


async def test_a_doubtful_language_of_a_long_turn_is_answered_in_it(espeak: _Remembering) -> None:
    stt = FakeRecognizer(Transcript("Beth yw hi o'r gloch?", language="cy", language_confidence=0.3))
    rig = Rig(pipe_with(pipeline(stt=stt, llm=FakeModel(["Hanner awr wedi naw."]), voice="en-us"), espeak))
    rig.speak(ms=LONG_TURN_MS)
    await rig.client.heard(ResponseDone)
    assert [(request.voice, request.language) for request in espeak.requests] == [("cy", "cy")]
    await rig.over()


async def test_a_language_that_the_client_names_counts_where_the_recogniser_tells_none(espeak: _Remembering) -> None:
    pipe = pipe_with(pipeline(stt=FakeRecognizer("Wie spät ist es?"), llm=FakeModel(["Halb zehn."])), espeak)
    settings = Settings(voice="en-us", transcription=Transcription(language="de"))
    rig = Rig(pipe, settings=settings)
    rig.speak()
    await rig.client.heard(ResponseDone)
    assert [(request.voice, request.language) for request in espeak.requests] == [("de", "de")]
    await rig.over()


def test_a_synthesizer_that_tells_no_languages_of_its_voices_keeps_the_voice() -> None:
    assert voice_for(FakeSynthesizer(), "alloy", "de") == ("alloy", "de")
    assert voice_for(FakeSynthesizer(), "alloy", "") == ("alloy", "")
