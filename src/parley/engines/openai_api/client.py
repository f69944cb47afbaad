"""An OpenAI-compatible endpoint over HTTP: requests, JSON answers, event streams and audio.

Laws:
- A redirect is followed within the endpoint's origin only: what was asked and the key go nowhere else.
- Nothing of one answer is kept for the next one, cookies included.
- Leaving the context of an answer closes its request.

`httpx2` is imported when a client is made, and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from parley.engines.openai_api.answer import EndpointAnswer, status_error
from parley.engines.openai_api.errors import Endpoint, shown
from parley.engines.openai_api.keys import origin
from parley.engines.openai_api.server_events import ServerEvent
from parley.engines.openai_api.service import Service
from parley.engines.ports import EngineUnavailable

if TYPE_CHECKING:
    import httpx2

MAX_REDIRECTS: Final = 3
"""Within one origin: a missing slash, a version of the API. More is a loop."""

MAX_CONNECTIONS: Final = 1000
"""Replies at once, far beyond what one process can speak; the client's own default of 100 would be a queue."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPING: Final = frozenset({307, 308})


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form: text fields, of which a name may come more than once, and one file in the field `file_field`."""

    fields: Sequence[tuple[str, str]]
    file_name: str
    file_type: str
    file: bytes
    file_field: str = "file"


Body = Mapping[str, object] | bytes | Form
"""What is posted: JSON, as an object or as its text, or a form."""


class EndpointClient:
    """The HTTP side of one endpoint. Making one blocks for a few ms (imports, certificates): do it in a thread.

    `service` words its errors, in which none of the `secrets` stands. `headers` go with every request. A proxy from the environment is
    used unless the endpoint is on this machine.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        service: Service,
        *,
        connect_timeout_s: float,
        secrets: Sequence[str] = (),
        proxies: bool = True,
    ) -> None:
        import httpx2

        self.base_url = base_url
        self._service = service
        self._secrets = secrets
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
        """End every request and close the connections. A connection that is being made is not among those that the client closes."""
        self._closing.set()
        for sending in tuple(self._sending):
            sending.cancel()
        if self._sending:
            await asyncio.wait(tuple(self._sending))
        await self._client.aclose()

    async def get_json(self, path: str, query: Mapping[str, str] | None = None) -> object:
        """The JSON at a path. Raises `StatusError`, `EngineError`s and the errors of `httpx2`."""
        async with self._answer("GET", path, None, query or {}) as answer:
            return await answer.json()

    @asynccontextmanager
    async def post(self, path: str, body: Body) -> AsyncGenerator[EndpointAnswer, None]:
        """Post `body` and give the successful answer, still to be read. Leaving the context closes the request.

        Raises `StatusError`, `EngineError`s and the errors of `httpx2`, here and while the answer is read.
        """
        async with self._answer("POST", path, body) as answer:
            yield answer

    @asynccontextmanager
    async def stream(self, path: str, body: Body) -> AsyncGenerator[AsyncGenerator[ServerEvent, None], None]:
        """Post `body` and give the events of the answer; otherwise as `post()`."""
        async with self.post(path, body) as answer, aclosing(answer.events()) as events:
            yield events

    @property
    def _shown(self) -> str:
        return shown(self.base_url)

    # --- requests ---

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        parts = urlsplit(self.base_url)
        asked = "&".join(filter(None, (parts.query, urlencode(query))))
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=asked))

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: Body | None, query: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncGenerator[EndpointAnswer, None]:
        """A successful answer whose body is still to be read."""
        url = self._url(path, query)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(self._request(method, url, body))
            self._client.cookies.clear()  # nothing of one answer goes into another one's request
            async with aclosing(response):
                if response.status_code in _REDIRECTS:
                    url = self._redirected(url, method, response)
                    continue
                if not response.is_success:
                    raise await status_error(response)
                yield EndpointAnswer(response, Endpoint(self.base_url, "", self._service, secrets=self._secrets))
                return
        raise self._unfollowed(f"{self._shown} redirects in a circle, or more than {MAX_REDIRECTS} times.")

    def _request(self, method: str, url: str, body: Body | None) -> httpx2.Request:
        if isinstance(body, Form):
            fields: dict[str, list[str]] = {}
            for name, value in body.fields:
                fields.setdefault(name, []).append(value.encode("utf-8", "replace").decode())
            file = {body.file_field: (body.file_name, body.file, body.file_type)}
            return self._client.build_request(method, url, data=fields, files=file)
        if body is None:
            return self._client.build_request(method, url)
        # ("replace": half a character cannot be sent, and must not fail every later turn)
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return self._client.build_request(method, url, content=content, headers={"content-type": "application/json"})

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
        if origin(target) != origin(url):
            raise self._unfollowed(
                f"{self._shown} redirects to another server, {shown(target)}, and the {self._service.input} is not sent there."
            )
        if method != "GET" and response.status_code not in _KEEPING:
            raise self._unfollowed(f"{self._shown} redirects to {shown(target)} (HTTP {response.status_code}).")
        # Without this a user and password in the base URL would be lost on the way.
        return urlunsplit(urlsplit(target)._replace(netloc=urlsplit(url).netloc))

    def _unfollowed(self, message: str) -> EngineUnavailable:
        remedy = f"Set {self._service.base_url_flag} to where the API is."
        return EngineUnavailable(message, code="invalid_base_url", remedy=remedy)
