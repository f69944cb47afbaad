"""A chat endpoint over HTTP: requests, JSON answers and event streams, each of them bounded where its bytes arrive.

Laws:
- Nothing is read without a bound: `MAX_ANSWER_BYTES`, `MAX_ERROR_BYTES`, `MAX_REPLY_BYTES`, counted after decompression.
- The event loop runs between two slices of `SLICE_BYTES`, however much has arrived.
- A redirect is followed within the endpoint's origin only: the conversation and the key go nowhere else.
- Nothing of one reply is kept for the next one, cookies included.
- A connection whose reply has ended is left clean for the next request, where that takes no more than `DRAIN_S`.

`httpx2` is imported when a client is made, and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

from parley.engines.llm.openai_errors import StatusError, shown, stream_failure
from parley.engines.llm.server_events import MAX_EVENT_BYTES, EventReader, EventTooLarge, ServerEvent
from parley.engines.ports import EngineError, EngineUnavailable

if TYPE_CHECKING:
    import httpx2

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""A list of models; the longest of the large hosts has under 1 MB."""

MAX_ERROR_BYTES: Final = 64 * 1024
"""Of an answer that reports a failure: a few sentences are quoted."""

MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
"""One reply's stream: 200,000 tokens at 300 bytes of JSON each, more than any model writes or reasons."""

SLICE_BYTES: Final = 16 * 1024
"""Bytes between two turns of the event loop: some 2 ms of work if they are nothing but tiny events."""

MAX_REDIRECTS: Final = 3
"""Within one origin: a missing slash, a version of the API. More is a loop."""

DRAIN_S: Final = 0.1
"""How long the end of a reply's body is waited for. Past it the connection is closed, and the next request opens another."""

MAX_CONNECTIONS: Final = 1000
"""Replies at once, far beyond what one process can speak; the client's own default of 100 would be a queue."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPING: Final = frozenset({307, 308})
_TITLE: Final = re.compile(r"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
_MAX_QUOTE_CHARS: Final = 80


class EndpointClient:
    """The HTTP side of one endpoint. Making one blocks for a few ms (imports, certificates): do it in a thread.

    `headers` go with every request. A proxy from the environment is used unless the endpoint is on this machine.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout_s: float,
        key: str = "",
        proxies: bool = True,
    ) -> None:
        import httpx2

        self.base_url = base_url
        self._key = key
        self._client = httpx2.AsyncClient(
            headers={"user-agent": "parley", "accept-encoding": "identity", **headers},
            timeout=httpx2.Timeout(None, connect=connect_timeout_s),
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=100),
            trust_env=proxies,
            follow_redirects=False,
        )
        self._sending: set[asyncio.Task[httpx2.Response]] = set()
        """Requests without an answer so far."""
        self._closing = asyncio.Event()

    async def close(self) -> None:
        """End every request and close the connections: one that is being made would not be among those that the client closes."""
        self._closing.set()
        for sending in tuple(self._sending):
            sending.cancel()
        if self._sending:
            await asyncio.wait(tuple(self._sending))
        await self._client.aclose()

    async def get_json(self, path: str) -> object:
        """The JSON at a path. Raises `StatusError`, `EngineError`s and the errors of `httpx2`."""
        async with self._answer("GET", path, None) as response:
            data = await _whole(response, MAX_ANSWER_BYTES)
            if data is None:
                raise EngineUnavailable(
                    f"The answer of {self._shown} to {path} is longer than {MAX_ANSWER_BYTES >> 20} MiB.",
                    code="invalid_base_url",
                    remedy="Correct --llm-base-url; it usually ends in /v1.",
                )
            try:
                return json.loads(data)
            except (ValueError, RecursionError):
                raise self.no_api(data) from None

    @asynccontextmanager
    async def stream(
        self, path: str, body: Mapping[str, object]
    ) -> AsyncGenerator[AsyncGenerator[ServerEvent, None], None]:
        """Post `body` and give the events of the answer. Leaving the context closes the request.

        Raises `StatusError`, `EngineError`s and the errors of `httpx2`, here and while the events are read.
        """
        # ("replace": half a character cannot be sent, and must not fail every later turn)
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        async with self._answer("POST", path, content) as response, aclosing(self._events(response)) as events:
            yield events

    @property
    def _shown(self) -> str:
        return shown(self.base_url)

    def no_api(self, body: bytes) -> EngineUnavailable:
        """What is raised where something answers that is not the API."""
        return EngineUnavailable(
            f"What answers at {self._shown} is no OpenAI-compatible API{_seen(body)}.",
            code="invalid_base_url",
            remedy="Correct --llm-base-url; it usually ends in /v1.",
        )

    # --- requests ---

    def _url(self, path: str) -> str:
        parts = urlsplit(self.base_url)
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))

    @asynccontextmanager
    async def _answer(self, method: str, path: str, content: bytes | None) -> AsyncGenerator[httpx2.Response, None]:
        """A successful answer whose body is still to be read."""
        url = self._url(path)
        kind = {"content-type": "application/json"} if content is not None else {}
        for _ in range(MAX_REDIRECTS + 1):
            request = self._client.build_request(method, url, content=content, headers=kind)
            response = await self._send(request)
            self._client.cookies.clear()  # nothing of one reply goes into another one's request
            async with aclosing(response):
                if response.status_code in _REDIRECTS:
                    url = self._redirected(url, method, response)
                    continue
                if not response.is_success:
                    raise await _status_error(response)
                yield response
                return
        raise self._unfollowed(f"{self._shown} redirects in a circle, or more than {MAX_REDIRECTS} times.")

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        """The head of the answer. Raises `EngineUnavailable` where the client is closed meanwhile."""
        if self._closing.is_set():
            raise self._is_closed()
        sending = asyncio.get_running_loop().create_task(self._client.send(request, stream=True))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        try:
            return await sending
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._closing.is_set() and caller is not None and not caller.cancelling():
                raise self._is_closed() from None
            raise

    def _is_closed(self) -> EngineUnavailable:
        return EngineUnavailable(f"The connection to {self._shown} was closed.", code="engine_closed")

    def _redirected(self, url: str, method: str, response: httpx2.Response) -> str:
        """Where to ask again. Raises `EngineUnavailable` for another origin, and for what would turn a post into a get."""
        target = urljoin(url, response.headers.get("location", ""))
        if _origin(target) != _origin(url):
            raise self._unfollowed(
                f"{self._shown} redirects to another server, {shown(target)}, and the conversation is not sent there."
            )
        if method != "GET" and response.status_code not in _KEEPING:
            raise self._unfollowed(f"{self._shown} redirects to {shown(target)} (HTTP {response.status_code}).")
        # Without this a user and password in the base URL would be lost on the way.
        return urlunsplit(urlsplit(target)._replace(netloc=urlsplit(url).netloc))

    def _unfollowed(self, message: str) -> EngineUnavailable:
        return EngineUnavailable(message, code="invalid_base_url", remedy="Set --llm-base-url to where the API is.")

    # --- event streams ---

    async def _events(self, response: httpx2.Response) -> AsyncGenerator[ServerEvent, None]:
        """The events of a reply up to `[DONE]`, which is the last one given."""
        reader = EventReader()
        began: bytes | None = b""
        total = 0
        async with aclosing(_slices(response)) as slices:
            async for piece in slices:
                total += len(piece)
                if total > MAX_REPLY_BYTES:
                    raise self._too_large(f"a reply of more than {MAX_REPLY_BYTES >> 20} MiB")
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
                    raise self._too_large(f"a piece of a reply of more than {MAX_EVENT_BYTES >> 10} KiB") from None
                for event in events:
                    yield event
                    if event.data.strip() == "[DONE]":
                        await _drain(slices)
                        return
        for event in reader.end():
            yield event

    def _too_large(self, what: str) -> EngineError:
        return EngineError(f"{self._shown} sent {what}.", code="server_error", remedy="Is it a chat-completions API?")

    async def _no_stream(self, began: bytes, rest: AsyncGenerator[bytes, None]) -> EngineError:
        """The error for a page or a JSON document where events were expected."""
        body = bytearray(began)
        async for piece in rest:
            if len(body) > MAX_ERROR_BYTES:
                break
            body += piece
        if body[:1] == b"<":
            return self.no_api(bytes(body))
        with contextlib.suppress(ValueError, RecursionError):
            document: Any = json.loads(bytes(body))
            if isinstance(document, dict) and document.get("error"):
                return stream_failure(document, self._shown, self._key)
        return EngineError(
            f"{self._shown} answered with JSON in place of an event stream{_seen(bytes(body))}.",
            code="server_error",
            remedy="Use an endpoint that can stream chat completions, or correct --llm-base-url; it usually ends in /v1.",
        )


async def _status_error(response: httpx2.Response) -> StatusError:
    body = await _whole(response, MAX_ERROR_BYTES, cut=True) or b""
    text = body.decode("utf-8", "replace")
    try:
        said: object = json.loads(text)
    except (ValueError, RecursionError):
        said = text
    return StatusError(response.status_code, said, response.headers.get("retry-after", ""))


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


async def _drain(slices: AsyncGenerator[bytes, None]) -> None:
    """Read what follows the reply's last event, so that the connection can serve the next one."""
    with contextlib.suppress(Exception):  # the reply is whole: what goes wrong now concerns the connection only
        async with asyncio.timeout(DRAIN_S):
            async for _ in slices:
                pass


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _seen(body: bytes) -> str:
    """What a body that is no answer looks like, as the end of a sentence."""
    text = body[:MAX_ERROR_BYTES].decode("utf-8", "replace").strip()
    if not text:
        return " (an empty answer)"
    if text.startswith("<"):
        title = _TITLE.search(text)
        return f" but a web page ({' '.join(title.group(1).split())!r})" if title else " but a web page"
    return f" ({' '.join(text[:_MAX_QUOTE_CHARS].split())!r})"
