"""A server whose language model is named on its command line, for each engine behind a protocol of its own, and for several in a chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from parley.config import load
from parley.engines import registry
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import LLM, MT, STT, TTS, TURN, VAD, Engine, EngineSpec, Stage
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity
from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.engines.llm_protocols import PROTOCOLS, Chat, ModelProtocol, Ollama
from tests.server.harness import PATIENCE_S, Running, Talk, running, talking
from tests.server.test_conversation import write

TOOL = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "PARLEY_LLM_API_KEY", "PARLEY_LLM_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("parley.engines.openai_api.retries.FIRST_PAUSE_S", 0.001)


def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
    """The language model that is configured, among scripted engines."""
    scripted: Mapping[Stage[Any], Callable[[], Engine]] = {
        VAD: FakeVoiceActivity,
        TURN: FakeTurnJudge,
        STT: FakeRecognizer,
        TTS: FakeSynthesizer,
        MT: lambda: BenchTranslator(0, 0),
    }
    made: Engine = registry.create(stage, spec) if stage is LLM else scripted[stage]()
    return made


@asynccontextmanager
async def served(flags: Mapping[str, object], file: Path | None = None) -> AsyncIterator[Running]:
    config = load(file, {"port": 0, **flags}, {})
    engines = await LoadedEngines.open_all([config.pipelines["default"]], create=create)
    assert not engines.failures, engines.failures
    async with running(config, engines) as server:
        yield server


@asynccontextmanager
async def behind(protocol: ModelProtocol, *scripts: Script) -> AsyncIterator[tuple[Running, ChatServer]]:
    """A server whose model is behind this protocol."""

    async def warm(request: Request, answer: Answer) -> None:
        await protocol.text(answer, "Warm.")

    warmed = () if protocol.engine == "ollama" else (warm,)  # (Ollama is asked to load the model, not to answer)
    async with protocol.server(*warmed, *scripts).running() as model:
        flags = {"llm": f"{protocol.engine}:m", "llm_base_url": model.url}
        async with served(flags) as server:
            yield server, model


async def answer_to(talk: Talk, text: str) -> Any:
    await write(talk, text)
    await talk.send(type="response.create")
    return (await talk.until("response.done")).response


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.engine)
def protocol(request: pytest.FixtureRequest) -> ModelProtocol:
    made: ModelProtocol = request.param
    return made


async def test_a_tool_is_called_and_its_output_answered_in_speech(protocol: ModelProtocol) -> None:
    async def call(request: Request, answer: Answer) -> None:
        await protocol.call(answer, "look", '{"city": "Paris"}')

    async def tell(request: Request, answer: Answer) -> None:
        said = "It is sunny." if "eighteen degrees" in str(request.body) else "I do not know."
        await protocol.text(answer, *said.partition("is"))

    async with behind(protocol, call, tell) as (server, _), talking(server) as talk:
        await talk.send(type="session.update", session={"type": "realtime", "tools": [TOOL]})
        called = (await answer_to(talk, "How is the weather?")).output[0]
        assert (called.type, called.name, called.arguments) == ("function_call", "look", '{"city": "Paris"}')
        output = {"type": "function_call_output", "call_id": called.call_id, "output": "eighteen degrees"}
        await talk.send(type="conversation.item.create", item=output)
        await talk.send(type="response.create")
        done = (await talk.until("response.done")).response
        assert done.status == "completed"
        assert done.output[0].content[0].transcript == "It is sunny."
        assert done.usage.output_tokens > 0
        assert talk.of("response.output_audio.delta")


async def test_cancelling_the_reply_closes_the_request(protocol: ModelProtocol) -> None:
    async def endless(request: Request, answer: Answer) -> None:
        await protocol.piece(answer, "One two three four five six. And then")
        await answer.until_client_leaves()

    async with behind(protocol, endless) as (server, model), talking(server) as talk:
        await write(talk, "Count.")
        await talk.send(type="response.create")
        await talk.until("response.output_audio.delta")
        await talk.send(type="response.cancel")
        assert (await talk.until("response.done")).response.status == "cancelled"
        await asyncio.wait_for(model.client_left.wait(), PATIENCE_S)


async def test_a_failure_in_mid_reply_fails_that_reply_and_not_the_next(protocol: ModelProtocol) -> None:
    async def dies(request: Request, answer: Answer) -> None:
        await protocol.piece(answer, "One two three four five six. And then")
        answer.break_off()

    async def well(request: Request, answer: Answer) -> None:
        await protocol.text(answer, "All ", "right.")

    async with behind(protocol, dies, well) as (server, _), talking(server) as talk:
        failed = await answer_to(talk, "Tell me.")
        assert (failed.status, failed.status_details.error.code) == ("failed", "connection_failed")
        assert (await answer_to(talk, "Again.")).output[0].content[0].transcript == "All right."


# --- chains ---


async def test_a_chain_answers_from_the_second_engine_where_the_first_is_down(tmp_path: Path) -> None:
    chat, ollama = Chat(), Ollama()

    async def local(request: Request, answer: Answer) -> None:
        await ollama.text(answer, "I am ", "local.")

    async def hosted(request: Request, answer: Answer) -> None:
        if down.is_set():
            await answer.json(503, {"error": {"message": "overloaded"}})
        else:
            await chat.text(answer, "I am ", "hosted.")

    down = asyncio.Event()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(chat.server(hosted).running())
        second = await stack.enter_async_context(ollama.server(local).running())
        file = tmp_path / "parley.toml"
        file.write_text(
            f"""
            [pipelines.default]
            llm = ["openai:m", "ollama:m"]
            [pipelines.default.llm_options]
            retry_s = 0
            [pipelines.default.llm_options.openai]
            base_url = "{first.url}"
            [pipelines.default.llm_options.ollama]
            base_url = "{second.url}"
            num_ctx = 8192
            """
        )
        server = await stack.enter_async_context(served({}, file))
        talk = await stack.enter_async_context(talking(server))
        said = [(await answer_to(talk, "Who are you?")).output[0].content[0].transcript]
        for change in (down.set, down.clear):
            change()
            said.append((await answer_to(talk, "And now?")).output[0].content[0].transcript)
        assert said == ["I am hosted.", "I am local.", "I am hosted."]
        assert second.bodies[0]["options"]["num_ctx"] == 8192
        async with httpx2.AsyncClient() as client:
            metrics = (await client.get(f"{server.http}/metrics")).text
    assert 'parley_chain_answers_total{engine="openai:m",stage="llm"} 2.0' in metrics
    assert 'parley_chain_answers_total{engine="ollama:m",stage="llm"} 1.0' in metrics
    assert 'parley_chain_failures_total{engine="openai:m",stage="llm"} 1.0' in metrics


async def test_a_chain_named_on_the_command_line_serves_where_only_its_second_engine_can() -> None:
    """OpenAI without a key, then the built-in responder."""
    async with served({"llm": "openai:gpt-5-mini, responder"}) as server, talking(server) as talk:
        done = await answer_to(talk, "Hello there.")
        assert done.status == "completed"
        assert "responder" in done.output[0].content[0].transcript
