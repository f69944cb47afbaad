"""The fixed-latency engines take as long as they say, no longer and no shorter: a benchmark rests on it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.engines import registry
from parley.engines.common_info import common_info
from parley.engines.llm import bench as llm_bench
from parley.engines.mt import bench as mt_bench
from parley.engines.ports import (
    ChatEnd,
    ChatMessage,
    ChatRequest,
    ConversionSpec,
    DialogueRequest,
    LanguageModel,
    RecognitionSpec,
    SpeechRecognizer,
    SpeechRequest,
    SpeechSynthesizer,
    SpokenDelta,
    TextDelta,
    TranslationRequest,
)
from parley.engines.speech import bench as speech_bench
from parley.engines.stt import bench as stt_bench
from parley.engines.tts import bench as tts_bench
from parley.engines.vc import bench as vc_bench
from parley.testing.fakes import FakeRecognizer

TOLERANCE_S = 0.06
"""What a busy test machine may be late by; never early."""


def assert_took(measured_s: float, expected_s: float) -> None:
    assert expected_s - 0.005 <= measured_s <= expected_s + TOLERANCE_S


async def test_the_model_writes_one_clause_200_ms_after_it_is_asked() -> None:
    model = llm_bench.create("", {})
    assert isinstance(model, LanguageModel)
    loop = asyncio.get_running_loop()
    began = loop.time()
    events = [
        (loop.time() - began, event) async for event in model.reply(ChatRequest((ChatMessage("user", "one two"),)))
    ]
    assert_took(events[0][0], 0.2)
    text = "".join(event.text for _, event in events if isinstance(event, TextDelta))
    assert text == llm_bench.SENTENCE
    assert text.count(".") == 1
    assert "," not in text
    end = events[-1][1]
    assert isinstance(end, ChatEnd)
    assert end.usage is not None
    assert (end.reason, end.usage.input_tokens, end.usage.output_tokens) == ("stop", 2, 7)


async def test_the_model_honours_max_tokens() -> None:
    model = llm_bench.create("", {"first_token_ms": 0})
    events = [event async for event in model.reply(ChatRequest((), max_tokens=3))]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "This is the"
    assert isinstance(events[-1], ChatEnd)
    assert events[-1].reason == "length"


async def test_the_voice_gives_ten_audible_chunks_at_twice_real_time() -> None:
    voice = tts_bench.create("", {})
    assert isinstance(voice, SpeechSynthesizer)
    loop = asyncio.get_running_loop()
    began = loop.time()
    chunks = [(loop.time() - began, chunk) async for chunk in voice.speak(SpeechRequest("Anything."))]
    assert len(chunks) == 10
    for i, (moment, chunk) in enumerate(chunks):
        assert_took(moment, 0.1 + i * 0.05)
        assert len(chunk.audio) * 1000 / chunk.sample_rate == 100
        assert float(np.sqrt(np.mean(chunk.audio**2))) > 0.03
    assert voice.resolve_voice("marin") == "tone"


async def test_the_transcript_comes_100_ms_after_the_turn_and_never_before() -> None:
    recognizer = stt_bench.create("", {})
    assert isinstance(recognizer, SpeechRecognizer)
    partials: list[object] = []
    stream = recognizer.open_stream(RecognitionSpec(), partials.append)
    stream.feed(np.zeros(1600, dtype=np.float32))
    loop = asyncio.get_running_loop()
    for ask in (stream.flush, stream.finish):
        began = loop.time()
        assert (await ask()).text == "bench"
        assert_took(loop.time() - began, 0.1)
    assert partials == []


@pytest.mark.parametrize("create", [llm_bench.create, tts_bench.create, stt_bench.create])
def test_a_wrong_option_is_named(create: object) -> None:
    assert callable(create)
    with pytest.raises(ValueError, match="knows no option 'latency'"):
        create("", {"latency": 3})


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=80))
async def test_the_translation_can_be_translated_back(text: str) -> None:
    engine = mt_bench.create("", {"first_word_ms": 0})

    async def translated(said: str, source: str, target: str) -> str:
        return "".join([piece async for piece in engine.translate(TranslationRequest(said, source, target))])

    there = await translated(text, "en", "x-bench")
    assert await translated(there, "x-bench", "en") == (text if there else "")


async def test_the_converter_is_the_filter_that_its_head_describes() -> None:
    engine = vc_bench.create("", {"latency_ms": 7})
    audio = (0.2 * np.sin(np.arange(4_800) / 20)).astype(np.float32)
    stream = engine.open_stream(ConversionSpec())
    made = [await stream.convert(audio[at : at + 333]) for at in range(0, len(audio), 333)]
    ahead = np.concatenate([audio[168:], np.zeros(168, np.float32)])
    np.testing.assert_allclose(np.concatenate([*made, await stream.finish()]), (audio + ahead) / 2, atol=1e-6)


async def test_the_speech_model_answers_with_a_tone_for_each_word_as_loud_as_the_user() -> None:
    engine = speech_bench.create("", {"first_audio_ms": 0, "word_ms": 50})
    said = (np.sin(np.arange(24_000) / 20) / 10).astype(np.float32)
    answers = []
    for audio in (said, 4 * said):
        request = DialogueRequest(audio, (ChatMessage("user", "a bench"),))
        answers.append([event async for event in engine.reply(request) if isinstance(event, SpokenDelta)])
    quiet, loud = answers
    assert [piece.text for piece in quiet] == ["a", " bench"]
    assert [len(piece.audio) for piece in quiet] == [1_200, 1_200]
    rms = float(np.sqrt(np.mean((4 * said) ** 2)))
    np.testing.assert_allclose(loud[1].audio, speech_bench.tone("bench", 50, rms), atol=1e-6)
    np.testing.assert_allclose(loud[0].audio, 4 * quiet[0].audio, atol=1e-4)


def test_these_and_no_others_say_that_they_only_measure() -> None:
    measuring = {(info.stage, info.name) for info in registry.available() if info.measuring}
    assert measuring == {(stage, "bench") for stage in ("llm", "mt", "speech", "stt", "tts", "vc")}
    bench, other = stt_bench.create("", {}).info, FakeRecognizer().info
    assert common_info(bench, other).measuring
    assert common_info(other, bench).measuring
    assert not common_info(other, other).measuring
