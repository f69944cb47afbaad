"""A voice that a stock client makes of a recording alone, spoken by CSM: its words are heard, its codes kept, and both go with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.audio import pcm
from parley.audio.files import Recording
from parley.engines import registry
from parley.engines.ports import LLM, STT, TTS, TURN, VAD, Engine, EngineSpec, Stage
from parley.engines.voices.clone_states import CloneStates
from parley.engines.voices.store import VoiceStore
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeModel, FakeTurnJudge
from tests.conftest import clip_path
from tests.engines.csm.talking import OPTIONS, Calls, opened, quickened, say
from tests.server.harness import configured, running
from tests.speech import load

pytest.importorskip("torch", reason="torch (the extra `csm`) is not installed")
pytest.importorskip("transformers", reason="transformers (the extra `csm`) is not installed")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quickened(monkeypatch, tmp_path / "data")


async def test_a_stock_client_needs_no_words(folder: Path, tmp_path: Path) -> None:
    samples, rate = load(clip_path("beckett"))
    store = VoiceStore(tmp_path / "own")
    consent = store.add_consent("Carol", "en", Recording(pcm.to_float(samples), rate))
    fakes: dict[Stage[Any], Engine] = {TURN: FakeTurnJudge(), LLM: FakeModel([])}

    def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
        return fakes[stage] if stage in fakes else registry.create(stage, spec)

    base = configured()
    stages: dict[Stage[Any], EngineSpec] = {
        VAD: EngineSpec("silero"),
        TURN: EngineSpec("fake"),
        STT: EngineSpec("pocketsphinx"),
        LLM: EngineSpec("fake"),
        TTS: EngineSpec("csm", str(folder), OPTIONS),
    }
    default = replace(base.pipelines["default"], engines=stages, voice="alloy", speculation=False)
    config = replace(base, pipelines={"default": default})
    engines = await LoadedEngines.open_all(config.pipelines.values(), create=create, voices=store)
    assert not engines.failures, engines.failures
    async with running(config, engines) as server, server.client() as client:
        with clip_path("beckett").open("rb") as sample:
            made = await client.audio.voices.create(name="carol", consent=consent.id, audio_sample=sample)
        text = (made.model_extra or {})["text"]
        assert {"fail", "try"} & set(text.lower().split()), text
        spoken = await client.audio.speech.create(model="default", voice="carol", input="Yes.", response_format="pcm")
        assert len(spoken.content) > 4_000
        assert len(list(CloneStates().folder.glob("*.state"))) == 1
        await client.audio.voices.delete(made.id)
        assert not any(CloneStates().folder.iterdir()), "no code of the recording is left"


async def test_a_voice_that_was_encoded_is_spoken_by_a_second_start_without_encoding(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, rate = load(clip_path("beckett"))
    store = VoiceStore(tmp_path / "own")
    voice = store.add_clip("carol", Recording(pcm.to_float(samples)[: 2 * rate], rate), "Ever tried.")
    async with opened(folder) as engine:
        first = await say(engine, voice=await engine.clone_voice(store.sample(voice)), share=1)
    calls = Calls(monkeypatch)
    async with opened(folder) as engine:
        again = await say(engine, voice=await engine.clone_voice(store.sample(voice)), share=1)
    assert np.array_equal(first, again)
    assert calls.encoded == []
    (state,) = CloneStates().folder.iterdir()
    state.write_bytes(b"damaged")
    async with opened(folder) as engine:
        assert np.array_equal(first, await say(engine, voice=await engine.clone_voice(store.sample(voice)), share=1))
    assert len(calls.encoded) == 1
    store.remove_voice("carol")
    assert not any(CloneStates().folder.iterdir())
