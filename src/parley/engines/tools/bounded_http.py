"""HTTP answers of MCP servers, in bounded memory: the library reads each answer whole before anything looks at it.

Laws: an answer of more than `MAX_ANSWER_BYTES` fails; a compressed one is refused, because a few bytes of it can stand for gigabytes
(requests say `Accept-Encoding: identity`).
"""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx2

from parley.engines.llm.openai import is_loopback
from parley.engines.tools.ports import ToolServerError

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Sixty times the longest list of tools that is accepted. The stream of a server's own messages is one answer too, and lives as long as
the session."""


def bounded_transport(url: str) -> httpx2.AsyncBaseTransport:
    """A transport to the server at `url` for `httpx2.AsyncClient`, whose answers end at the bound with a `ToolServerError`."""
    return _Bounded(httpx2.AsyncHTTPTransport(proxy=_proxy(url)))


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for `url`; none for this machine. A client whose transport is given looks for none by itself."""
    address, proxies = urlsplit(url), urllib.request.getproxies()
    host = address.hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxy = proxies.get(address.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


class _Bounded(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self._inner.handle_async_request(request)
        assert isinstance(answer.stream, httpx2.AsyncByteStream)
        encoding = answer.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            await answer.stream.aclose()
            raise ToolServerError("http_error", f"Its answer is compressed ({encoding}), which was not asked for.")
        answer.stream = _BoundedStream(answer.stream)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise ToolServerError("http_error", f"Its answer has more than {MAX_ANSWER_BYTES >> 20} MiB.")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
