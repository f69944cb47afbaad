"""The translation route: against Parley's own server, and against servers that refuse, break off, talk nonsense, or do not read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from parley.client.connection import Server, ServerUnavailable
from parley.interpret.ports import STALE_S, WIRE_RATE, RouteWishes
from parley.interpret.translation_route import TranslationLink, TranslationSessions, translation_server
from parley.interpret.updates import (
    ClauseReport,
    RouteLinkEnded,
    RouteNote,
    RouteUpdate,
    SourceText,
    TargetAudio,
    TargetText,
)
from tests.library.rig import silence, voice
from tests.server.harness import configured, loaded, running
from tests.server.test_translation_options import Interpreted
from tests.server.test_translation_sessions import serving

LIMIT_S = 20.0
WISHES = RouteWishes("en", "x-bench")


async def rest(link: TranslationLink) -> list[RouteUpdate]:
    async with asyncio.timeout(LIMIT_S):
        return [update async for update in link]


async def test_parleys_own_server_translates_and_reports_its_clauses() -> None:
    async with serving("Good day.") as server:
        route = TranslationSessions(translation_server(Server.at(server.ws), "default"), own=True)
        async with route.open(WISHES) as link:
            assert link.expires_in_s is not None
            assert 3_000 < link.expires_in_s <= 3_601
            for _ in range(5):
                link.send(voice(200))
            for _ in range(5):
                link.send(silence(200))
            link.finish()
            updates = await rest(link)
    assert updates[-1] == RouteLinkEnded("closed", flushed=True)
    assert "".join(each.text for each in updates if isinstance(each, SourceText)).strip() == "Good day."
    assert "".join(each.text for each in updates if isinstance(each, TargetText)).strip() == "dooG yad."
    audio = [each for each in updates if isinstance(each, TargetAudio)]
    assert sum(len(each.audio) for each in audio) > WIRE_RATE / 10
    assert any(each.until_ms for each in audio)
    assert [(each.source, each.text) for each in updates if isinstance(each, ClauseReport)] == [
        ("Good day.", "dooG yad.")
    ]
    assert not [each for each in updates if isinstance(each, RouteNote)]


async def test_the_words_that_may_still_change_come_from_parleys_own_server() -> None:
    engines = Interpreted("Good day.")
    async with running(configured(), loaded(configured(), engines)) as server:
        route = TranslationSessions(translation_server(Server.at(server.ws), "default"), own=True)
        async with route.open(WISHES) as link:
            for _ in range(5):
                link.send(voice(200))
            while not engines.stt.streams:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
            engines.stt.streams[0].say("Good they", "Good")
            for _ in range(5):
                link.send(silence(200))
            link.finish()
            updates = await rest(link)
    words = [each for each in updates if isinstance(each, SourceText)]
    assert words == [SourceText("Good"), SourceText(unstable=" they"), SourceText(" day.")]


async def test_the_voice_is_the_one_that_is_wished_for_and_the_servers_usual_one_without_a_wish() -> None:
    config = configured()
    usual = replace(config.pipelines[config.default_pipeline], voice="alloy")
    config = replace(config, pipelines={usual.name: usual})
    engines = Interpreted("Good day.", "Goodbye.", "Well.")
    async with running(config, loaded(config, engines)) as server:
        route = TranslationSessions(translation_server(Server.at(server.ws), "default"), own=True)
        assert route.voices_change
        async with route.open(RouteWishes("en", "x-bench", "marin")) as link:
            for wanted in ("marin", "nobody", ""):
                link.set_voice(wanted)
                for _ in range(5):
                    link.send(voice(200))
                for _ in range(5):
                    link.send(silence(200))
                spoken = len(engines.tts.requests)
                async with asyncio.timeout(LIMIT_S):
                    while len(engines.tts.requests) == spoken:  # noqa: ASYNC110 - what is waited for has no event
                        await asyncio.sleep(0.01)
            link.finish()
            updates = await rest(link)
    assert [request.voice for request in engines.tts.requests] == ["marin", "marin", "alloy"]
    assert [each.message for each in updates if isinstance(each, RouteNote) and "nobody" in each.message]


async def test_an_unknown_language_is_a_note_and_the_session_goes_on() -> None:
    async with serving("Good day.") as server:
        route = TranslationSessions(translation_server(Server.at(server.ws), "default"), own=True)
        async with route.open(RouteWishes("en", "tlh")) as link:
            link.finish()
            updates = await rest(link)
    assert any(isinstance(each, RouteNote) and "tlh" in each.message for each in updates)


Script = Callable[[ServerConnection], Awaitable[None]]


def created(**session: object) -> str:
    return json.dumps(
        {"type": "session.created", "event_id": "e", "session": {"id": "s", "type": "translation", **session}}
    )


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[TranslationSessions]:
    async with serve(script, "127.0.0.1", 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield TranslationSessions(translation_server(Server.at(f"ws://127.0.0.1:{port}"), "m"), own=False)


async def test_another_server_is_asked_for_nothing_of_parleys() -> None:
    asked: list[dict[str, object]] = []

    async def script(socket: ServerConnection) -> None:
        assert socket.request is not None
        assert socket.request.path == "/v1/realtime/translations?model=m"
        await socket.send(created(expires_at=time.time() + 90))
        asked.append(json.loads(await socket.recv()))
        await socket.send(json.dumps({"type": "session.closed", "event_id": "e"}))

    async with scripted(script) as route, route.open(RouteWishes("es", "en")) as link:
        assert link.expires_in_s == pytest.approx(90, abs=5)
        assert await rest(link) == [RouteLinkEnded("closed", flushed=False)]
    session = asked[0]["session"]
    assert isinstance(session, dict)
    assert session["audio"]["output"] == {"language": "en"}
    assert "include" not in session


@pytest.mark.parametrize(("code", "again"), [("invalid_api_key", False), ("rate_limit_exceeded", True)])
async def test_an_error_that_ends_the_session_says_whether_another_makes_sense(code: str, again: bool) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(created())
        error = {"type": "invalid_request_error", "code": code, "message": "No."}
        await socket.send(json.dumps({"type": "error", "event_id": "e", "error": error}))

    async with scripted(script) as route, route.open(WISHES) as link:
        note, end = await rest(link)
    assert note == RouteNote("warning", "No.")
    assert isinstance(end, RouteLinkEnded)
    assert end.again is again


async def test_nonsense_is_noted_or_passed_over() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(created())
        for message in (
            "{",
            "[1]",
            '{"type": "session.output_audio.delta", "delta": "!"}',
            '{"type": "session.output_audio.delta", "delta": "\\u00e9"}',
            '{"type": "new"}',
            '{"type": "session.output_audio.delta", "delta": "AAAAAA==", "elapsed_ms": "soon"}',
        ):
            await socket.send(message)

    async with scripted(script) as route, route.open(WISHES) as link:
        updates = await rest(link)
    notes = [each for each in updates if isinstance(each, RouteNote)]
    assert len(notes) == 3
    audio = [each for each in updates if isinstance(each, TargetAudio)]
    assert [(len(each.audio), each.until_ms) for each in audio] == [(2, None)]
    assert isinstance(updates[-1], RouteLinkEnded)


@asynccontextmanager
async def deaf() -> AsyncIterator[TranslationLink]:
    """A session of a server that reads nothing any more."""
    over = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        await socket.send(created())
        socket.transport.pause_reading()
        await over.wait()
        socket.transport.abort()  # a farewell would wait for one that is not read

    async with scripted(script) as route, route.open(WISHES) as link:
        yield link
        over.set()


async def test_a_session_ends_whose_server_does_not_read_what_is_said() -> None:
    async with deaf() as link:
        piece = np.zeros(WIRE_RATE // 50, np.int16)
        # Sixty megabytes of audio fill every buffer on the way.
        for number in range(30_000):
            link.send(piece)
            if number % 100 == 0:
                await asyncio.sleep(0)
            assert link._connection.unsent * 0.02 <= STALE_S + 0.1
        assert await rest(link) == [RouteLinkEnded("the server has not read for 3 s")]


async def test_a_session_ends_whose_server_is_silent_though_the_network_takes_what_is_said() -> None:
    async with deaf() as link:
        link.send(np.zeros(WIRE_RATE // 50, np.int16))
        began_s = time.monotonic()
        assert await rest(link) == [RouteLinkEnded("the server has not answered for 3 s")]
        assert time.monotonic() - began_s >= STALE_S


@pytest.mark.parametrize("first", ['{"type": "error", "error": {"message": "Full."}}', None])
async def test_a_server_that_opens_no_session_is_unavailable(first: str | None) -> None:
    async def script(socket: ServerConnection) -> None:
        if first is not None:
            await socket.send(first)

    async with scripted(script) as route:
        with pytest.raises(ServerUnavailable) as caught:
            async with route.open(WISHES):
                pass
    assert ("Full." in caught.value.message) == (first is not None)
