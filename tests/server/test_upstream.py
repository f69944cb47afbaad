"""A server whose language model is behind an HTTP endpoint: what becomes of the upstream request, and of its faults, in a session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from parley.engines.llm.openai import create
from parley.engines.ports import LLM
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeSynthesizer
from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.server.harness import PATIENCE_S, Engines, Running, configured, loaded, running, talking
from tests.server.test_conversation import VOICE, push, write

KEY = "sk-very-secret"


@asynccontextmanager
async def served(*scripts: Script) -> AsyncIterator[tuple[Running, ChatServer]]:
    """A server before a chat endpoint that answers by these scripts."""
    config = configured()
    async with ChatServer(list(scripts)).running() as chat:
        model = create("m", {"base_url": chat.url, "api_key": KEY, "warm_up": False})
        await model.open()
        engines = loaded(config, Engines(tts=FakeSynthesizer(word_ms=500)))
        name = config.default_pipeline
        pipeline = engines.pipelines[name]
        pipelines = {name: replace(pipeline, engines=pipeline.engines.replaced({LLM: model}))}
        async with running(config, LoadedEngines(pipelines, engines.failures, [])) as server:
            yield server, chat
        await model.close()


async def endless(request: Request, answer: Answer) -> None:
    await answer.delta(content="One two three four five six. And then")
    await answer.until_client_leaves()


async def well(request: Request, answer: Answer) -> None:
    await answer.text("All ", "right.")


async def test_talking_over_the_reply_closes_the_upstream_request() -> None:
    async with served(endless, well) as (server, chat), talking(server) as talk:
        await talk.send(type="response.create")
        await talk.until("response.output_audio.delta")
        await push(talk, VOICE)
        done = (await talk.until("response.done")).response
        assert (done.status, done.status_details.reason) == ("cancelled", "turn_detected")
        await asyncio.wait_for(chat.client_left.wait(), PATIENCE_S)


async def test_cancelling_the_reply_closes_the_upstream_request() -> None:
    async with served(endless, well) as (server, chat), talking(server) as talk:
        await talk.send(type="response.create")
        await talk.until("response.output_audio.delta")
        await talk.send(type="response.cancel")
        await talk.until("response.done")
        await asyncio.wait_for(chat.client_left.wait(), PATIENCE_S)


async def test_a_client_that_leaves_closes_the_upstream_request() -> None:
    async with served(endless) as (server, chat):
        async with talking(server) as talk:
            await talk.send(type="response.create")
            await talk.until("response.output_audio.delta")
        await asyncio.wait_for(chat.client_left.wait(), PATIENCE_S)


async def test_a_model_that_fails_in_mid_reply_fails_that_reply_and_not_the_next() -> None:
    async def dies(request: Request, answer: Answer) -> None:
        await answer.delta(content="One two three four five six. And then")
        answer.break_off()

    async with served(dies, well) as (server, chat), talking(server) as talk:
        await write(talk, "Tell me.")
        await talk.send(type="response.create")
        failed = (await talk.until("response.done")).response
        assert (failed.status, failed.status_details.error.code) == ("failed", "connection_failed")
        assert failed.output[0].status == "incomplete"
        await talk.send(type="response.create")
        assert (await talk.until("response.done")).response.output[0].content[0].transcript == "All right."
    assert len(chat.bodies) == 2, "a reply that has begun is never asked for again"


async def test_a_key_that_is_refused_in_mid_session_is_reported_with_its_remedy_and_never_shown() -> None:
    async def refuses(request: Request, answer: Answer) -> None:
        await answer.json(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})

    async with served(refuses) as (server, _), talking(server) as talk:
        await talk.send(type="response.create")
        error = (await talk.until("response.done")).response.status_details.error
        text = f"{error.to_dict()}"
    assert error.code == "invalid_api_key"
    assert KEY not in text


async def test_a_finish_reason_that_means_failure_fails_the_reply_by_name_and_keeps_its_text() -> None:
    async def aborted(request: Request, answer: Answer) -> None:
        await answer.delta(content="One two three four five six. ")
        await answer.delta(finish="insufficient_system_resource")
        await answer.done()

    async with served(aborted) as (server, _), talking(server) as talk:
        await talk.send(type="response.create")
        failed = (await talk.until("response.done")).response
        assert failed.status == "failed"
        assert "'insufficient_system_resource'" in str(failed.status_details.error.to_dict())
        assert failed.output[0].content[0].transcript.startswith("One two three")


async def test_a_call_that_was_cut_in_its_arguments_harms_no_later_turn() -> None:
    async def cut(request: Request, answer: Answer) -> None:
        await answer.delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "look", "arguments": '{"ci'}}])
        await answer.delta(finish="length")
        await answer.done()

    async def strict(request: Request, answer: Answer) -> None:
        for message in request.body["messages"]:
            for call in message.get("tool_calls", ()):
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
        await answer.text("All right.")

    async with served(cut, strict) as (server, chat), talking(server) as talk:
        await write(talk, "Look.")
        await talk.send(type="response.create")
        first = (await talk.until("response.done")).response
        assert (first.status, first.output[0].status, first.output[0].arguments) == ("incomplete", "incomplete", '{"ci')
        await talk.send(type="response.create")
        assert (await talk.until("response.done")).response.status == "completed"
        answered = [message["content"] for message in chat.bodies[1]["messages"] if message["role"] == "tool"]
        assert len(answered) == 1
        assert '{"ci' in answered[0]


async def test_a_call_without_arguments_reaches_the_client_as_an_empty_object() -> None:
    async def bare(request: Request, answer: Answer) -> None:
        await answer.delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}])
        await answer.delta(finish="tool_calls")
        await answer.done()

    async with served(bare) as (server, _), talking(server) as talk:
        await talk.send(type="response.create")
        done = await talk.until("response.function_call_arguments.done")
        assert done.arguments == "{}"
        assert "".join(e.delta for e in talk.events if e.type == "response.function_call_arguments.delta") == "{}"


async def test_a_reply_of_ten_megabytes_at_once_fails_while_others_are_answered() -> None:
    async def flood(request: Request, answer: Answer) -> None:
        if "quick" in str(request.body):
            await answer.text("All right.")
            return
        asked.set()
        await answer.text("x" * 10_000_000)

    asked = asyncio.Event()
    async with served(flood) as (server, _), talking(server) as talk, talking(server) as other:
        await talk.send(type="response.create")
        await asked.wait()
        await write(other, "quick")
        await other.send(type="response.create")
        assert (await other.until("response.done")).response.status == "completed"
        error = (await talk.until("response.done")).response.status_details.error
        assert error.code == "server_error"
