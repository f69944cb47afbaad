"""A session that changes its model over a real socket uses the other pipeline, or keeps its own and gets the reason."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from parley.config import Config
from parley.engines.ports import STT, EngineSpec
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.voice_worker import VoiceWorker
from parley.testing.fakes import FakeModel, FakeRecognizer
from tests.server.harness import Engines, Running, Talk, configured, loaded, running, talking
from tests.server.test_conversation import PAUSE, VOICE, configure, push

UPDATE = "session.update"


def two_pipelines() -> tuple[Config, LoadedEngines, Engines, Engines]:
    """The default pipeline and `fast`; `broken` could not be loaded."""
    config = configured()
    default = config.pipelines[config.default_pipeline]
    fast = replace(
        default,
        name="fast",
        instructions="Be fast.",
        language="de",
        engines={**default.engines, STT: EngineSpec("quick")},
    )
    config = replace(config, pipelines={default.name: default, "fast": fast, "broken": replace(default, name="broken")})
    here, there = Engines(), Engines(stt=FakeRecognizer(*["Wie spät ist es?"] * 4), llm=FakeModel(["Halb zehn."]))
    served = loaded(config, here, {"broken": ()})
    other = LoadedPipeline("fast", there.as_set(), VoiceWorker(there.vad), fast)
    return config, LoadedEngines({**served.pipelines, "fast": other}, served.failures, []), here, there


async def refused(talk: Talk, **session: Any) -> Any:
    await talk.send(type=UPDATE, event_id="mine", session={"type": "realtime", **session})
    error = (await talk.until("error")).error
    assert error.event_id == "mine"
    return error


async def sessions_of(server: Running) -> dict[str, float]:
    async with httpx.AsyncClient() as http:
        lines = (await http.get(f"{server.http}/metrics")).text.splitlines()
    rows = (line for line in lines if line.startswith("parley_sessions{"))
    return {row.split('"')[1]: float(row.split()[-1]) for row in rows}


@pytest.mark.proves(
    UPDATE, "session.model", state="honoured", note="the session's own, or another pipeline's before any audio"
)
async def test_the_other_pipelines_engines_hear_and_answer() -> None:
    config, engines, here, there = two_pipelines()
    async with running(config, engines) as server, talking(server) as talk:
        shown = await configure(talk, model="fast")
        assert (shown.model, shown.instructions) == ("fast", "Be fast.")
        assert await sessions_of(server) == {"default": 0.0, "fast": 1.0}
        await push(talk, PAUSE + VOICE + PAUSE)
        done = await talk.until("response.done")
        error = await refused(talk, model="default")
    assert done.response.output[0].content[0].transcript == "Halb zehn."
    assert there.stt.streams[-1].spec.language == "de"
    assert there.llm.requests[-1].messages[-1].text == "Wie spät ist es?"
    assert (here.stt.streams, here.llm.requests) == ([], [])
    assert (error.code, error.param) == ("invalid_value", "session.model")


async def test_a_written_conversation_goes_on_with_the_other_model_and_back() -> None:
    config, engines, here, there = two_pipelines()
    async with running(config, engines) as server, talking(server) as talk:
        await configure(talk, output_modalities=["text"])
        for model in ("default", "fast", "default"):
            await configure(talk, model=model)
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"to {model}"}]}
            await talk.send(type="conversation.item.create", item=item)
            await talk.send(type="response.create")
            assert (await talk.until("response.done")).response.status == "completed"
    asked = [[message.text for message in request.messages if message.role == "user"] for request in here.llm.requests]
    assert asked == [["to default"], ["to default", "to fast", "to default"]]
    assert len(there.llm.requests) == 1


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("fsat", "model_not_found", ("default, fast", "Did you mean 'fast'?")),
        ("gpt-4o", "model_not_found", ("default, fast", "gpt-realtime")),
        ("broken", "model_not_found", ("could not be loaded",)),
    ],
)
async def test_a_model_that_is_not_served_is_named_with_those_that_are(
    model: str, code: str, words: tuple[str, ...]
) -> None:
    config, engines, *_ = two_pipelines()
    async with running(config, engines) as server, talking(server) as talk:
        error = await refused(talk, model=model)
        assert (await configure(talk, audio={"output": {"speed": 1.1}})).model == "gpt-realtime"
        async with httpx.AsyncClient() as http:
            over_rest = (await http.get(f"{server.http}/v1/models/{model}")).json()["error"]
    assert (error.code, error.param) == (code, "session.model")
    assert over_rest["code"] == code
    for word in words:
        assert word in error.message
        assert word in over_rest["message"]


@pytest.mark.proves(
    UPDATE,
    "session.audio.input.transcription.model",
    state="honoured",
    note="the pipeline's recogniser, by its own name or by OpenAI's; the session shows its own; others are refused by name",
)
async def test_the_session_shows_which_recogniser_is_used_and_refuses_others_by_name() -> None:
    config, engines, *_ = two_pipelines()
    where = "session.audio.input.transcription.model"
    async with running(config, engines) as server, talking(server) as talk:
        for model in ("gpt-4o-mini-transcribe", "whisper-1", "fake"):
            shown = await configure(talk, audio={"input": {"transcription": {"model": model}}})
            assert shown.audio.input.transcription.model == "fake"
        error = await refused(talk, audio={"input": {"transcription": {"model": "nova-3"}}})
    assert (error.code, error.param) == ("invalid_value", where)
    assert "'fake'" in error.message


async def test_noise_reduction_that_comes_with_the_other_model_is_done() -> None:
    config, engines, *_ = two_pipelines()
    noise = np.random.default_rng(1).normal(0, 3_000, 2 * 24_000).astype("<i2").tobytes()
    async with running(config, engines) as server, talking(server) as talk:
        wanted = {"noise_reduction": {"type": "near_field"}, "turn_detection": None}
        shown = await configure(talk, model="fast", audio={"input": wanted})
        assert shown.audio.input.noise_reduction.type == "near_field"
        await push(talk, noise)
        await talk.send(type="input_audio_buffer.commit")
        item = (await talk.until("input_audio_buffer.committed")).item_id
        await talk.send(type="conversation.item.retrieve", item_id=item)
        kept = base64.b64decode((await talk.until("conversation.item.retrieved")).item.content[0].audio)
    assert kept
    assert kept != noise[: len(kept)]
