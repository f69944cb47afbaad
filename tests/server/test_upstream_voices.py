"""Parley in front of Parley: a voice that is added in front is spoken with by the one behind, a tiny Phonon that clones."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import LLM, SPEECH, STT, TTS, TURN, VAD, EngineSpec, Samples, Stage
from parley.engines.voices.store import VoiceStore
from parley.testing.fakes import FakeRecognizer
from tests.server.harness import Running, configured, talking
from tests.server.test_conversation import PAUSE, VOICE, push
from tests.server.test_own_voices import READ, Rig, differ, refused, tone, weights, with_voice

__all__ = ["weights"]

pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")


class Front(Rig):
    """A server whose voices are those of `upstream`: `default` through its speech endpoint, `hearing` as one model that hears and
    speaks, `beta` the same with a dialect that has no voices of recordings."""

    def __init__(self, weights: Path, store: Path, upstream: Running) -> None:
        super().__init__(weights, store)
        self.recognizer = FakeRecognizer()
        self.store = VoiceStore(store)
        url = {"base_url": f"{upstream.http}/v1"}
        voice = EngineSpec("openai", "default", {**url, "clones": True})
        hearing = {**url, "dialect": "parley", "clones": True}
        default = configured().pipelines["default"]
        shared: dict[Stage[Any], EngineSpec] = {stage: EngineSpec("fake") for stage in (VAD, TURN, STT)}
        engines = {
            "default": {**shared, LLM: EngineSpec("fake"), TTS: voice},
            "hearing": {**shared, SPEECH: EngineSpec("realtime", "default", hearing)},
            "deaf": {**shared, SPEECH: EngineSpec("realtime", "default", {**hearing, "clones": False})},
        }
        self.config = replace(
            configured(),
            pipelines={
                name: replace(default, name=name, engines=specs, voice="", speculation=False)
                for name, specs in engines.items()
            },
        )


@pytest.fixture
def behind(weights: Path, tmp_path: Path) -> Rig:
    return Rig(weights, tmp_path / "behind")


@asynccontextmanager
async def both(behind: Rig, weights: Path, store: Path) -> AsyncIterator[tuple[Running, Front, Running]]:
    async with behind.serving() as upstream:
        front = Front(weights, store, upstream)
        async with front.serving() as server:
            yield server, front, upstream


async def answered(server: Running, voice: object, model: str = "hearing") -> Samples:
    """What is heard of the answer to a spoken turn."""
    async with talking(server, model) as talk:
        asked: dict[str, Any] = {"type": "realtime"}
        if voice:
            asked["audio"] = {"output": {"voice": voice}}
        await talk.send(type="session.update", session=asked)
        await talk.until("session.updated")
        await push(talk, PAUSE + VOICE + PAUSE)
        done = await talk.until("response.done")
        assert done.response.status == "completed", done.response.status_details
        audio = b"".join(base64.b64decode(event.delta) for event in talk.of("response.output_audio.delta"))
        return np.frombuffer(audio, "<i2").astype(np.float32)


async def test_a_voice_that_is_added_in_front_is_made_behind_once_and_spoken_with(
    behind: Rig, weights: Path, tmp_path: Path
) -> None:
    async with behind.serving() as upstream:
        front = Front(weights, tmp_path / "front", upstream)
        async with front.serving() as server, server.client() as client:
            behind.recognizer.answers.append(READ)
            low = await front.voice(client)
            behind.recognizer.answers.append(READ)
            high = await front.voice(client, "dora", 700.0)
            (one, other) = behind.store.voices()
            assert one.name.startswith("parley-")
            assert len(behind.store.consents()) == 1, "both were made with the same recording of a consent"
            plain, heard = await with_voice(server, "alloy"), await with_voice(server, {"id": low.id})
            assert differ(heard, plain)
            assert not differ(heard, await with_voice(server, "carol"))
            assert differ(heard, await with_voice(server, {"id": high.id}))
            assert not differ(heard, await with_voice(upstream, {"id": one.id})), "it is the voice of the recording"
            assert not differ(plain, await with_voice(upstream, "alloy"))
        async with front.serving() as again:
            assert not differ(heard, await with_voice(again, "carol"))
            assert not differ(plain, await with_voice(again, "alloy")), "what was made is nobody's usual voice"
            assert behind.store.voices() == (one, other)
            behind.store.remove_voice(one.id)
            assert not differ(heard, await with_voice(again, "carol")), "it is made again"
            assert len(behind.store.voices()) == 2


async def test_a_model_that_hears_and_speaks_answers_with_the_voice(
    behind: Rig, weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(behind, weights, tmp_path / "front") as (server, front, upstream), server.client() as client:
        behind.recognizer.answers.append(READ)
        made = await front.voice(client)
        front.recognizer.answers.extend(["Hello."] * 4)
        behind.recognizer.answers.extend(["Hello."] * 4)
        plain, by_name, by_id = [await answered(server, voice) for voice in ("alloy", "carol", {"id": made.id})]
        assert differ(plain, by_name)
        assert not differ(by_name, by_id)
        (kept,) = behind.store.voices()
        heard = await with_voice(upstream, {"id": kept.id})
        assert not differ(by_name[: len(heard)], heard[: len(by_name)])
        behind.store.remove_voice(kept.id)
        assert not differ(by_name, await answered(server, "carol")), "it is made again"
        async with talking(server, "deaf") as talk:
            await talk.send(
                type="session.update", session={"type": "realtime", "audio": {"output": {"voice": "carol"}}}
            )
            said = (await talk.until("error")).error.message
            assert "realtime cannot speak with a voice that is made of a recording" in said
            assert "default, hearing" in said


async def test_a_voice_without_a_consent_is_refused_when_a_session_asks_for_it(
    behind: Rig, weights: Path, tmp_path: Path
) -> None:
    async with both(behind, weights, tmp_path / "front") as (server, front, _):
        front.store.add_clip("carol", _recording(tmp_path))
        for model in ("default", "hearing"):
            async with talking(server, model) as talk:
                await talk.send(
                    type="session.update", session={"type": "realtime", "audio": {"output": {"voice": "carol"}}}
                )
                said = (await talk.until("error")).error.message
                assert "wants a recording of the person's consent" in said
                assert "--consent recording.wav" in said
        assert not behind.store.voices()


async def test_a_consent_that_the_server_behind_does_not_hear_is_refused_in_front(
    behind: Rig, weights: Path, tmp_path: Path
) -> None:
    async with both(behind, weights, tmp_path / "front") as (server, front, _), server.client() as client:
        behind.recognizer.answers.append("I like bread and butter.")
        status, code, param, said = await refused(front.voice(client))
        assert (status, code, param) == (400, "consent_refused", "audio_sample")
        assert "is not the sentence of consent" in said
        assert not front.store.voices(), "nothing is left behind"


async def test_an_engine_that_fails_does_not_matter_while_another_can(
    behind: Rig, weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with behind.serving() as upstream:
        front = Front(weights, tmp_path / "front", upstream)
        local = Rig(weights, tmp_path / "front").config.pipelines["default"]
        front.config = replace(
            front.config, pipelines={**front.config.pipelines, "local": replace(local, name="local")}
        )
        async with front.serving() as server, server.client() as client:
            behind.recognizer.answers.append("I like bread and butter.")
            await front.voice(client)
            assert (await with_voice(server, "carol", "local")).size
    assert "an engine cannot speak with it now" in caplog.text


def _recording(folder: Path) -> Any:
    from parley.audio import files

    (folder / "carol.wav").write_bytes(tone(150.0))
    return files.read(folder / "carol.wav")
