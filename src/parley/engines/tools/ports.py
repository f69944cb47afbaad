"""What a server of tools is: a connection that lists them and calls them.

Laws: a connection is entered and left by one task, and called from any; what a tool does is its own business, only its words
come back; every expected fault is a `ToolServerError`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from parley.errors import ParleyError

MAX_OUTPUT = 64 * 1024
"""Characters of one tool's output that a model is given: more fills its context and is never read out."""

MAX_TOOLS_TEXT = 256 * 1024
"""Characters of all descriptions and schemas of one server together: a client's socket must take them in one message."""


def beginning(text: str, limit: int) -> str:
    """The text; of a longer one than `limit` characters the beginning, with a note for the model."""
    return text if len(text) <= limit else f"{text[:limit]} [cut: {len(text)} characters in all]"


class ToolServerError(ParleyError):
    """A server could not be asked, or a tool failed.

    `type` says which: "http_error" (`code` the HTTP status, 0 where there was no answer), "protocol_error" (`code` of
    JSON-RPC), "tool_execution_error" (the tool's own words).
    """

    def __init__(
        self, type: Literal["protocol_error", "tool_execution_error", "http_error"], message: str, code: int = 0
    ) -> None:
        super().__init__(message)
        self.type = type
        self.code = code


@dataclass(frozen=True, slots=True, repr=False)
class ToolServerAddress:
    """Where a server is, and the HTTP headers that open it (never logged)."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"ToolServerAddress({self.url!r})"


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """A tool as its server describes it. `input_schema` and `annotations` are JSON text ("" for no annotations)."""

    name: str
    description: str
    input_schema: str
    read_only: bool
    annotations: str = ""


class ToolConnection(Protocol):
    """An open connection to a server of tools."""

    async def tools(self, most: int) -> tuple[ToolDescription, ...]:
        """All its tools. Raises `ToolServerError`, also where there are more than `most`."""
        ...

    async def call(self, name: str, arguments: str) -> str:
        """Run a tool with `arguments` (JSON text) to its end; returns its output as text. Raises `ToolServerError`."""
        ...


Connect = Callable[[ToolServerAddress], AbstractAsyncContextManager[ToolConnection]]
