"""The engines on their published weights: the contract suite, and how well voices are read back. `make test-weights` fetches the weights.

Each test is skipped, with its reason, where its model is not in the folder that `PARLEY_TEST_MODELS_DIR` names.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from rich.console import Console

from benchmarks.round_trip import SENTENCES, distance, recognize_all, speak_all, words_of
from parley.audio.resampling import resample
from parley.engines.ports import LLM, MT, STT, TURN, ChatMessage, ChatRequest, EngineSpec, TextDelta
from parley.engines.registry import create
from parley.engines.stt import whisper_weights
from parley.engines.stt.whisper_model import Task, WhisperModel
from parley.models import store
from parley.testing.contracts import RecognizerContract, TranslatorContract, TurnJudgeContract

Make = Callable[[], Any]


def here(model: str) -> str:
    """The model's name; skips where it is not in the folder of models."""
    if store.installed(model) is None:
        pytest.skip(f"{model} is not on this machine: make test-weights")
    return model


class TestWhisperTinyEnglish(RecognizerContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        return partial(create, STT, EngineSpec.parse(here("whisper:tiny.en"), {"device": "cpu", "threads": 1}))


class TestMoonshineTiny(RecognizerContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        pytest.importorskip("moonshine_voice", reason="moonshine-voice has no wheel here", exc_type=ImportError)
        return partial(create, STT, EngineSpec.parse(here("moonshine:tiny-v1")))


class TestSmartTurn(TurnJudgeContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        here("smart-turn:v3.2")
        return partial(create, TURN, EngineSpec("smart"))


class TestBergamot(TranslatorContract):
    @pytest.fixture
    def make_engine(self) -> Make:
        pytest.importorskip("fxtranslate", reason="fxtranslate (the extra bergamot) has no wheel here")
        return partial(
            create, MT, EngineSpec.parse(f"bergamot:{here('bergamot:en-pt')[9:]}+{here('bergamot:pt-en')[9:]}")
        )


def smol() -> EngineSpec:
    pytest.importorskip("xllamacpp", reason="the extra llama is not installed: make test-weights")
    return EngineSpec.parse(here("llama:smollm2-135m"), {"temperature": 0, "num_ctx": 2048})


def test_a_small_language_model_answers_a_question() -> None:
    async def ask(country: str) -> str:
        engine: Any = create(LLM, smol())
        await engine.open()
        try:
            asked = ChatMessage("user", f"What is the capital of {country}?")
            request = ChatRequest((ChatMessage("system", "Be brief."), asked), max_tokens=30)
            return "".join([event.text async for event in engine.reply(request) if isinstance(event, TextDelta)])
        finally:
            await engine.close()

    assert "Paris" in asyncio.run(ask("France"))
    assert "Rome" in asyncio.run(ask("Italy"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recognizer", "most"), [("whisper:tiny.en", 0.01), ("moonshine:tiny-v1", 0.01), ("pocketsphinx", 0.12)]
)
def test_the_default_voice_is_read_back(recognizer: str, most: float) -> None:
    """The word error rate over the sentences of `benchmarks/round_trip.py`. A robotic voice has 0.57 with pocketsphinx."""
    if recognizer != "pocketsphinx":
        here(recognizer)

    async def word_error_rate() -> float:
        spoken, _ = await speak_all("hibari")
        wer, _ = await recognize_all(recognizer, spoken, Console(file=io.StringIO()))
        return wer

    assert asyncio.run(word_error_rate()) <= most


@pytest.mark.slow
def test_quick_decodings_hear_what_whole_ones_hear() -> None:
    """What partial transcripts of Whisper on a CPU are made of."""
    here("whisper:tiny.en")
    model = WhisperModel.load(whisper_weights.locate("tiny.en"), "cpu", "int8", 2, 1)
    spoken, _ = asyncio.run(speak_all("hibari", SENTENCES[:8]))
    wrong = words = 0
    for audio, rate in spoken:
        whole, quick = (
            words_of(model.text(model.decode(Task(resample(audio, rate, 16_000), "en", quick=quick)).tokens))
            for quick in (False, True)
        )
        wrong += distance(whole, quick)
        words += len(whole)
    assert wrong <= 0.03 * words


@pytest.mark.slow
def test_a_mix_of_kokoros_voices_is_read_back() -> None:
    """Its whole contract would take a quarter of an hour: it speaks about as fast as it is heard on two cores."""
    sentences = SENTENCES[:3]

    async def word_error_rate() -> float:
        spoken, _ = await speak_all(here("kokoro:v1.0"), sentences, "af_bella(2)+bm_george(1)")
        wer, _ = await recognize_all(here("whisper:tiny.en"), spoken, Console(file=io.StringIO()), sentences)
        return wer

    assert asyncio.run(word_error_rate()) <= 0.03
