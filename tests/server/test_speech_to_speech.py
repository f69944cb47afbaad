"""A pipeline that is one model which hears and speaks: Parley in front of another Parley, with stock clients and real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from parley.engines.moderation import words as word_list
from parley.engines.ports import (
    LLM,
    MODERATION,
    SPEECH,
    TTS,
    VC,
    Engine,
    EngineSet,
    Moderator,
    SpeechModel,
    Stage,
    ToolCallDelta,
    VoiceConverter,
)
from parley.engines.speech import bench
from parley.engines.speech.realtime import RealtimeSpeechModel, create
from parley.engines.vc import bench as bench_converter
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer
from tests.runtime.rig import settled
from tests.server.harness import Engines, Running, Talk, running, talking
from tests.server.test_conversation import PAUSE, TOOL, VOICE, configure, push, spoken, write

LONG = "one two three four five six seven eight nine ten eleven twelve."


@dataclass
class Hearing(Engines):
    """The scripted engines, and a speech model in place of the language model and the voice."""

    speech: SpeechModel | None = None
    vc: VoiceConverter | None = None
    moderation: Moderator | None = None

    def as_set(self) -> EngineSet:
        assert self.speech is not None
        others: dict[Stage[Any], Engine | None] = {VC: self.vc, MODERATION: self.moderation}
        engines: dict[Stage[Any], Engine] = {
            stage: engine for stage, engine in super().as_set().items() if stage not in (LLM, TTS)
        }
        named = {stage: engine for stage, engine in others.items() if engine is not None}
        return EngineSet({**engines, **named, SPEECH: self.speech})


@asynccontextmanager
async def in_front(
    behind: Engines, *turns: str, **options: object
) -> AsyncIterator[tuple[Talk, RealtimeSpeechModel, Running]]:
    """A stock client in front of Parley in front of Parley (`behind`); `turns` are what the first one's recogniser hears."""
    async with running(engines=behind) as upstream:
        engine = create("gpt-realtime", {"base_url": f"{upstream.http}/v1", "dialect": "parley", **options})
        await engine.open()
        try:
            async with (
                running(engines=Hearing(stt=FakeRecognizer(*turns), speech=engine)) as server,
                talking(server) as talk,
            ):
                yield talk, engine, upstream
        finally:
            await engine.close()


def said(model: FakeModel, request: int = -1) -> list[tuple[str, str]]:
    """The conversation that the upstream's model saw, without instructions."""
    return [(one.role, one.text) for one in model.requests[request].messages if one.role != "system"]


async def hear_out(talk: Talk) -> None:
    """Let every answer be heard to its end, however soon the next turn comes."""
    detection = {"type": "server_vad", "silence_duration_ms": 300, "interrupt_response": False}
    await configure(talk, audio={"input": {"turn_detection": detection}})


async def ask(talk: Talk) -> Any:
    """A spoken turn, up to the end of its answer."""
    talk.events.clear()
    await push(talk, PAUSE + VOICE + PAUSE)
    done = await talk.until("response.done")
    return done.response


async def test_a_spoken_turn_is_heard_and_answered_by_the_speech_model_alone() -> None:
    engine = bench.create("", {"first_audio_ms": 1, "word_ms": 40})
    async with (
        running(engines=Hearing(stt=FakeRecognizer("What time is it?"), speech=engine)) as server,
        talking(server) as talk,
    ):
        response = await ask(talk)
        if not talk.of("conversation.item.input_audio_transcription.completed"):
            await configure(talk)
    assert response.status == "completed"
    assert response.output[0].content[0].transcript == "What time is it?"
    deltas = [event.delta for event in talk.of("response.output_audio_transcript.delta")]
    assert deltas == ["What", " time", " is", " it?"]
    audio = np.frombuffer(spoken(talk), "<i2")
    assert len(audio) == 4 * 960
    voice = np.frombuffer(VOICE, "<i2").astype(float)
    assert 0.3 < np.sqrt(np.mean(audio.astype(float) ** 2)) / np.sqrt(np.mean(voice**2)) < 1.1, (
        "it heard how loud the user is"
    )


async def test_a_converter_changes_the_voice_and_keeps_the_words() -> None:
    audio = []
    for vc in (None, bench_converter.create("", {"latency_ms": 20})):
        engine = bench.create("", {"first_audio_ms": 1, "word_ms": 40})
        engines = Hearing(stt=FakeRecognizer("One two three."), speech=engine, vc=vc)
        async with running(engines=engines) as server, talking(server) as talk:
            response = await ask(talk)
            assert response.output[0].content[0].transcript == "One two three."
            audio.append(spoken(talk))
    plain, converted = audio
    assert len(plain) == len(converted) == 2 * 3 * 960
    assert plain != converted


async def test_nothing_that_a_moderator_refuses_is_heard() -> None:
    moderator = word_list.create("", {"words": ["darn"]})
    await moderator.open()
    model = FakeModel(["It is a fine day outside. It is a darn shame today."])
    behind = Engines(stt=FakeRecognizer("well"), llm=model)
    async with running(engines=behind) as upstream:
        engine = create("gpt-realtime", {"base_url": f"{upstream.http}/v1", "dialect": "parley"})
        await engine.open()
        engines = Hearing(stt=FakeRecognizer("Well?"), speech=engine, moderation=moderator)
        async with running(engines=engines) as server, talking(server) as talk:
            response = await ask(talk)
        await engine.close()
    assert (response.status, response.status_details.reason) == ("incomplete", "content_filter")
    assert response.output[0].content[0].transcript.strip() == "It is a fine day outside."


async def test_translations_need_a_voice_and_that_is_said() -> None:
    engine = bench.create("", {})
    async with running(engines=Hearing(speech=engine)) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(f"{server.ws}/v1/realtime/translations?model=gpt-realtime")
    refusal = json.loads(raised.value.response.body)["error"]
    assert refusal["code"] == "translation_not_available"
    assert "name a synthesizer too" in refusal["message"]


async def test_a_voice_of_openai_s_that_the_model_lacks_is_no_error() -> None:
    engine = bench.create("", {"first_audio_ms": 1, "word_ms": 40})
    async with running(engines=Hearing(stt=FakeRecognizer("Yes."), speech=engine)) as server, talking(server) as talk:
        session = await configure(talk, audio={"output": {"voice": "nova"}})
        assert session.audio.output.voice == "nova"
        assert (await ask(talk)).status == "completed"


async def test_a_written_answer_comes_from_the_speech_model_too() -> None:
    engine = bench.create("", {"first_audio_ms": 1, "word_ms": 40})
    async with running(engines=Hearing(speech=engine)) as server, talking(server) as talk:
        await configure(talk, output_modalities=["text"])
        await write(talk, "Repeat after me.")
        await talk.send(type="response.create")
        done = await talk.until("response.done")
    assert done.response.output[0].content[0].text == "Repeat after me."
    assert not talk.of("response.output_audio.delta")


async def test_turns_share_one_upstream_session_that_hears_them_and_remembers() -> None:
    behind = Engines(stt=FakeRecognizer("first heard", "second heard"), llm=FakeModel(["Yes."], ["No."]))
    async with in_front(behind, "The first.", "The second.") as (talk, _, upstream):
        await hear_out(talk)
        assert (await ask(talk)).output[0].content[0].transcript == "Yes."
        assert len(upstream.app.sessions) == 1
        assert (await ask(talk)).output[0].content[0].transcript == "No."
        assert len(upstream.app.sessions) == 1
    assert said(behind.llm) == [("user", "first heard"), ("assistant", "Yes."), ("user", "second heard")]
    assert len(behind.stt.streams[0].audio) > 8_000
    assert behind.llm.requests[0].messages[0].text.startswith("You are a helpful voice assistant")


async def test_an_upstream_session_ends_with_the_conversation() -> None:
    async with running(engines=Engines(llm=FakeModel(["Yes."]))) as upstream:
        engine = create("gpt-realtime", {"base_url": f"{upstream.http}/v1", "dialect": "parley", "idle_s": 3600})
        await engine.open()
        async with running(engines=Hearing(stt=FakeRecognizer("Hm?"), speech=engine)) as server:
            async with talking(server) as talk:
                await ask(talk)
                assert len(upstream.app.sessions) == 1
            await settled(lambda: not len(upstream.app.sessions))
        await engine.close()


async def test_talking_over_the_answer_cuts_it_in_front_and_upstream_to_what_was_heard() -> None:
    behind = Engines(
        stt=FakeRecognizer("go on", "stop"),
        llm=FakeModel([LONG], ["All right."]),
        tts=FakeSynthesizer(word_ms=400),
    )
    async with in_front(behind, "Go on.", "Stop.", "Stop.") as (talk, _, upstream):
        await push(talk, PAUSE + VOICE + PAUSE)
        item = (await talk.until("response.output_item.added")).item
        await talk.until("response.output_audio.done")
        await talk.until("response.done")
        talk.events.clear()
        await push(talk, VOICE)
        await talk.send(type="conversation.item.truncate", item_id=item.id, content_index=0, audio_end_ms=1_300)
        await talk.until("conversation.item.truncated")
        await talk.send(type="conversation.item.retrieve", item_id=item.id)
        kept = (await talk.until("conversation.item.retrieved")).item.content[0].transcript
        await push(talk, PAUSE)
        done = await talk.until("response.done")
        assert len(upstream.app.sessions) == 1
    assert kept in ("one two three", "one two", "one two three four"), kept
    assert done.response.output[0].content[0].transcript == "All right."
    assert said(behind.llm) == [("user", "go on"), ("assistant", "one two three"), ("user", "stop")]


async def test_an_answer_that_is_cancelled_while_it_comes_is_cut_upstream() -> None:
    behind = Engines(stt=FakeRecognizer("go on"), llm=FakeModel([LONG], ["Well."]), tts=FakeSynthesizer(word_ms=2_400))
    async with in_front(behind, "Go on.") as (talk, _, upstream):
        await push(talk, PAUSE + VOICE + PAUSE)
        item = (await talk.until("response.output_item.added")).item
        await talk.until("response.output_audio.delta")
        await talk.send(type="response.cancel")
        cancelled = await talk.until("response.done")
        await talk.send(type="conversation.item.truncate", item_id=item.id, content_index=0, audio_end_ms=0)
        await talk.until("conversation.item.truncated")
        await write(talk, "And now?")
        await talk.send(type="response.create")
        done = await talk.until("response.done")
        assert len(upstream.app.sessions) == 1
    assert cancelled.response.status == "cancelled"
    assert done.response.output[0].content[0].transcript == "Well."
    assert said(behind.llm) == [("user", "go on"), ("user", "And now?")]


async def test_tools_are_called_and_answered_through_both() -> None:
    call = [
        ToolCallDelta(0, "call_w", "weather"),
        ToolCallDelta(0, arguments='{"city":'),
        ToolCallDelta(0, arguments='"Paris"}'),
    ]
    behind = Engines(stt=FakeRecognizer("weather"), llm=FakeModel(call, ["Sunny."]))
    async with in_front(behind, "Weather in Paris?") as (talk, _, upstream):
        await configure(talk, tools=[TOOL], tool_choice="auto")
        response = await ask(talk)
        (item,) = response.output
        assert (item.type, item.name, item.arguments) == ("function_call", "weather", '{"city":"Paris"}')
        output = {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
        await talk.send(type="conversation.item.create", item=output)
        await talk.send(type="response.create")
        done = await talk.until("response.done")
        assert len(upstream.app.sessions) == 1
    assert done.response.output[0].content[0].transcript == "Sunny."
    assert behind.llm.requests[0].tools[0].name == "weather"
    assert said(behind.llm) == [("user", "weather"), ("assistant", ""), ("tool", "sunny")]


async def test_what_the_client_deletes_is_gone_upstream() -> None:
    behind = Engines(stt=FakeRecognizer("secret", "what"), llm=FakeModel(["Noted."], ["Nothing."]))
    async with in_front(behind, "The secret is 42.", "What was it?") as (talk, _, upstream):
        await hear_out(talk)
        await ask(talk)
        for event in talk.of("conversation.item.added"):
            await talk.send(type="conversation.item.delete", item_id=event.item.id)
        await ask(talk)
        assert len(upstream.app.sessions) == 1
    assert said(behind.llm) == [("user", "what")]


async def test_a_conversation_is_rebuilt_on_a_new_upstream_session() -> None:
    behind = Engines(stt=FakeRecognizer("first heard", "second heard"), llm=FakeModel(["Yes."], ["No."]))
    async with in_front(behind, "The first.", "The second.", session_minutes=0.0001) as (talk, _, upstream):
        await hear_out(talk)
        await ask(talk)
        await ask(talk)
        assert len(upstream.app.sessions) == 1
    assert said(behind.llm) == [("user", "The first."), ("assistant", "Yes."), ("user", "second heard")]
