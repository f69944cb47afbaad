"""What every engine of a remote language model keeps, whichever protocol it speaks: time limits, retries, and closed requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from parley.engines import registry
from parley.engines.ports import (
    LLM,
    ChatEnd,
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineSpec,
    LanguageModel,
    TextDelta,
    Tool,
    ToolCallDelta,
)
from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.engines.llm_protocols import PROTOCOLS, ModelProtocol
from tests.engines.llm_replies import HELLO, KEY, replied, text_of

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.engines.openai_api.retries.FIRST_PAUSE_S", 0.001)


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.engine)
def protocol(request: pytest.FixtureRequest) -> ModelProtocol:
    made: ModelProtocol = request.param
    return made


@asynccontextmanager
async def connected(
    protocol: ModelProtocol, *scripts: Script, **options: object
) -> AsyncIterator[tuple[LanguageModel, ChatServer]]:
    server = protocol.server(*scripts)
    async with server.running():
        given = {"base_url": server.url, "warm_up": False, "api_key": KEY, **options}
        engine = registry.create(LLM, EngineSpec(protocol.engine, "m", given))
        assert isinstance(engine, LanguageModel)
        await engine.open()
        try:
            yield engine, server
        finally:
            await engine.close()


async def test_a_reply_comes_as_it_is_written_and_ends_once(protocol: ModelProtocol) -> None:
    written = asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        await protocol.piece(answer, "Good ")
        await written.wait()
        await protocol.text(answer, "day.")

    async with connected(protocol, script) as (engine, _):
        stream = engine.reply(HELLO)
        assert await anext(stream) == TextDelta("Good ")
        written.set()
        rest = [event async for event in stream]
    assert text_of(rest) == "day."
    assert [event.reason for event in rest if isinstance(event, ChatEnd)] == ["stop"]
    assert isinstance(rest[-1], ChatEnd)


async def test_a_call_is_made_and_its_output_goes_back(protocol: ModelProtocol) -> None:
    async def call(request: Request, answer: Answer) -> None:
        await protocol.call(answer, "look", '{"city":"Paris"}')

    tool = Tool("look", "Looks.", '{"type":"object","properties":{"city":{"type":"string"}}}')
    async with connected(protocol, call) as (engine, _):
        *pieces, end = await replied(engine, ChatRequest(HELLO.messages, (tool,)))
    calls = [piece for piece in pieces if isinstance(piece, ToolCallDelta)]
    assert (calls[0].index, calls[0].name, bool(calls[0].call_id)) == (0, "look", True)
    assert "".join(piece.arguments for piece in calls).replace(" ", "") == '{"city":"Paris"}'
    assert isinstance(end, ChatEnd)
    assert end.reason == "tool_calls"


@pytest.mark.parametrize("begun", [False, True])
async def test_leaving_closes_the_request(protocol: ModelProtocol, begun: bool) -> None:
    asked = asyncio.Event()

    async def endless(request: Request, answer: Answer) -> None:
        if begun:
            await protocol.piece(answer, "One")
        asked.set()
        await answer.until_client_leaves()

    async with connected(protocol, endless) as (engine, server):
        stream = engine.reply(HELLO)
        if begun:
            await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]
        else:
            task = asyncio.ensure_future(anext(stream))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.wait_for(server.client_left.wait(), PATIENCE_S)


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("begun", [False, True])
async def test_silence_is_a_timeout_whatever_else_comes(protocol: ModelProtocol, begun: bool, signs: bool) -> None:
    async def silent(request: Request, answer: Answer) -> None:
        if begun:
            await protocol.piece(answer, "One")
        while signs and not server.client_left.is_set():
            await protocol.sign_of_life(answer)
            await asyncio.sleep(0)
        await answer.until_client_leaves()

    async with connected(protocol, silent, timeout_s=0.2, token_timeout_s=0.2) as (engine, server):
        with pytest.raises(EngineError) as caught:
            await replied(engine)
    assert caught.value.code == "timeout"
    assert ("token_timeout_s" if begun else "timeout_s") in caught.value.remedy


async def test_a_slow_listener_is_no_timeout(protocol: ModelProtocol) -> None:
    going_on = asyncio.Event()

    async def script(request: Request, answer: Answer) -> None:
        await protocol.piece(answer, "One ")
        await going_on.wait()
        await protocol.text(answer, "two.")

    async with connected(protocol, script, token_timeout_s=0.2) as (engine, _):
        stream = engine.reply(HELLO)
        await anext(stream)
        await asyncio.sleep(0.4)  # (the listener's own time, longer than that between tokens)
        going_on.set()
        assert text_of([event async for event in stream]) == "two."


async def test_it_is_asked_again_before_anything_has_come_and_never_after(protocol: ModelProtocol) -> None:
    async def fails(request: Request, answer: Answer) -> None:
        await answer.json(503, {"error": {"message": "loading"}})

    async def well(request: Request, answer: Answer) -> None:
        await protocol.text(answer, "All ", "right.")

    async def dies(request: Request, answer: Answer) -> None:
        await protocol.piece(answer, "One")
        answer.break_off()

    async with connected(protocol, fails, fails, well, dies, well) as (engine, server):
        assert text_of(await replied(engine)) == "All right."
        stream = engine.reply(HELLO)
        assert await anext(stream) == TextDelta("One")
        with pytest.raises(EngineError) as caught:
            await anext(stream)
        assert caught.value.code == "connection_failed"
        assert text_of(await replied(engine)) == "All right."
    assert len(server.bodies) == 5


async def test_no_fault_shows_the_key(protocol: ModelProtocol) -> None:
    async def refuses(request: Request, answer: Answer) -> None:
        await answer.json(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})

    async with connected(protocol, refuses) as (engine, server):
        with pytest.raises(EngineError) as caught:
            await replied(engine)
    assert caught.value.code == "invalid_api_key"
    assert KEY not in f"{caught.value} {engine.info}"
    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"


async def test_a_connection_serves_the_next_reply(protocol: ModelProtocol) -> None:
    ports = []

    async def well(request: Request, answer: Answer) -> None:
        ports.append(answer.client_port)
        await protocol.text(answer, "All right.")

    async with connected(protocol, well) as (engine, _):
        for _ in range(3):
            await replied(engine)
    assert len(set(ports)) == 1


async def test_sixteen_replies_at_once_are_those_of_sixteen_alone(protocol: ModelProtocol) -> None:
    async def echo(request: Request, answer: Answer) -> None:
        word = str(request.body).partition("number-")[2].partition("'")[0]
        for character in f"You said {word}.":
            await protocol.piece(answer, character)
            await asyncio.sleep(0)
        await protocol.finish(answer)

    async with connected(protocol, echo) as (engine, _):
        requests = [ChatRequest((ChatMessage("user", f"number-{number}"),)) for number in range(16)]
        said = await asyncio.gather(*(replied(engine, request) for request in requests))
    assert [text_of(events) for events in said] == [f"You said {number}." for number in range(16)]
