"""MCP servers that answer without end are given up, with the reason."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from parley.engines.tools.bounded_http import MAX_ANSWER_BYTES
from parley.engines.tools.mcp import MAX_PAGES, connect
from parley.engines.tools.ports import MAX_TOOLS_TEXT, ToolServerAddress, ToolServerError

Answer = Callable[[int], tuple[list[tuple[bytes, bytes]], list[bytes]]]
"""What the server sends for the n-th request of its tools: further headers, and the body in chunks."""


class OddServer:
    """An MCP server over plain HTTP that does the handshake rightly; `pages` counts the requests of its tools."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.pages = 0
        self.url = ""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        question = json.loads(body) if body else {}
        headers, chunks = [(b"content-type", b"application/json")], [b""]
        status = 200
        match question.get("method"):
            case "initialize":
                result = {
                    "protocolVersion": question["params"]["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "odd", "version": "1"},
                }
                chunks = [json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": result}).encode()]
            case "tools/list":
                self.pages += 1
                further, chunks = self.answer(question["id"])
                headers += further
            case None:
                status = 405
            case _:
                status = 202
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[OddServer]:
    odd = OddServer(answer)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(odd.app, log_level="critical", interface="asgi3", lifespan="off", timeout_graceful_shutdown=1)
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    odd.url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    try:
        yield odd
    finally:
        server.should_exit = True
        await running
        listener.close()


def page(number: int, tools: list[dict[str, Any]]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": {"tools": tools, "nextCursor": f"{number}"}}).encode()


def tool(name: str, description: str = "") -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}


async def fault(odd: OddServer, most: int = 256) -> ToolServerError:
    with pytest.raises(ToolServerError) as caught:
        async with connect(ToolServerAddress(odd.url)) as connection:
            await connection.tools(most)
    return caught.value


@pytest.mark.slow
async def test_a_list_whose_pages_never_end_is_given_up() -> None:
    async with serving(lambda number: ([], [page(number, [])])) as odd:
        error = await fault(odd)
    assert "more than 64 pages" in error.message
    assert odd.pages == MAX_PAGES


async def test_pages_of_long_descriptions_end_at_the_bound_of_their_text() -> None:
    async with serving(lambda number: ([], [page(number, [tool(f"t{number}", "x" * 100_000)])])) as odd:
        error = await fault(odd)
    assert str(MAX_TOOLS_TEXT) in error.message
    assert odd.pages == 3


async def test_too_many_tools_are_refused_with_the_number_that_is_accepted() -> None:
    async with serving(lambda number: ([], [page(number, [tool(f"t{index}") for index in range(5)])])) as odd:
        error = await fault(odd, most=4)
    assert "at most 4 tools" in error.message


async def test_an_answer_that_never_ends_is_cut_off() -> None:
    piece = b" " * (1024 * 1024)
    count = MAX_ANSWER_BYTES // len(piece) + 2
    async with serving(lambda number: ([], [piece] * count)) as odd:
        error = await fault(odd)
    assert "more than 16 MiB" in error.message


async def test_an_answer_that_is_compressed_is_refused() -> None:
    squeezed = gzip.compress(page(1, []))
    async with serving(lambda number: ([(b"content-encoding", b"gzip")], [squeezed])) as odd:
        error = await fault(odd)
    assert "compressed (gzip)" in error.message
