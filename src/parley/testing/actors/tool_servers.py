"""MCP servers: they tell their tools, run them, fail, fall silent, and answer twice."""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.effects import CallTool, ListTools
from parley.core.words.errors import Fault
from parley.core.words.events import Event, ToolAnswered, ToolFailed, ToolListingFailed, ToolsListed
from parley.core.words.items import McpError, McpTool
from parley.core.words.settings import Approval, McpServer, ToolFilter
from parley.testing.actors.world import SimulatedWorld

TOOLS = (
    McpTool("search", "Finds a book", '{"type":"object"}', read_only=True),
    McpTool("lend", "Lends a book", '{"type":"object"}'),
    McpTool("burn", "Burns a book", '{"type":"object"}'),
)
LIBRARY = McpServer(
    "library",
    "http://127.0.0.1:9/mcp",
    allowed=ToolFilter(("search", "lend")),
    approval=Approval(never=ToolFilter(read_only=True)),
)
OPEN_LIBRARY = McpServer("library", "http://127.0.0.1:9/mcp", approval=Approval(never=ToolFilter()))


@dataclass(frozen=True, slots=True)
class ToolServerTraits:
    """How MCP servers behave; chances in 0..1."""

    delay_ms: float = 80.0
    failing: float = 0.0
    silent: float = 0.0
    naughty: float = 0.0


ANSWERING = ToolServerTraits()


class ToolServer:
    """All of a session's MCP servers."""

    def __init__(self, world: SimulatedWorld, traits: ToolServerTraits) -> None:
        self._world = world
        self._traits = traits

    def list_tools(self, effect: ListTools) -> None:
        failed = ToolListingFailed(effect.listing, Fault("mcp_http_error", "Nobody is there."))
        self._answer(ToolsListed(effect.listing, TOOLS), failed)

    def call(self, effect: CallTool) -> None:
        self._world.counts["MCP calls"] += 1
        failed = ToolFailed(effect.call, McpError("tool_execution_error", "The shelf is empty."))
        self._answer(ToolAnswered(effect.call, "It is on the third shelf."), failed)

    def _answer(self, well: Event, badly: Event) -> None:
        rng, traits = self._world.rng, self._traits
        if rng.random() < traits.silent:
            self._world.counts["silent MCP servers"] += 1
            return
        event = badly if rng.random() < traits.failing else well
        delay = traits.delay_ms * (0.5 + rng.random())
        self._world.at(delay, lambda: self._world.post(event))
        if rng.random() < traits.naughty:
            self._world.counts["late events"] += 1
            self._world.at(delay + 40, lambda: self._world.post(well))
