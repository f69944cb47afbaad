"""Fillers and caches of a whole server, as a stock client sees them; every event is parsed with the official types."""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from parley.config import load
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import LLM, MT, STT, TTS, TURN, VAD, Engine, EngineSpec, Stage
from parley.runtime.engine_caches import EngineCaches
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeTurnJudge, FakeVoiceActivity, Hold
from tests.runtime.test_speech_cache import Voice
from tests.server.harness import Running, Talk, running, talking

FILLERS = '[pipelines.default.fillers]\nphrases = ["One moment."]\nafter_ms = 200\n'


@asynccontextmanager
async def serving(
    tmp_path: Path, settings: str, llm: FakeModel, tts: Callable[[], Voice] = Voice
) -> AsyncIterator[Running]:
    """A server of these settings whose engines are fakes; `{folder}` in them is a folder of its own."""
    file = tmp_path / "parley.toml"
    file.write_text(settings.format(folder=tmp_path / "speech"), encoding="utf-8")
    fakes: dict[Any, Callable[[], Any]] = {
        VAD: FakeVoiceActivity,
        TURN: FakeTurnJudge,
        STT: FakeRecognizer,
        LLM: lambda: llm,
        TTS: tts,
        MT: lambda: BenchTranslator(0, 0),
    }

    def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
        made: Engine = fakes[stage]()
        return made

    config = load(file, {"port": 0}, {})
    engines = await LoadedEngines.open_all([config.pipelines["default"]], create=create, caches=EngineCaches.of(config))
    assert not engines.failures, engines.failures
    async with running(config, engines) as server:
        yield server


async def ask(talk: Talk, text: str) -> None:
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await talk.send(type="conversation.item.create", item=message)
    await talk.send(type="response.create")


async def replies(talk: Talk) -> Any:
    """The next response in the conversation that is done."""
    while True:
        response = (await talk.until("response.done")).response
        if response.conversation_id is not None:
            return response


def figures(server: Running) -> str:
    with urllib.request.urlopen(f"{server.http}/metrics") as answer:
        text: str = answer.read().decode()
    return text


async def test_a_client_hears_a_filler_and_then_the_reply(tmp_path: Path) -> None:
    hold = Hold()
    llm = FakeModel([hold, "It is noon."], ["Sunny."])
    async with serving(tmp_path, FILLERS, llm) as server, talking(server) as talk:
        await ask(talk, "What time is it?")
        filler = (await talk.until("response.done")).response
        assert filler.conversation_id is None
        assert filler.metadata == {"parley": "filler"}
        assert filler.status == "completed"
        assert filler.output[0].content[0].transcript == "One moment."
        sounds = talk.of("response.output_audio.delta")
        assert sounds
        assert {sound.response_id for sound in sounds} == {filler.id}
        assert filler.output[0].id not in {event.item.id for event in talk.of("conversation.item.added")}
        hold.event.set()
        reply = await replies(talk)
        assert reply.output[0].content[0].transcript == "It is noon."
        await talk.send(
            type="conversation.item.truncate", item_id=filler.output[0].id, content_index=0, audio_end_ms=50
        )
        assert (await talk.until("conversation.item.truncated")).item_id == filler.output[0].id
        await ask(talk, "And the weather?")
        await replies(talk)
        assert [message.text for message in llm.requests[-1].messages[1:]] == [
            "What time is it?",
            "It is noon.",
            "And the weather?",
        ]
        assert "error" not in talk.kinds()


SPEECH = '[speech_cache]\nenabled = true\nfolder = "{folder}"\n'


async def test_a_second_session_hears_the_clause_of_the_first_from_the_cache(tmp_path: Path) -> None:
    voice = Voice()
    heard = []
    async with serving(tmp_path, SPEECH, FakeModel(["Good morning to you."]), lambda: voice) as server:
        for _ in range(2):
            async with talking(server) as talk:
                await ask(talk, "Hello?")
                await replies(talk)
                heard.append("".join(event.delta for event in talk.of("response.output_audio.delta")))
            speech = server.engines.caches.speech
            assert speech is not None
            await speech.settled(10)
        assert len(voice.requests) == 1
        assert heard[0] == heard[1]
        assert heard[0]
        assert 'parley_speech_cache_clauses_total{outcome="hit"} 1.0' in await in_thread(figures, server)


async def test_the_same_question_is_answered_by_the_model_once(tmp_path: Path) -> None:
    llm = FakeModel(["At ", "nine."])
    async with serving(tmp_path, "[response_cache]\nenabled = true\n", llm) as server:
        for _ in range(2):
            async with talking(server) as talk:
                await ask(talk, "When do you open?")
                assert (await replies(talk)).output[0].content[0].transcript == "At nine."
        assert len(llm.requests) == 1
        assert 'parley_response_cache_prompts_total{outcome="hit"} 1.0' in await in_thread(figures, server)


async def in_thread(call: Callable[[Running], str], server: Running) -> str:
    import asyncio

    return await asyncio.to_thread(call, server)
