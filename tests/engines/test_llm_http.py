"""A chat endpoint can neither fill nor stop the server, is never sent on to another one, and every strange answer says what to do."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable

import pytest

from parley.engines.llm.openai import CHAT, create
from parley.engines.openai_api.answer import MAX_ERROR_BYTES, SLICE_BYTES
from parley.engines.openai_api.client import EndpointClient
from parley.engines.openai_api.server_events import MAX_EVENT_BYTES
from parley.engines.ports import ChatEnd, EngineUnavailable
from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.engines.llm_replies import HELLO, KEY, error_of, replied, text_of
from tests.engines.test_llm_openai import connected, failing, say_hello

MEBIBYTE = 1024 * 1024


def repeating(data: bytes, begin: Callable[[Answer], Awaitable[None]] | None = None, **headers: str) -> Script:
    """A reply that sends `data` until the client leaves."""

    async def script(request: Request, answer: Answer) -> None:
        if begin is not None:
            await begin(answer)
        while True:
            await answer.raw(data, **headers)

    return script


async def say_x(answer: Answer) -> None:
    await answer.delta(content="x")


async def finish(answer: Answer) -> None:
    await answer.delta(content="x", finish="stop")


async def finish_and_close(answer: Answer) -> None:
    await finish(answer)
    await answer.event("[DONE]")


# --- bounds ---


@pytest.mark.parametrize("begun", [None, say_x], ids=["at once", "in mid-reply"])
async def test_a_line_that_never_ends_is_given_up_when_it_is_too_long(
    begun: Callable[[Answer], Awaitable[None]] | None,
) -> None:
    tracemalloc.start()
    try:
        async with connected(repeating(b"data: " + b"x" * 100_000, begun)) as (engine, _):
            error = await error_of(engine)
            assert error.code == "server_error"
            assert f"{MAX_EVENT_BYTES >> 10} KiB" in str(error)
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBIBYTE
    finally:
        tracemalloc.stop()


async def test_a_delta_of_a_million_characters_is_refused() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.text("x" * 1_000_000)

    async with connected(script) as (engine, _):
        assert "a piece of a reply" in str(await error_of(engine))


@pytest.mark.slow
async def test_a_compressed_reply_counts_by_what_comes_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.engines.openai_api.answer.MAX_REPLY_BYTES", 4 * MEBIBYTE)
    bomb = gzip.compress(b": nothing\n" * 10_000_000)
    assert len(bomb) < MEBIBYTE

    async def script(request: Request, answer: Answer) -> None:
        await answer.raw(bomb, content_encoding="gzip")
        await answer.until_client_leaves()

    async with connected(script) as (engine, server):
        error = await error_of(engine)
        assert "a reply of more than 4 MiB" in str(error)
        assert server.requests[-1].headers["accept-encoding"] == "identity"


async def test_a_compressed_reply_is_read_all_the_same() -> None:
    async def script(request: Request, answer: Answer) -> None:
        packed = zlib.compressobj(wbits=31)
        for piece in (
            b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n',
            b"data: [DONE]\n\n",
        ):
            await answer.raw(packed.compress(piece) + packed.flush(zlib.Z_SYNC_FLUSH), content_encoding="gzip")
        await answer.raw(packed.flush())
        await answer.end()

    async def torn(request: Request, answer: Answer) -> None:
        await answer.raw(b"data: no gzip", content_encoding="gzip")
        await answer.end()

    async with connected(script) as (engine, _):
        assert text_of(await replied(engine)) == "Hi"
    async with connected(torn) as (engine, _):
        assert "cannot be decompressed" in str(await error_of(engine))


SIGNS_OF_LIFE = {
    "comments": b": still here\n\n",
    "empty events": b"data:\n\n",
    "empty deltas": b'data: {"choices":[{"delta":{"content":""}}]}\n\n',
    "chunks without a choice": b'data: {"choices":[]}\n\n',
}


@pytest.mark.slow
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("sign", SIGNS_OF_LIFE)
async def test_signs_of_life_do_not_renew_the_time_limits(sign: str, begun: bool) -> None:
    script = repeating(SIGNS_OF_LIFE[sign] * 20, say_x if begun else None)
    options = {"timeout_s": 30, "token_timeout_s": 0.2} if begun else {"timeout_s": 0.2, "token_timeout_s": 30}
    async with connected(script, **options) as (engine, server):
        async with asyncio.timeout(10):
            error = await error_of(engine)
        assert error.code == "timeout"
        assert ("stopped in the middle of its reply" in str(error)) is begun
        assert ("token_timeout_s" in str(error)) is begun
        assert len(server.bodies) == 1


@pytest.mark.parametrize("end", [finish, finish_and_close])
async def test_nothing_that_follows_the_end_holds_it_back(end: Callable[[Answer], Awaitable[None]]) -> None:
    async with connected(repeating(SIGNS_OF_LIFE["empty deltas"] * 20, end)) as (engine, _):
        async with asyncio.timeout(10):
            assert (await replied(engine))[-1] == ChatEnd("stop")


async def test_others_run_between_the_slices_of_what_has_arrived() -> None:
    """A flood of tiny events: counted are the turns that another task gets while they are read."""
    flood = SIGNS_OF_LIFE["empty deltas"] * (64 * SLICE_BYTES // len(SIGNS_OF_LIFE["empty deltas"]))
    bomb = gzip.compress(flood)

    async def script(request: Request, answer: Answer) -> None:
        await answer.raw(bomb, content_encoding="gzip")
        await answer.raw(gzip.compress(b""))
        await answer.end()

    turns = 0

    async def bystander() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with connected(script) as (engine, _):
        other = asyncio.create_task(bystander())
        client = engine._connection.client
        async with client.stream("/chat/completions", {"stream": True}) as events:
            await anext(events)
            before = turns
            assert [event async for event in events]
            assert turns - before >= 60
        other.cancel()


async def test_a_connection_serves_the_next_reply_when_the_last_one_ended_well() -> None:
    ports = set()

    async def script(request: Request, answer: Answer) -> None:
        ports.add(answer.client_port)
        await answer.text("Hello!")

    async with connected(script) as (engine, _):
        for _ in range(3):
            events = engine.reply(HELLO)
            async for event in events:
                if isinstance(event, ChatEnd):
                    break
            await events.aclose()  # type: ignore[attr-defined]
    assert len(ports) == 1


async def test_no_cookie_of_one_reply_goes_into_the_next_request() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.raw(b": hello\n\n", set_cookie="session=of-somebody; Path=/")
        await answer.text("Hello!")

    async with connected(script) as (engine, server):
        for _ in range(2):
            await replied(engine)
        assert all("cookie" not in request.headers for request in server.requests)


# --- redirects ---


async def test_a_redirect_within_the_server_is_followed() -> None:
    server = ChatServer([say_hello], redirect=(307, "/moved"))
    async with server.running():
        engine = create("m", {"base_url": server.url, "warm_up": False, "api_key": KEY})
        await engine.open()
        assert text_of(await replied(engine)) == "Hello!"
        assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"
        await engine.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_server_is_not_followed_with_the_conversation_or_the_key(status: int) -> None:
    elsewhere = ChatServer([say_hello])

    async def redirecting(request: Request, answer: Answer) -> None:
        location = f"http://user:word@127.0.0.1:{elsewhere.port}/v1/chat/completions?token=t"
        await answer.json(status, {}, {"location": location})

    async with elsewhere.running(), connected(redirecting, api_key=KEY) as (engine, server):
        error = await error_of(engine)
        assert error.code == "invalid_base_url"
        assert f"redirects to another server, http://127.0.0.1:{elsewhere.port}/v1" in str(error)
        assert "--llm-base-url" in str(error)
        assert "word" not in str(error)
        assert "token" not in str(error)
        assert len(server.bodies) == 1
        assert elsewhere.requests == []


async def test_a_redirect_at_start_up_is_not_followed_either() -> None:
    elsewhere = ChatServer([say_hello])
    async with elsewhere.running():
        server = ChatServer([say_hello], redirect=(302, f"http://127.0.0.1:{elsewhere.port}"))
        async with server.running():
            with pytest.raises(EngineUnavailable, match="redirects to another server"):
                await create("m", {"base_url": server.url, "api_key": KEY}).open()
        assert elsewhere.requests == []


@pytest.mark.parametrize(("location", "words"), [("/v1/chat/completions", "in a circle"), ("", "in a circle")])
async def test_a_loop_of_redirects_says_so(location: str, words: str) -> None:
    async with connected(failing(307, {}, {"location": location})) as (engine, server):
        error = await error_of(engine)
        assert error.code == "invalid_base_url"
        assert words in str(error)
        assert len(server.bodies) == 4


async def test_a_redirect_that_would_drop_the_conversation_names_the_address_to_use() -> None:
    async with connected(failing(301, {}, {"location": "/api/v1/chat/completions"})) as (engine, _):
        assert "/api/v1/chat/completions (HTTP 301). Set --llm-base-url" in str(await error_of(engine))


# --- what is no event stream ---


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"<!DOCTYPE html><html><title>Welcome to nginx!</title>", "invalid_base_url", "'Welcome to nginx!'"),
        (b"\xef\xbb\xbf\n  <html>", "invalid_base_url", "a web page"),
        (b'{"choices":[{"message":{"content":"Hello!"}}]}', "server_error", "JSON in place of an event stream"),
        (
            b'{"message":{"content":"Hel"},"done":false}\n{"done":true}\n',
            "server_error",
            "JSON in place of an event stream",
        ),
        (b'{"error":{"message":"no memory"}}', "server_error", "no memory"),
        (b'{"error":"model is loading"}', "server_error", "model is loading"),
        (b"", "server_error", "ended in the middle"),
        (b"<html>" + b"x" * 3 * MAX_ERROR_BYTES, "invalid_base_url", "a web page"),
    ],
)
async def test_an_answer_that_is_no_event_stream_says_what_it_is(body: bytes, code: str, words: str) -> None:
    async with connected(failing(200, body), api_key=KEY) as (engine, server):
        error = await error_of(engine)
        assert (error.code, words in str(error)) == (code, True), str(error)
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (b"<html><title>Router login</title>", "'Router login'"),
        (b'{"status":"ok"}', "no OpenAI-compatible API"),
        (b"[" * 100_000, "no OpenAI-compatible API"),
        (b"x" * (9 * MEBIBYTE), "longer than 8 MiB"),
    ],
)
async def test_a_list_of_models_that_is_none_says_what_it_is(models: bytes, words: str) -> None:
    server = ChatServer([say_hello], models=models)
    async with server.running():
        with pytest.raises(EngineUnavailable) as caught:
            await create("m", {"base_url": server.url}).open()
    assert caught.value.code == "invalid_base_url"
    assert words in str(caught.value)
    assert "--llm-base-url" in str(caught.value)


async def test_a_page_of_an_error_is_read_to_a_bound_only() -> None:
    async with connected(failing(403, b"<html>" + b"x" * 3 * MEBIBYTE)) as (engine, _):
        assert (await error_of(engine)).code == "permission_denied"


async def test_an_error_in_a_list_is_read() -> None:
    async with connected(failing(400, [{"error": {"message": "Bad tool.", "code": 400}}])) as (engine, _):
        assert "Bad tool." in str(await error_of(engine))


async def test_a_key_that_http_cannot_carry_is_named_by_its_setting() -> None:
    with pytest.raises(EngineUnavailable, match=r"llm_options\.api_key") as caught:
        await create("m", {"base_url": "http://127.0.0.1:1/v1", "api_key": "schlüssel-ж"}).open()
    assert "ж" not in str(caught.value)


async def test_half_a_character_in_the_conversation_does_not_fail_the_reply() -> None:
    async with connected(say_hello) as (engine, server):
        client = engine._connection.client
        async with client.stream("/chat/completions", {"text": "a\ud83d"}) as events:
            assert [event async for event in events]
        assert server.bodies[-1] == {"text": "a?"}


async def test_a_query_in_the_base_url_stays_at_its_end() -> None:
    server = ChatServer([say_hello])
    async with server.running():
        client = EndpointClient(f"{server.url}?api-version=1", {}, CHAT, connect_timeout_s=1)
        with pytest.raises(Exception, match="404"):
            await client.get_json("/models")
        await client.close()
    assert server.requests[-1].path == "/v1/models?api-version=1"
