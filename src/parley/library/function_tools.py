"""A session's own functions behind the port for tool servers: the core lists and calls them as it does the tools of an MCP server.

Laws: decides nothing; when a call is made, how long it is awaited and what follows from it are the core's. Each call is a task of its own,
which ends in exactly one event, unless the core abandons it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from parley.core.words.effects import AbandonCall, AbandonListing, CallTool, ListTools, ReleaseServer
from parley.core.words.events import Event, ToolAnswered, ToolsListed
from parley.core.words.ids import ToolCallId
from parley.core.words.items import McpTool
from parley.core.words.settings import Approval, McpServer, ToolFilter
from parley.library.own_code import OwnCode
from parley.library.tools import FunctionAsTool, ToolOutcome, no_answer

FUNCTIONS: Final = McpServer("functions", "function://session/", approval=Approval(always=ToolFilter(names=())))
"""The session's own functions, as the core names them: no call needs to be approved."""


class FunctionTools:
    """The functions of one session. `answered` takes the outcome of each call before the core does."""

    def __init__(
        self,
        tools: Mapping[str, FunctionAsTool],
        own: OwnCode,
        answered: Callable[[str, ToolOutcome], None],
        post: Callable[[Event], None],
    ) -> None:
        self._tools = tools
        self._own = own
        self._answered = answered
        self._post = post
        self._calls: dict[ToolCallId, tuple[str, asyncio.Task[None]]] = {}

    def list_tools(self, effect: ListTools) -> None:
        listed = (tool.declared for tool in self._tools.values())
        self._post(
            ToolsListed(effect.listing, tuple(McpTool(tool.name, tool.description, tool.parameters) for tool in listed))
        )

    def call(self, effect: CallTool) -> None:
        task = asyncio.get_running_loop().create_task(self._call(effect))
        self._calls[effect.call] = effect.name, task
        task.add_done_callback(lambda _: self._calls.pop(effect.call, None))

    async def _call(self, effect: CallTool) -> None:
        with self._own.watch():
            outcome = await self._tools[effect.name].call(effect.arguments)
        self._answered(effect.name, outcome)
        self._post(ToolAnswered(effect.call, outcome.output))

    def abandon_listing(self, effect: AbandonListing) -> None:
        """A listing is answered at once; there is none to abandon."""

    def abandon_call(self, effect: AbandonCall) -> None:
        """The call ends without an event."""
        name, task = self._calls.pop(effect.call)
        task.cancel()
        self._answered(name, no_answer())

    def let_go(self, effect: ReleaseServer) -> None:
        """Functions are not connected to."""

    def tasks(self) -> set[asyncio.Task[None]]:
        """The calls that are open."""
        return {task for _, task in self._calls.values()}

    def release(self) -> None:
        """The session is over: its calls are cancelled, and what points up to it is dropped."""
        for task in self.tasks():
            task.cancel()
        self._answered = _discard


def _discard(name: str, outcome: ToolOutcome) -> None:
    """In place of what takes the outcomes, after the session's end."""
