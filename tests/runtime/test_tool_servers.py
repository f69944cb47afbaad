"""A session's connections to MCP servers: what the core gives up is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from parley.core.words.effects import AbandonCall, AbandonListing, CallTool, ListTools
from parley.core.words.events import Event, ToolFailed, ToolListingFailed
from parley.core.words.ids import ListingId, ToolCallId
from parley.core.words.settings import McpServer
from parley.engines.tools.ports import ToolConnection, ToolDescription, ToolServerAddress
from parley.runtime import tool_servers
from parley.runtime.tool_servers import ToolServerClient

BOOKS = McpServer("books", "http://127.0.0.1:9/mcp")


class Connections:
    """A server whose `stuck` questions are never answered; `open` counts its connections, `asked` is set by each question.

    Its own work on the question `cancels` is cancelled.
    """

    def __init__(self, *stuck: str, closes: bool = True, cancels: str = "") -> None:
        self.stuck = stuck
        self.closes = closes
        self.cancels = cancels
        self.open = 0
        self.made = 0
        self.asked = asyncio.Event()
        self.closed = asyncio.Event()

    @asynccontextmanager
    async def connect(self, address: ToolServerAddress) -> AsyncGenerator[ToolConnection, None]:
        self.open += 1
        self.made += 1
        if self.cancels == "connect":
            raise asyncio.CancelledError
        try:
            yield self
            if not self.closes:
                await asyncio.Event().wait()
        finally:
            self.open -= 1
            self.closed.set()

    async def _answer(self, question: str) -> None:
        self.asked.set()
        if question in self.stuck:
            await asyncio.Event().wait()
        if question == self.cancels:
            raise asyncio.CancelledError

    async def tools(self, most: int) -> tuple[ToolDescription, ...]:
        await self._answer("list")
        return ()

    async def call(self, name: str, arguments: str) -> str:
        await self._answer(name)
        return "done"


class Posted:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.came = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.came.set()


async def test_an_abandoned_listing_ends_with_its_connection_and_without_an_event() -> None:
    server, posted = Connections("list"), Posted()
    tools = ToolServerClient(posted, server.connect)
    tools.list_tools(ListTools(ListingId(1), BOOKS))
    await server.asked.wait()
    tools.abandon_listing(AbandonListing(ListingId(1)))
    await server.closed.wait()
    assert server.open == 0
    assert tools.tasks() == set()
    assert posted.events == []


async def test_an_abandoned_call_leaves_the_other_calls_their_connection() -> None:
    server, posted = Connections("stuck", "slow"), Posted()
    tools = ToolServerClient(posted, server.connect)
    tools.call(CallTool(ToolCallId(1), BOOKS, "stuck", "{}"))
    tools.call(CallTool(ToolCallId(2), BOOKS, "slow", "{}"))
    await server.asked.wait()
    tools.abandon_call(AbandonCall(ToolCallId(1)))
    await asyncio.wait(tools.tasks(), return_when=asyncio.FIRST_COMPLETED)
    assert server.open == 1, "the other call still needs the connection"
    tools.abandon_call(AbandonCall(ToolCallId(2)))
    await server.closed.wait()
    assert posted.events == []


@pytest.mark.parametrize("work", ["connect", "list", "find"])
async def test_work_that_a_connection_has_cancelled_itself_fails_its_question(work: str) -> None:
    server, posted = Connections(cancels=work), Posted()
    tools = ToolServerClient(posted, server.connect)
    if work == "find":
        tools.call(CallTool(ToolCallId(1), BOOKS, "find", "{}"))
    else:
        tools.list_tools(ListTools(ListingId(1), BOOKS))
    await asyncio.wait(tools.tasks())
    assert [type(event) for event in posted.events] == [ToolFailed if work == "find" else ToolListingFailed]
    tools.release()


async def test_the_next_question_after_an_abandoned_one_opens_a_connection_of_its_own() -> None:
    server, posted = Connections("stuck"), Posted()
    tools = ToolServerClient(posted, server.connect)
    tools.call(CallTool(ToolCallId(1), BOOKS, "stuck", "{}"))
    await server.asked.wait()
    tools.abandon_call(AbandonCall(ToolCallId(1)))
    await server.closed.wait()
    tools.call(CallTool(ToolCallId(2), BOOKS, "find", "{}"))
    await posted.came.wait()
    assert server.made == 2
    tools.release()


async def test_a_connection_whose_end_is_not_answered_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Connections(closes=False)
    tools = ToolServerClient(Posted(), server.connect)
    tools.list_tools(ListTools(ListingId(1), BOOKS))
    await server.asked.wait()
    monkeypatch.setattr(tool_servers, "CLOSE_S", 0.0)
    tools.release()
    await server.closed.wait()
    assert server.open == 0
