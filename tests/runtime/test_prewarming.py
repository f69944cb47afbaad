"""Phrases are ready before the first session asks for them, and preparing them is in nobody's way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parley.core.words.effects import StartGeneration
from parley.core.words.events import Event, GenerationFinished
from parley.core.words.ids import AttemptId, ResponseId
from parley.core.words.settings import AudioFormat
from parley.core.words.work import Utterance
from parley.engines.ports import LLM, STT, TTS, TURN, VAD, Engine, EngineError, EngineSpec, SpeechRequest, Stage
from parley.runtime.engine_caches import EngineCaches
from parley.runtime.engines import LoadedEngines
from parley.runtime.generation.attempts import Generations
from parley.runtime.prewarming import prewarm, requests
from parley.runtime.speech_cache import SpeechCache, spoken
from parley.runtime.speech_files import SpeechFiles
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeTurnJudge, FakeVoiceActivity, Hold
from tests.runtime.rig import WAIT_S, pipeline_config
from tests.runtime.test_speech_cache import Voice

GREETING = "Good morning, this is the bakery. What can I get you for $3 today?"


async def opened(
    folder: Path, voice: Voice, *phrases: str, make: Callable[[], Any] = FakeModel
) -> tuple[LoadedEngines, SpeechCache]:
    cache = SpeechCache(SpeechFiles(folder / "speech", 1 << 24))
    made: dict[Stage[Any], Callable[[], Engine]] = {
        VAD: FakeVoiceActivity, TURN: FakeTurnJudge, STT: FakeRecognizer, LLM: make, TTS: lambda: voice,
    }  # fmt: skip

    def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
        return made[stage]()

    config = pipeline_config("desk", prewarm=phrases)
    engines = await LoadedEngines.open_all([config], create=create, caches=EngineCaches(cache))
    assert not engines.failures
    return engines, cache


async def said_in_a_session(engines: LoadedEngines, text: str) -> None:
    """A session speaks this text, as the core asks for it."""
    done = asyncio.Event()

    def post(event: Event) -> None:
        if isinstance(event, GenerationFinished):
            done.set()

    generations = Generations(engines.pipeline("desk").engines, post)
    work = Utterance(text)
    generations.start(
        StartGeneration(AttemptId(1), work, "audio", "alloy", 1.0, AudioFormat.PCM16, "en", ResponseId("r"))
    )
    await asyncio.wait_for(done.wait(), WAIT_S)


@pytest.mark.parametrize("normalizes", [True, False])
async def test_a_session_finds_the_phrases_ready(tmp_path: Path, normalizes: bool) -> None:
    voice = Voice(normalizes=normalizes)
    engines, cache = await opened(tmp_path, voice, GREETING)
    await prewarm(cache, engines.pipelines.values())
    await cache.settled(WAIT_S)
    asked = len(voice.requests)
    assert asked >= 2
    await said_in_a_session(engines, GREETING)
    assert len(voice.requests) == asked
    await engines.close()


async def test_a_session_that_speaks_goes_first(tmp_path: Path) -> None:
    hold = Hold()
    voice = Voice(script={"slowly": hold})
    engines, cache = await opened(tmp_path, voice, "slowly spoken")
    tts = engines.pipeline("desk").engines[TTS]
    preparing = asyncio.create_task(prewarm(cache, engines.pipelines.values()))
    await asyncio.wait_for(hold.reached.wait(), WAIT_S)
    await asyncio.wait_for(spoken(tts, SpeechRequest("A customer asks", "alloy", "en")), WAIT_S)
    assert voice.running <= 1
    hold.event.set()
    await asyncio.wait_for(preparing, WAIT_S)
    assert [request.text for request in voice.requests] == ["slowly spoken", "A customer asks", "slowly spoken"]
    await engines.close()


async def test_a_session_takes_over_the_very_clause_that_is_being_prepared(tmp_path: Path) -> None:
    hold = Hold()
    voice = Voice(script={"slowly": hold})
    engines, cache = await opened(tmp_path, voice, "slowly spoken")
    (request,) = requests(engines.pipeline("desk"))
    preparing = asyncio.create_task(prewarm(cache, engines.pipelines.values()))
    await asyncio.wait_for(hold.reached.wait(), WAIT_S)
    session = asyncio.create_task(spoken(engines.pipeline("desk").engines[TTS], replace(request, share=None)))
    await asyncio.sleep(0)
    hold.event.set()
    await asyncio.wait_for(asyncio.gather(session, preparing), WAIT_S)
    await engines.close()
    assert not cache.shared


async def test_an_engine_that_fails_is_logged_and_the_others_phrases_are_prepared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    voice = Voice(script={"broken": EngineError("The voice broke.", code="broken")})
    engines, cache = await opened(tmp_path, voice, "broken words", "Good morning.")
    await prewarm(cache, engines.pipelines.values())
    assert "The voice broke." in caplog.text
    assert "1 of 2 clauses are ready" in caplog.text
    await engines.close()


async def test_the_end_of_the_server_ends_it(tmp_path: Path) -> None:
    hold = Hold()
    voice = Voice(script={"slowly": hold})
    engines, cache = await opened(tmp_path, voice, "slowly spoken")
    preparing = asyncio.create_task(prewarm(cache, engines.pipelines.values()))
    await asyncio.wait_for(hold.reached.wait(), WAIT_S)
    preparing.cancel()
    with suppress(asyncio.CancelledError):
        await preparing
    assert voice.running == 0
    await engines.close()


async def test_every_engine_of_a_list_is_cached_by_itself(tmp_path: Path) -> None:
    cache = SpeechCache(SpeechFiles(tmp_path / "speech", 1 << 24))
    engine = EngineCaches(cache).create(TTS, EngineSpec("chain", "bench:a, bench:b"))
    await cache.open()
    await engine.open()
    async for _ in engine.speak(SpeechRequest("Good morning.", "tone")):  # type: ignore[attr-defined]
        pass
    await cache.settled(WAIT_S)
    assert cache.counts.misses == 1
    assert cache.usage.files == 1
    await engine.close()
    await cache.close()


async def test_nothing_is_spoken_by_a_voice_of_which_nothing_is_kept(tmp_path: Path) -> None:
    voice = Voice()
    voice.declared = False
    engines, cache = await opened(tmp_path, voice, GREETING)
    await prewarm(cache, engines.pipelines.values())
    assert not voice.requests
    await engines.close()
