"""A session's connections to MCP servers: opened when the session names a server, kept while it does, used for its calls.

Laws: one task owns each connection, from its opening to its closing; each question to it is a task of its own, which ends in exactly one
event, unless the core abandons it; a connection that failed or left a question unanswered is opened again for the next one, and is
closed within `CLOSE_S`. Decides nothing: the core says whom to ask, what, and for how long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from parley.core.words.effects import AbandonCall, AbandonListing, CallTool, ListTools, ReleaseServer
from parley.core.words.errors import Fault
from parley.core.words.events import Event, ToolAnswered, ToolFailed, ToolListingFailed, ToolsListed
from parley.core.words.ids import ListingId, ToolCallId
from parley.core.words.items import McpError, McpTool
from parley.core.words.limits import MAX_MCP_TOOLS
from parley.core.words.settings import McpServer
from parley.engines.tools.mcp import connect
from parley.engines.tools.ports import Connect, ToolConnection, ToolDescription, ToolServerAddress, ToolServerError
from parley.runtime.faults import engine_code

logger = logging.getLogger(__name__)

CLOSE_S = 5.0
"""The end of a connection is one small request; a server that does not answer it is left."""


class _Link:
    """One connection and the task that owns it."""

    def __init__(self, address: ToolServerAddress, connect: Connect) -> None:
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[ToolConnection] | None = loop.create_future()
        self._unwanted = asyncio.Event()
        self.asking = 0
        self.released = False
        self._task: asyncio.Task[None] | None = loop.create_task(self._own(address, connect, self._ready))

    async def _own(self, address: ToolServerAddress, connect: Connect, ready: asyncio.Future[ToolConnection]) -> None:
        try:
            with engine_code():
                async with asyncio.timeout(None) as limit, connect(address) as connection:
                    ready.set_result(connection)
                    await self._unwanted.wait()
                    limit.reschedule(asyncio.get_running_loop().time() + CLOSE_S)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            if ready.done():
                logger.info("the connection to the MCP server %r ended: %s", address, error)
            else:
                ready.set_exception(error)
                ready.exception()  # raised where it is awaited; nothing may await it any more
        finally:
            # A cancelled task keeps its traceback, which keeps this frame.
            self._task = None
            del ready

    @property
    def broken(self) -> bool:
        return self._task is None

    async def connection(self) -> ToolConnection:
        assert self._ready is not None, "a link is closed only when nothing is asked of it"
        return await asyncio.shield(self._ready)

    def close(self) -> None:
        """Idempotent."""
        self._unwanted.set()
        # What it failed with keeps the frames of those who asked, and these keep the link.
        ready, self._ready = self._ready, None
        if ready is not None and not ready.done() and self._task is not None:
            self._task.cancel()


class ToolServerClient:
    """What one session asks its MCP servers. Call from the event loop; `release()` when the session is over."""

    __slots__ = ("_calls", "_connect", "_links", "_listings", "_post")

    def __init__(self, post: Callable[[Event], None], connect: Connect = connect) -> None:
        self._post = post
        self._connect = connect
        self._links: dict[McpServer, _Link] = {}
        self._listings: dict[ListingId, asyncio.Task[None]] = {}
        self._calls: dict[ToolCallId, asyncio.Task[None]] = {}

    def list_tools(self, effect: ListTools) -> None:
        _start(self._listings, effect.listing, self._list(effect))

    def call(self, effect: CallTool) -> None:
        _start(self._calls, effect.call, self._call(effect))

    def abandon_listing(self, effect: AbandonListing) -> None:
        """The listing ends without an event, and its connection with it."""
        _abandon(self._listings, effect.listing)

    def abandon_call(self, effect: AbandonCall) -> None:
        """The call ends without an event; its connection is closed when the others on it have ended."""
        _abandon(self._calls, effect.call)

    def let_go(self, effect: ReleaseServer) -> None:
        """The connection is closed when the calls under way have ended."""
        link = self._links.pop(effect.server, None)
        if link is not None:
            link.released = True
            self._close_if_idle(link)

    def tasks(self) -> set[asyncio.Task[None]]:
        """The questions that are open."""
        return {*self._listings.values(), *self._calls.values()}

    def release(self) -> None:
        """The session is over: nothing more is asked, and all connections are closed."""
        for task in self.tasks():
            task.cancel()
        for link in self._links.values():
            link.close()
        self._links.clear()

    async def _list(self, effect: ListTools) -> None:
        link = self._link(effect.server)
        try:
            with engine_code():
                tools = await (await link.connection()).tools(MAX_MCP_TOOLS)
        except asyncio.CancelledError:
            self._drop(effect.server, link)
            raise
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._drop(effect.server, link)
            fault = _error(error)
            self._post(ToolListingFailed(effect.listing, Fault(f"mcp_{fault.type}", fault.message)))
        else:
            self._post(ToolsListed(effect.listing, tuple(map(_tool, tools))))
        finally:
            self._left(link)

    async def _call(self, effect: CallTool) -> None:
        link = self._link(effect.server)
        try:
            with engine_code():
                output = await (await link.connection()).call(effect.name, effect.arguments)
        except asyncio.CancelledError:
            self._drop(effect.server, link)
            raise
        except Exception as error:  # noqa: BLE001 - the engine boundary
            fault = _error(error)
            if fault.type != "tool_execution_error":
                self._drop(effect.server, link)
            self._post(ToolFailed(effect.call, fault))
        else:
            self._post(ToolAnswered(effect.call, output))
        finally:
            self._left(link)

    def _link(self, server: McpServer) -> _Link:
        link = self._links.get(server)
        if link is None or link.broken:
            headers = server.credentials.headers
            if server.credentials.authorization:
                headers = (*headers, ("Authorization", f"Bearer {server.credentials.authorization}"))
            link = self._links[server] = _Link(ToolServerAddress(server.url, headers), self._connect)
        link.asking += 1
        return link

    def _drop(self, server: McpServer, link: _Link) -> None:
        """It has failed: the next question opens another."""
        if self._links.get(server) is link:
            del self._links[server]
        link.released = True

    def _left(self, link: _Link) -> None:
        link.asking -= 1
        self._close_if_idle(link)

    def _close_if_idle(self, link: _Link) -> None:
        if link.released and link.asking == 0:
            link.close()


Ticket = TypeVar("Ticket", ListingId, ToolCallId)


def _start(questions: dict[Ticket, asyncio.Task[None]], ticket: Ticket, question: Coroutine[Any, Any, None]) -> None:
    task = questions[ticket] = asyncio.get_running_loop().create_task(question)
    task.add_done_callback(lambda _: questions.pop(ticket, None))


def _abandon(questions: dict[Ticket, asyncio.Task[None]], ticket: Ticket) -> None:
    if (question := questions.get(ticket)) is not None:
        question.cancel()


def _error(error: Exception) -> McpError:
    if isinstance(error, ToolServerError):
        return McpError(error.type, error.message, error.code)
    logger.error("an MCP server could not be asked", exc_info=error)
    return McpError("protocol_error", f"{type(error).__name__}. The log has the details.")


def _tool(tool: ToolDescription) -> McpTool:
    return McpTool(tool.name, tool.description, tool.input_schema, tool.read_only, tool.annotations)
