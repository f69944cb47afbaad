"""One successful answer of an endpoint, read as JSON, as events or as bytes, each bounded where its bytes arrive.

Laws:
- Nothing is read without a bound: `MAX_ANSWER_BYTES`, `MAX_ERROR_BYTES`, `MAX_REPLY_BYTES`, counted after decompression.
- The event loop runs between two slices of `SLICE_BYTES`, however much has arrived.
- A connection whose event stream has ended is left clean for the next request, where that takes no more than `DRAIN_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from parley.engines.openai_api.errors import Endpoint, StatusError, no_api, seen, stream_failure
from parley.engines.openai_api.server_events import MAX_EVENT_BYTES, EventReader, EventTooLarge, ServerEvent
from parley.engines.ports import EngineError, EngineUnavailable

if TYPE_CHECKING:
    import httpx2

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""A list of models; the longest of the large hosts has under 1 MB."""

MAX_ERROR_BYTES: Final = 64 * 1024
"""Of an answer that reports a failure: a few sentences are quoted."""

MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
"""One answer's stream: 200,000 tokens at 300 bytes of JSON each, more than any model writes or reasons; 11 minutes of 48 kHz audio."""

SLICE_BYTES: Final = 16 * 1024
"""Bytes between two turns of the event loop: some 2 ms of work if they are nothing but tiny events."""

DRAIN_S: Final = 0.1
"""How long the end of a reply's body is waited for. Past it the connection is closed, and the next request opens another."""


class EndpointAnswer:
    """The answer to one request; read it once, by one of its methods. `endpoint` words its errors."""

    def __init__(self, response: httpx2.Response, endpoint: Endpoint) -> None:
        self._response = response
        self._endpoint = endpoint

    @property
    def content_type(self) -> str:
        """The header as it came, "" where it is missing."""
        return str(self._response.headers.get("content-type", ""))

    async def json(self) -> object:
        """The whole answer. Raises `EngineUnavailable` for one that is too long or no JSON."""
        data = await _whole(self._response, MAX_ANSWER_BYTES)
        if data is None:
            raise EngineUnavailable(
                f"The answer of {self._shown} to {self._response.url.path} is longer than {MAX_ANSWER_BYTES >> 20} MiB.",
                code="invalid_base_url",
                remedy=f"Correct {self._endpoint.service.base_url_flag}; it usually ends in /v1.",
            )
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise no_api(data, self._endpoint) from None

    async def slices(self) -> AsyncGenerator[bytes, None]:
        """The bytes as they come, in pieces of at most `SLICE_BYTES`, `MAX_REPLY_BYTES` in all."""
        total = 0
        async with aclosing(_slices(self._response)) as slices:
            async for piece in slices:
                total += len(piece)
                if total > MAX_REPLY_BYTES:
                    raise self._too_large(f"a {self._endpoint.service.answer} of more than {MAX_REPLY_BYTES >> 20} MiB")
                yield piece

    async def beginning(self) -> bytes:
        """The first `MAX_ERROR_BYTES` of an answer that will be an error."""
        return await _whole(self._response, MAX_ERROR_BYTES, cut=True) or b""

    async def events(self) -> AsyncGenerator[ServerEvent, None]:
        """The server-sent events up to `[DONE]`, which is the last one given. Raises `EngineError` for what is no event stream."""
        reader = EventReader()
        began: bytes | None = b""
        async with aclosing(self.slices()) as slices:
            async for piece in slices:
                if began is not None:
                    began = (began + piece).lstrip(b"\xef\xbb\xbf \t\r\n")
                    if not began:
                        continue
                    if began[:1] in b"<{[":
                        raise await self._no_stream(began, slices)
                    piece, began = began, None
                try:
                    events = reader.feed(piece)
                except EventTooLarge:
                    what = f"a piece of a {self._endpoint.service.answer}"
                    raise self._too_large(f"{what} of more than {MAX_EVENT_BYTES >> 10} KiB") from None
                for event in events:
                    yield event
                    if event.data.strip() == "[DONE]":
                        await drain(slices)
                        return
        for event in reader.end():
            yield event

    @property
    def _shown(self) -> str:
        return self._endpoint.shown_url

    def _too_large(self, what: str) -> EngineError:
        remedy = f"Is it a {self._endpoint.service.api}?"
        return EngineError(f"{self._shown} sent {what}.", code="server_error", remedy=remedy)

    async def _no_stream(self, began: bytes, rest: AsyncGenerator[bytes, None]) -> EngineError:
        """The error for a page or a JSON document where events were expected."""
        body = bytearray(began)
        async for piece in rest:
            if len(body) > MAX_ERROR_BYTES:
                break
            body += piece
        return not_what_was_asked(bytes(body), "an event stream", self._endpoint)


def not_what_was_asked(body: bytes, wanted: str, endpoint: Endpoint, given: str = "JSON") -> EngineError:
    """The error for an answer that is a page or a document of the kind `given` where `wanted` ("an event stream") was expected."""
    if body.lstrip()[:1] == b"<":
        return no_api(body, endpoint)
    with contextlib.suppress(ValueError, RecursionError):
        document: Any = json.loads(body)
        if isinstance(document, dict) and (document.get("error") or document.get("detail")):
            return stream_failure(document, endpoint)
    return EngineError(
        f"{endpoint.shown_url} answered with {given} in place of {wanted}{seen(body, endpoint)}.",
        code="server_error",
        remedy=f"Use an endpoint that can send {wanted}, or correct {endpoint.service.base_url_flag}; it usually ends in /v1.",
    )


async def status_error(response: httpx2.Response) -> StatusError:
    """What a response says whose status is not 2xx."""
    body = await _whole(response, MAX_ERROR_BYTES, cut=True) or b""
    text = body.decode("utf-8", "replace")
    try:
        said: object = json.loads(text)
    except (ValueError, RecursionError):
        said = text
    return StatusError(response.status_code, said, response.headers.get("retry-after", ""))


async def drain(rest: AsyncGenerator[object, None]) -> None:
    """Read what follows the last event of an answer, so that the connection can serve the next request."""
    with contextlib.suppress(Exception):  # the answer is whole: what goes wrong now concerns the connection only
        async with asyncio.timeout(DRAIN_S):
            async for _ in rest:
                pass


async def _slices(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """The body, decompressed, in pieces of at most `SLICE_BYTES`; others run in between."""
    since = 0
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            for at in range(0, len(piece), SLICE_BYTES):
                part = piece[at : at + SLICE_BYTES]
                since += len(part)
                if since >= SLICE_BYTES:
                    since = 0
                    await asyncio.sleep(0)
                yield part


async def _whole(response: httpx2.Response, limit: int, *, cut: bool = False) -> bytes | None:
    """The body; None where it is longer than `limit` (`cut`: its beginning)."""
    body = bytearray()
    async with aclosing(_slices(response)) as slices:
        async for piece in slices:
            body += piece
            if len(body) > limit:
                return bytes(body[:limit]) if cut else None
    return bytes(body)
