"""The tools of MCP servers that a model is offered, and their names.

Laws: only tools that their server has listed and the client allows; every name is unique and accepted by models; a call
is matched to its tool by the name that the model was given. Decides nothing about calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from parley.core.words.errors import PeerError
from parley.core.words.items import McpTool
from parley.core.words.settings import (
    ForceFunction,
    ForceMcp,
    FunctionTool,
    McpServer,
    ModelToolChoice,
    ToolChoice,
    ToolSource,
)

_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of an MCP server, as one model was offered it."""

    server: McpServer
    tool: McpTool

    @property
    def asks(self) -> bool:
        return self.server.asks(self.tool.name, self.tool.read_only)


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that a model is offered. `by_name` holds those of MCP servers, by the names that the model is given."""

    tools: tuple[FunctionTool, ...]
    choice: ModelToolChoice
    by_name: Mapping[str, OfferedTool]


def offer(listed: Mapping[str, tuple[McpTool, ...]], sources: tuple[ToolSource, ...], choice: ToolChoice) -> Offer:
    """The tools that are known by now, each under a name of its own that models accept; `listed` is what each server has, by label.

    Raises `PeerError` where `choice` wants a tool that no server has (or has listed yet).
    """
    tools = [source for source in sources if isinstance(source, FunctionTool)]
    taken = {tool.name for tool in tools}
    mcp: dict[str, OfferedTool] = {}
    for source in sources:
        if not isinstance(source, McpServer):
            continue
        for tool in listed.get(source.label, ()):
            if source.allows(tool.name, tool.read_only):
                name = _free_name(tool.name, source.label, taken)
                taken.add(name)
                mcp[name] = OfferedTool(source, tool)
                tools.append(FunctionTool(name, tool.description, tool.input_schema))
    if isinstance(choice, ForceMcp):
        return _forced(tools, choice, mcp)
    if choice == "required" and not tools:
        choice = "auto"  # its servers have not listed their tools: nothing could be required
    return Offer(tuple(tools), choice, mcp)


def _forced(tools: list[FunctionTool], choice: ForceMcp, mcp: dict[str, OfferedTool]) -> Offer:
    wanted = {
        name: offered
        for name, offered in mcp.items()
        if offered.server.label == choice.label and choice.name in ("", offered.tool.name)
    }
    if not wanted:
        what = f"no tool '{choice.name}'" if choice.name else "no tools"
        raise PeerError(
            f"tool_choice wants the MCP server '{choice.label}', which has {what} to offer; "
            "wait for mcp_list_tools.completed, and check allowed_tools.",
            code="invalid_value",
            field="tool_choice",
        )
    if choice.name:
        return Offer(tuple(tools), ForceFunction(next(iter(wanted))), mcp)
    return Offer(tuple(tool for tool in tools if tool.name in wanted), "required", wanted)


def model_name(name: str) -> str:
    """A tool's name as models accept it."""
    return _UNNAMEABLE.sub("_", name)[:_LONGEST_NAME] or "tool"


def _free_name(name: str, label: str, taken: set[str]) -> str:
    """`name` as models accept it; with the server's label before it where another tool has it already."""
    plain = model_name(name)
    numbered = (f"{plain[: _LONGEST_NAME - 6]}_{number}" for number in range(2, 10_000))
    free = chain((plain, f"{label}_{plain}"[:_LONGEST_NAME]), numbered)
    return next(candidate for candidate in free if candidate not in taken)
