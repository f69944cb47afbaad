"""Calls that carry audio die at once, however they end: nothing of them waits for the garbage collector."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.runtime.rig import settled
from tests.server.audiosocket_player import asterisk
from tests.server.harness import Running, running
from tests.server.raw_client import streaming
from tests.server.test_audiosocket import listening
from tests.server.test_memory import gone, without_the_collector
from tests.server.test_raw_stream import PCM16K, ask
from tests.server.test_twilio import talkative
from tests.server.twilio_player import calling


async def raw(server: Running) -> None:
    async with streaming(server, rate=16_000, events="all") as client:
        await ask(client, PCM16K)
        await client.until("audio")
        client.connection.transport.abort()


async def refused_raw(server: Running) -> None:
    async with streaming(server, rate=16_000) as client:
        await client.until("session.created")
        await client.send(type="session.update", session={"type": "realtime", "voice": "nobody"})
        await client.until("error")


async def twilio(server: Running) -> None:
    async with calling(server) as call:
        await call.start()
        await call.until(lambda: call.played_ms > 0)
        await call.press("12")
        await call.until(lambda: call.clears > 0)


async def refused_twilio(server: Running) -> None:
    async with calling(server) as call:
        await call.start(voice="nobody")
        await call.until(lambda: call.close_code is not None)


async def audiosocket(server: Running) -> None:
    async with asterisk(server) as call:
        call.begin()
        await call.until(lambda: call.heard_ms > 0)
        call.press("1")


async def no_audiosocket(server: Running) -> None:
    async with asterisk(server) as call:
        call.writer.write(b"GET / HTTP/1.1\r\n\r\n" + bytes(70_000))
        await call.until(lambda: call.ended)


@pytest.mark.parametrize("talk", [raw, refused_raw, twilio, refused_twilio, audiosocket, no_audiosocket])
async def test_nothing_of_a_call_is_left(talk: Callable[[Running], Awaitable[None]]) -> None:
    engines = talkative("One two three four five six seven eight nine ten.", word_ms=200)
    async with running(listening(), engines) as server:
        await talk(server)
        await settled(lambda: not len(server.app.sessions))
        with without_the_collector():
            await talk(server)
            await settled(lambda: not len(server.app.sessions))
            assert engines.turn is not None
            for kept in (engines.llm.requests, engines.tts.requests, engines.stt.streams, engines.turn.asked):
                kept.clear()
            await gone()
