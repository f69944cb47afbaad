"""The conversation route over a socket: a double of a server, and Parley's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from websockets.asyncio.server import ServerConnection, serve

from parley.client.connection import Server, ServerUnavailable
from parley.config import load
from parley.interpret.ports import RouteLink, RouteWishes, TranslationRoute
from parley.interpret.routes import conversation
from parley.interpret.routes.conversation import ConversationRoute
from parley.interpret.updates import Drifted, SourceText, TargetAudio
from parley.runtime.engines import LoadedEngines
from tests.interpret.link_reader import LinkReader, reading, say
from tests.interpret.realtime_double import CHAT, HEARD, SAID, DialectName, Script, Serving, realtime_double
from tests.server.harness import running

DIALECTS: tuple[DialectName, ...] = ("ga", "beta")
both = pytest.mark.parametrize("dialect", DIALECTS)
WISHES = RouteWishes("es", "en")


def route(url: str, dialect: DialectName = "ga") -> TranslationRoute:
    return ConversationRoute(Server.at(url, name="the double"), beta=dialect == "beta")


@asynccontextmanager
async def call(script: Script) -> AsyncIterator[tuple[Serving, RouteLink, LinkReader]]:
    """A double, a link to it, and a reader of the link."""
    async with (
        realtime_double(script) as serving,
        route(serving.url, script.dialect).open(WISHES) as link,
        reading(link) as reader,
    ):
        yield serving, link, reader


@both
async def test_a_call_is_translated_sentence_by_sentence(dialect: DialectName) -> None:
    async with call(Script(dialect)) as (serving, link, reader):
        for mark in (1, 2, 3):
            say(link, mark)
            await reader.lines(mark)
        link.finish()
        end = await reader.ended()
    assert end.flushed
    assert reader.text == f"{SAID[1]}\n{SAID[2]}\n{SAID[3]}\n"
    assert reader.source == [HEARD[1], HEARD[2], HEARD[3]]
    assert reader.played == [1, 2, 3]
    assert serving.one.faults == []
    assert serving.one.items == {}
    assert serving.beta_headers == ["realtime=v1" if dialect == "beta" else None]


@both
async def test_a_slow_server_hears_everything_and_answers_one_after_the_other(dialect: DialectName) -> None:
    async with call(Script(dialect)) as (serving, link, reader):
        say(link, 1)
        await reader.until(lambda: reader.source == [HEARD[1]])
        serving.hold()
        for mark in (2, 3, 4):
            say(link, mark)
        serving.resume()
        link.finish()
        assert (await reader.ended()).flushed
    assert [mark for marks in serving.one.answered for mark in marks] == [1, 2, 3, 4]
    assert "response.cancel" not in serving.one.kinds()
    assert serving.one.faults == []


async def test_a_model_that_chats_is_asked_again_and_what_it_said_is_not_played() -> None:
    async with call(Script(chats={1: [CHAT]})) as (_, link, reader):
        say(link, 1)
        link.finish()
        assert (await reader.ended()).flushed
    assert reader.text == f"{SAID[1]}\n"
    assert len(reader.of(Drifted)) == 1


async def test_a_server_that_breaks_off_ends_the_link_and_the_sentence_is_reported() -> None:
    async with call(Script(closes_at=2)) as (_, link, reader):
        say(link, 1)
        say(link, 2)
        end = await reader.ended()
    assert end.again
    assert not end.flushed
    assert "closed" in end.why
    assert any("not translated" in note for note in reader.notes)


async def test_a_rate_limit_is_waited_for() -> None:
    async with call(Script(rate_limits={1: 2})) as (serving, link, reader):
        say(link, 1)
        link.finish()
        assert (await reader.ended()).flushed
    assert reader.played == [1]
    assert len(serving.one.requests()) == 3


async def test_updates_that_are_not_read_stop_the_reading_and_are_all_there_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversation, "UNREAD_UPDATES", 4)
    async with realtime_double(Script()) as serving, route(serving.url).open(WISHES) as link:
        for mark in (1, 2, 3, 4):
            say(link, mark)
        link.finish()
        async with reading(link) as reader:
            assert (await reader.ended()).flushed
    assert [mark for marks in serving.one.answered for mark in marks] == [1, 2, 3, 4]
    assert sum(len(update.audio) for update in reader.of(TargetAudio)) == serving.one.samples_sent


async def test_a_session_that_is_refused_is_unavailable_in_the_servers_words() -> None:
    async with realtime_double(Script(refuses_session="The voice 'x' does not exist.")) as serving:
        with pytest.raises(ServerUnavailable, match="The voice 'x' does not exist") as caught:
            async with route(serving.url).open(RouteWishes("es", "en", "x")):
                pass
    assert not caught.value.again


async def test_a_server_that_opens_no_session_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "SETUP_S", 0.2)

    async def mute(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve(mute, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(ServerUnavailable, match="has not opened a session") as caught:
            async with route(f"ws://127.0.0.1:{port}").open(WISHES):
                pass
    assert caught.value.again


async def test_a_server_that_closes_at_once_is_unavailable_for_the_reason_that_it_gives() -> None:
    async def away(socket: ServerConnection) -> None:
        await socket.close(1013, "come back later")

    async with serve(away, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(ServerUnavailable, match="come back later") as caught:
            async with route(f"ws://127.0.0.1:{port}").open(WISHES):
                pass
    assert caught.value.again


async def test_the_session_says_when_it_expires() -> None:
    async with realtime_double(Script()) as serving, route(serving.url).open(WISHES) as link:
        assert link.expires_in_s is not None
        assert link.expires_in_s > 0


# --- Parley's own server --------------------------------------------------------------------------------------------------


@both
async def test_parleys_own_server_translates_by_a_conversation_session(dialect: DialectName) -> None:
    config = load(None, {"port": 0, "stt": "bench", "llm": "bench", "tts": "bench"}, {})
    config = replace(config, pipelines={config.default_pipeline: config.pipelines[config.default_pipeline]})
    engines = await LoadedEngines.open_all(config.pipelines.values())
    assert not engines.failures
    async with running(config, engines) as server:
        wishes = RouteWishes("", "en")
        async with ConversationRoute(Server.at(server.ws), beta=dialect == "beta").open(wishes) as link:
            assert link.expires_in_s is not None
            async with reading(link) as reader:
                for sentence in (1, 2):
                    say(link, 1_000 * sentence)
                    await reader.lines(sentence)
                link.finish()
                assert (await reader.ended()).flushed
    assert reader.text == "This is the answer of the bench.\n" * 2
    assert reader.source == ["bench", "bench"]
    assert reader.notes == []
    assert all(len(update.audio) for update in reader.of(TargetAudio))
    assert reader.of(TargetAudio)
    assert reader.of(SourceText)
