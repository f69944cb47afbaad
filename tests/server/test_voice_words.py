"""Voices of a stock client, which sends no words: an engine that needs them gets those that PocketSphinx hears in the recording."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import APIStatusError, AsyncOpenAI
from openai.types.audio import Voice

from parley.audio import pcm
from parley.audio.files import Recording
from parley.engines import registry
from parley.engines.ports import LLM, STT, TTS, TURN, VAD, Engine, EngineRefused, EngineSpec, Stage, VoiceSample
from parley.engines.tts.phonon import PhononSynthesizer
from parley.engines.tts.phonon_model import PhononLoading
from parley.engines.voices.store import VoiceStore
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeModel, FakeTurnJudge
from tests.conftest import clip_path
from tests.engines.tiny_phonon import phonon_folder
from tests.server.harness import Running, configured, running
from tests.server.recordings import wav
from tests.speech import load

pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")
pytestmark = pytest.mark.slow

HUM = (9_000 * np.sin(np.arange(96_000) / 20)).astype("<i2")
BY_WORDS = EngineSpec("by-words")


class ByWords(PhononSynthesizer):
    """Phonon that, as CSM does, clones a voice from a recording and its words."""

    needs_text = True

    async def clone_voice(self, sample: VoiceSample) -> str:
        if not sample.text:
            raise EngineRefused("This engine needs the words.", "Send text.", code="invalid_sample")
        return await super().clone_voice(sample)


class Rig:
    """A server with PocketSphinx. `consents` are there, by language."""

    def __init__(self, folder: Path) -> None:
        self.store = VoiceStore(folder / "own")
        self._weights = phonon_folder(folder / "phonon-31m")
        self.consents = {
            language: self.store.add_consent("Carol", language, Recording(pcm.to_float(HUM), 24_000)).id
            for language in ("en-GB", "de")
        }
        self.engines: LoadedEngines

    def _create(self, stage: Stage[Any], spec: EngineSpec) -> Engine:
        if spec == BY_WORDS:
            return ByWords(PhononLoading(str(self._weights)))
        fakes: dict[Stage[Any], Engine] = {TURN: FakeTurnJudge(), LLM: FakeModel([])}
        return fakes[stage] if stage in fakes else registry.create(stage, spec)

    @asynccontextmanager
    async def serving(self, *, by_words: bool = True) -> AsyncIterator[Running]:
        base = configured()
        chosen = BY_WORDS if by_words else EngineSpec("phonon", str(self._weights), {"threads": 1})
        stages: dict[Stage[Any], EngineSpec] = {
            VAD: EngineSpec("silero"),
            TURN: EngineSpec("fake"),
            STT: EngineSpec("pocketsphinx"),
            LLM: EngineSpec("fake"),
            TTS: chosen,
        }
        default = replace(base.pipelines["default"], engines=stages, voice="alloy", speculation=False)
        config = replace(base, pipelines={"default": default})
        self.engines = await LoadedEngines.open_all(config.pipelines.values(), create=self._create, voices=self.store)
        assert not self.engines.failures, self.engines.failures
        async with running(config, self.engines) as server:
            yield server

    async def voice(self, client: AsyncOpenAI, sample: bytes, **fields: Any) -> Voice:
        asked = {"name": "carol", "consent": self.consents["en-GB"], "audio_sample": ("c.wav", sample)} | fields
        return await client.audio.voices.create(**asked)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def beckett() -> bytes:
    return wav(*load(clip_path("beckett")))


async def refused(request: Any) -> tuple[int, str, str | None, str]:
    with pytest.raises(APIStatusError) as error:
        await request
    body = error.value.response.json()["error"]
    return error.value.status_code, body["code"], body["param"], body["message"]


async def test_words_that_are_not_given_are_heard_kept_and_shown(
    rig: Rig, beckett: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with rig.serving() as server, server.client() as client:
        made = await rig.voice(client, beckett)
        shown = made.model_extra or {}
        assert shown["text_heard"] is True
        assert {"fail", "try"} & set(shown["text"].lower().replace(".", "").split()), shown["text"]
        (record,) = rig.store.voices()
        assert (record.text, record.text_heard) == (shown["text"], True)
        assert "the words of a new voice" in caplog.text
        assert shown["text"] not in caplog.text
        listed = await client.get("/audio/voices", cast_to=object)
        assert listed["data"][0]["text"] == shown["text"]  # type: ignore[index]


async def test_words_that_are_given_are_taken_as_they_are(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        made = await rig.voice(client, wav(HUM), extra_body={"text": " Ever  tried. "})
        assert (made.model_extra or {})["text"] == "Ever tried."
        assert (made.model_extra or {})["text_heard"] is False


async def test_a_recording_without_words_is_refused_by_the_field_and_leaves_nothing(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        for fields in ({}, {"extra_body": {"text": " "}}):
            status, code, param, said = await refused(rig.voice(client, wav(HUM), **fields))
            assert (status, code, param) == (400, "text_needed", "text")
            assert "pocketsphinx heard none" in said
            assert "word for word" in said
        assert not rig.store.voices()
        assert not list(rig.store.folder.glob("voice_*"))


async def test_a_language_that_no_recogniser_understands_is_refused_by_the_field(rig: Rig, beckett: bytes) -> None:
    async with rig.serving() as server, server.client() as client:
        found = await refused(rig.voice(client, beckett, consent=rig.consents["de"]))
        assert found[:3] == (400, "text_needed", "text")
        assert "'de'" in found[3]
        made = await rig.voice(client, beckett, consent=rig.consents["de"], extra_body={"text": "Immer versucht."})
        assert (made.model_extra or {})["text"] == "Immer versucht."


async def test_a_recogniser_that_fails_is_named_with_the_field(rig: Rig, beckett: bytes) -> None:
    async with rig.serving() as server, server.client() as client:
        await rig.engines.pipelines["default"].engines[STT].close()
        status, _, param, said = await refused(rig.voice(client, beckett))
        assert (status, param) == (502, "text")
        assert "pocketsphinx failed" in said
        assert "word for word" in said
        assert not rig.store.voices()


async def test_an_engine_that_needs_no_words_waits_for_no_recogniser(rig: Rig) -> None:
    async with rig.serving(by_words=False) as server, server.client() as client:
        await rig.engines.pipelines["default"].engines[STT].close()
        made = await rig.voice(client, wav(HUM))
        assert ((made.model_extra or {})["text"], (made.model_extra or {})["text_heard"]) == ("", False)
