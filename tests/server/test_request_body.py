"""A request's body: its bound, declared or received, and a client that goes away in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from parley.server.refusals import Refused
from parley.server.request_body import body_pieces, read_body, too_large
from tests.runtime.rig import settled
from tests.server.harness import running


def request_of(*messages: Message, length: str = "") -> tuple[Request, Iterator[Message]]:
    """A request, and what of its messages has not been received."""
    left = iter(messages)

    async def receive() -> Message:
        return next(left)

    headers = [(b"content-length", length.encode("latin-1"))] if length else []
    return Request({"type": "http", "headers": headers}, receive), left


def piece(data: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


async def test_a_body_of_just_the_bound_is_read_and_a_byte_more_is_refused() -> None:
    request, _ = request_of(piece(b"abc"), piece(b"de", more=False), length="5")
    assert await read_body(request, 5) == b"abcde"
    request, left = request_of(piece(b"abc"), piece(b"def"), piece(b"never asked for", more=False))
    with pytest.raises(Refused) as caught:
        await read_body(request, 5)
    assert (caught.value.refusal.status, caught.value.refusal.code) == (413, "request_too_large")
    assert "5 bytes" in caught.value.refusal.message
    assert len(list(left)) == 1


async def test_a_length_beyond_the_bound_is_refused_before_anything_is_read() -> None:
    request, left = request_of(piece(b"abcdef", more=False), length="6")
    with pytest.raises(Refused) as caught:
        await read_body(request, 5, too_large(5, "name"))
    assert caught.value.refusal.param == "name"
    assert len(list(left)) == 1


@pytest.mark.parametrize("length", ["many", "-6", "\u0665\u0665".encode().decode("latin-1")])
async def test_a_length_that_is_no_number_counts_for_nothing(length: str) -> None:
    request, _ = request_of(piece(b"abc", more=False), length=length)
    assert await read_body(request, 5) == b"abc"


async def test_a_client_that_goes_away_is_told_apart_from_a_body_that_ends() -> None:
    request, _ = request_of(piece(b"abc"), {"type": "http.disconnect"})
    pieces = body_pieces(request, 5)
    assert await anext(pieces) == b"abc"
    with pytest.raises(ClientDisconnect):
        await anext(pieces)


async def test_clients_that_break_off_leave_no_place_taken_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.05)
        raise ConnectionError

    async with running() as server, httpx.AsyncClient() as client:
        for path in (
            "/v1/audio/speech",
            "/v1/audio/transcriptions",
            "/v1/realtime/calls",
            "/v1/realtime/client_secrets",
        ):
            kind = (
                "multipart/form-data; boundary=x" if path.endswith(("transcriptions", "calls")) else "application/json"
            )
            with pytest.raises(ConnectionError):
                await client.post(server.http + path, content=broken(), headers={"content-type": kind})
        await settled(lambda: not len(server.app.audio))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
