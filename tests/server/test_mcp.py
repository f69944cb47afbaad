"""MCP servers over the wire: a real one on loopback, whose tools the server itself lists and calls."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from parley.engines.ports import ToolCallDelta
from parley.testing.fakes import FakeModel
from tests.server.harness import Engines, Running, Talk, configured, running, talking

KEY = "shelf-key"


class Library:
    """A real MCP server with two tools; `calls` are those that were made, `hold` keeps `find` waiting until it is set."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.began = asyncio.Event()
        self.server = MCPServer("library")
        self.server.tool(annotations=ToolAnnotations(read_only_hint=True))(self.find)
        self.server.tool()(self.lend)
        self.url = ""

    async def find(self, title: str) -> str:
        """Says on which shelf a book is."""
        self.calls.append(f"find {title}")
        self.began.set()
        await self.hold.wait()
        return f"{title} is on the third shelf."

    def lend(self, title: str) -> str:
        """Lends a book."""
        self.calls.append(f"lend {title}")
        if title == "Ulysses":
            raise ToolError("It is lent out.")
        return f"{title} is yours until Monday."


@asynccontextmanager
async def library() -> AsyncIterator[Library]:
    """The library, which requires its key."""
    books = Library()
    inner: Any = books.server.streamable_http_app()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        wrong = scope["type"] == "http" and (b"authorization", f"Bearer {KEY}".encode()) not in scope["headers"]
        if wrong:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await inner(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="critical", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    books.url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    try:
        yield books
    finally:
        books.hold.set()
        server.should_exit = True
        await serving
        listener.close()


def wants(name: str, title: str) -> list[Any]:
    """What a model writes that calls a tool."""
    return [ToolCallDelta(0, "call_1", name, f'{{"title":"{title}"}}')]


@asynccontextmanager
async def reading(books: Library, *replies: Any, **tool: Any) -> AsyncIterator[tuple[Running, Talk, FakeModel]]:
    """A text session whose client has named the library, which has listed its tools."""
    model = FakeModel(*replies)
    async with running(engines=Engines(llm=model)) as server, talking(server) as talk:
        tools = [{"type": "mcp", "server_label": "books", "server_url": books.url, "authorization": KEY, **tool}]
        await talk.send(
            type="session.update", session={"type": "realtime", "output_modalities": ["text"], "tools": tools}
        )
        await talk.until("mcp_list_tools.completed")
        yield server, talk, model


async def ask(talk: Talk, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    await talk.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await talk.send(type="response.create")


def proves(event: str, *options: str) -> pytest.MarkDecorator:
    return pytest.mark.proves(event, *options, state="honoured")


@proves("session.update", *(f"session.tools[].{name}" for name in ("server_label", "server_url", "authorization")))
async def test_a_session_learns_the_tools_of_a_server_that_its_client_names() -> None:
    async with library() as books, reading(books, require_approval="never") as (_, talk, model):
        listing = next(event.item for event in talk.of("conversation.item.done") if event.item.type == "mcp_list_tools")
        assert [tool.name for tool in listing.tools] == ["find", "lend"]
        assert "shelf-key" not in str(talk.of("session.updated"))
        order = [kind for kind in talk.kinds() if "mcp" in kind or "item" in kind]
        assert order == [
            "conversation.item.added",
            "mcp_list_tools.in_progress",
            "conversation.item.done",
            "mcp_list_tools.completed",
        ]
        await ask(talk, "Hello")
        await talk.until("response.done")
        assert [tool.name for tool in model.requests[0].tools] == ["find", "lend"]


@proves("session.update", "session.tools[].require_approval")
async def test_a_tool_is_called_and_the_reply_goes_on_with_what_it_said() -> None:
    async with (
        library() as books,
        reading(books, wants("find", "Emma"), ["Third shelf."], require_approval="never") as (
            _,
            talk,
            model,
        ),
    ):
        await ask(talk, "Where is Emma?")
        first = (await talk.until("response.done")).response
        assert first.output[0].output == "Emma is on the third shelf."
        kinds = [kind for kind in talk.kinds() if "mcp_call" in kind]
        assert kinds == [
            "response.mcp_call_arguments.delta",
            "response.mcp_call_arguments.done",
            "response.mcp_call.in_progress",
            "response.mcp_call.completed",
        ]
        second = (await talk.until("response.done")).response
        assert second.output[0].content[0].text == "Third shelf."
        assert books.calls == ["find Emma"]
        outcome = model.requests[1].messages[-1]
        assert (outcome.role, outcome.text) == ("tool", "Emma is on the third shelf.")


async def test_a_client_that_asks_for_the_reply_itself_gets_one_and_no_second() -> None:
    async with (
        library() as books,
        reading(books, wants("find", "Emma"), ["There."], require_approval="never") as (
            _,
            talk,
            model,
        ),
    ):
        await ask(talk, "Where is Emma?")
        await talk.until("response.mcp_call.completed")
        await talk.send(type="response.create", event_id="mine")
        await talk.until("response.done")
        await talk.until("response.done")
        await talk.send(type="response.create", response={"conversation": "none", "metadata": {"the": "last"}})
        await talk.until("response.done")
        assert len(model.requests) == 3
        assert not talk.of("error")


@proves("conversation.item.create", "item.approval_request_id", "item.approve")
async def test_a_call_that_needs_approval_is_made_only_once_it_is_approved() -> None:
    async with library() as books, reading(books, wants("lend", "Emma"), ["It is yours."]) as (_, talk, _model):
        await ask(talk, "Lend me Emma.")
        done = (await talk.until("response.done")).response
        request = done.output[0]
        assert (request.type, request.name, request.arguments) == ("mcp_approval_request", "lend", '{"title":"Emma"}')
        assert not books.calls
        decision = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
        await talk.send(type="conversation.item.create", item=decision)
        answer = (await talk.until("response.done")).response
        assert books.calls == ["lend Emma"]
        assert answer.output[0].content[0].text == "It is yours."
        call = next(event.item for event in talk.of("conversation.item.done") if event.item.type == "mcp_call")
        assert (call.approval_request_id, call.output) == (request.id, "Emma is yours until Monday.")
        await talk.send(type="conversation.item.create", item=decision, event_id="again")
        error = (await talk.until("error")).error
        assert (error.param, error.event_id) == ("item.approval_request_id", "again")


@proves("conversation.item.create", "item.reason")
async def test_a_call_that_is_not_approved_is_never_made_and_the_model_learns_of_it() -> None:
    async with library() as books, reading(books, wants("lend", "Emma"), ["Then not."]) as (_, talk, model):
        await ask(talk, "Lend me Emma.")
        request = (await talk.until("response.done")).response.output[0]
        decision = {
            "type": "mcp_approval_response",
            "approval_request_id": request.id,
            "approve": False,
            "reason": "Mine.",
        }
        await talk.send(type="conversation.item.create", item=decision)
        await talk.until("response.done")
        assert not books.calls
        assert model.requests[1].messages[-1].text == "The user did not approve this call. Mine."


async def test_the_item_of_a_failed_tool_call_holds_the_reason() -> None:
    async with (
        library() as books,
        reading(books, wants("lend", "Ulysses"), ["Sorry."], require_approval="never") as (
            _,
            talk,
            model,
        ),
    ):
        await ask(talk, "Lend me Ulysses.")
        call = (await talk.until("response.done")).response.output[0]
        assert call.error.type == "tool_execution_error"
        assert "lent out" in call.error.message
        await talk.until("response.done")
        assert "lent out" in model.requests[1].messages[-1].text


async def test_cancelling_a_reply_lets_its_call_run_and_keeps_what_it_brought() -> None:
    async with (
        library() as books,
        reading(books, wants("find", "Emma"), ["There."], require_approval="never") as (
            _,
            talk,
            _model,
        ),
    ):
        books.hold.clear()
        await ask(talk, "Where is Emma?")
        await asyncio.wait_for(books.began.wait(), 20)
        await talk.send(type="response.cancel")
        assert (await talk.until("response.done")).response.status == "cancelled"
        books.hold.set()
        await talk.until("response.mcp_call.completed")
        item = (await talk.until("conversation.item.done")).item
        assert item.output == "Emma is on the third shelf."
        await talk.send(type="conversation.item.retrieve", item_id=item.id)
        assert (await talk.until("conversation.item.retrieved")).item.output == item.output


async def test_an_mcp_server_that_refuses_the_credentials_is_named_with_the_remedy() -> None:
    async with library() as books, running() as server, talking(server) as talk:
        tools = [{"type": "mcp", "server_label": "books", "server_url": books.url, "authorization": "wrong"}]
        await talk.send(type="session.update", session={"type": "realtime", "tools": tools})
        await talk.until("mcp_list_tools.failed")
        error = (await talk.until("error")).error
        assert error.code == "mcp_http_error"
        assert "'books'" in error.message
        assert "authorization" in error.message
        await ask(talk, "Are you there?")
        assert (await talk.until("response.done")).response.status == "completed"


async def test_a_server_that_is_not_there_is_named_too() -> None:
    async with running() as server, talking(server) as talk:
        with socket.create_server(("127.0.0.1", 0)) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}/mcp"
        tools = [{"type": "mcp", "server_label": "books", "server_url": url}]
        await talk.send(type="session.update", session={"type": "realtime", "tools": tools})
        error = (await talk.until("error")).error
        assert "could not be reached" in error.message


async def test_a_public_server_calls_only_the_servers_that_its_owner_allows() -> None:
    config = configured()
    config = replace(config, server=replace(config.server, allowed_mcp_servers=("https://tools.example.com/mcp",)))
    async with running(config) as server, talking(server) as talk:
        for url in (
            "http://169.254.169.254/mcp",
            "https://tools.example.com.evil.com/mcp",
            "https://tools.example.com/x",
        ):
            tools = [{"type": "mcp", "server_label": "inside", "server_url": url}]
            await talk.send(type="session.update", session={"type": "realtime", "tools": tools})
            error = (await talk.until("error")).error
            assert (error.code, error.param) == ("invalid_value", "session.tools[0].server_url")
            assert "allowed_mcp_servers" in error.message
