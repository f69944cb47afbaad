"""Servers of the Model Context Protocol (https://modelcontextprotocol.io), reached over streamable HTTP.

Laws: the library is loaded on first use, beside the event loop; redirects are followed within the server's own origin only (the
library's rule); of a result the texts count, and what is not text is named in brackets.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from parley.engines.tools.ports import (
    MAX_OUTPUT,
    MAX_TOOLS_TEXT,
    ToolConnection,
    ToolDescription,
    ToolServerAddress,
    ToolServerError,
    beginning,
)

if TYPE_CHECKING:
    import httpx2
    from mcp import Client

CONNECT_S = 10.0
"""To reach a server: more is not there."""

MAX_PAGES = 64
"""Pages of one list of tools: four tools on each are as many as a session takes."""

MAX_ERROR_CHARS = 1_000
"""Of what a server says of a failure: the model reads it, and the client."""

ANSWER_S = 120.0
"""The longest that a server may keep one request open; the caller waits less."""


@asynccontextmanager
async def connect(address: ToolServerAddress) -> AsyncGenerator[ToolConnection, None]:
    """A connection to the MCP server at `address`, its handshake done. Raises `ToolServerError`."""
    await asyncio.to_thread(_load)
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    from parley.engines.tools.bounded_http import bounded_transport

    timeout = httpx2.Timeout(CONNECT_S, read=ANSWER_S)
    answers = _Answers()
    hooks = {"response": [answers.came]}
    try:
        async with httpx2.AsyncClient(
            headers={**dict(address.headers), "accept-encoding": "identity"},
            timeout=timeout,
            event_hooks=hooks,
            transport=bounded_transport(address.url),
        ) as http:
            transport = streamable_http_client(address.url, http_client=http)
            async with Client(transport, cache=None, read_timeout_seconds=ANSWER_S) as client:
                yield _Connection(client, answers)
    except Exception as error:
        raise answers.explained(error) from error


def _load() -> None:
    for module in ("httpx2", "mcp", "mcp.client.streamable_http"):
        importlib.import_module(module)


class _Answers:
    """What the server's last HTTP answer was: the library's errors do not tell."""

    def __init__(self) -> None:
        self._status = 0

    async def came(self, response: httpx2.Response) -> None:
        self._status = response.status_code

    def explained(self, error: Exception) -> Exception:
        """The library's exception as the one that says what happened."""
        explained = _explained(error)
        unasked = isinstance(explained, ToolServerError) and explained.type == "protocol_error"
        return _refused(self._status) if unasked and self._status >= 400 else explained


class _Connection:
    """`ToolConnection` over the library's client."""

    def __init__(self, client: Client, answers: _Answers) -> None:
        self._client = client
        self._answers = answers

    async def tools(self, most: int) -> tuple[ToolDescription, ...]:
        found: list[ToolDescription] = []
        size = 0
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            try:
                page = await self._client.list_tools(cursor=cursor)
            except Exception as error:
                raise self._answers.explained(error) from error
            tools = [_description(tool) for tool in page.tools[: most + 1]]
            found += tools
            size += sum(len(tool.description) + len(tool.input_schema) + len(tool.annotations) for tool in tools)
            if len(found) > most or size > MAX_TOOLS_TEXT:
                raise ToolServerError(
                    "protocol_error",
                    f"It has {len(found)} tools or more, described in {size} characters or more; "
                    f"at most {most} tools in {MAX_TOOLS_TEXT} characters are accepted.",
                )
            cursor = page.next_cursor
            if cursor is None:
                return tuple(found)
        raise ToolServerError(
            "protocol_error", f"Its list of tools has more than {MAX_PAGES} pages; at most {MAX_PAGES} are read."
        )

    async def call(self, name: str, arguments: str) -> str:
        given = _arguments(arguments)
        try:
            result = await self._client.call_tool(name, given)
        except Exception as error:
            raise self._answers.explained(error) from error
        text = "\n".join(_texts(result.content))
        if not text and result.structured_content is not None:
            text = msgspec.json.encode(result.structured_content).decode()
        text = beginning(text, MAX_OUTPUT)
        if result.is_error:
            raise ToolServerError("tool_execution_error", text or "The tool failed without saying why.")
        return text


def _arguments(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ToolServerError("protocol_error", f"The model's arguments are no JSON object: {error}.") from error


def _description(tool: Any) -> ToolDescription:
    hints = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations is not None else {}
    return ToolDescription(
        tool.name,
        tool.description or "",
        msgspec.json.encode(tool.input_schema).decode(),
        hints.get("readOnlyHint") is True,
        msgspec.json.encode(hints).decode() if hints else "",
    )


def _texts(content: list[Any]) -> Iterator[str]:
    for block in content:
        match block.type:
            case "text":
                yield block.text
            case "resource" if getattr(block.resource, "text", None) is not None:
                yield block.resource.text
            case "resource_link":
                yield f"[{block.name}: {block.uri}]"
            case other:
                yield f"[{other}]"


def _explained(error: BaseException) -> Exception:
    """The library's exceptions, which come in groups, as the one that says what happened."""
    import httpx2
    from mcp.shared.exceptions import MCPError

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case ToolServerError():
            return error
        case httpx2.HTTPStatusError():
            return _refused(error.response.status_code)
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return ToolServerError("http_error", "It could not be reached; is its address right, and is it running?")
        case httpx2.HTTPError():
            return ToolServerError("http_error", f"The connection failed: {str(error) or type(error).__name__}.")
        case MCPError():
            return ToolServerError(
                "protocol_error", f"It answered: {beginning(error.error.message, MAX_ERROR_CHARS)}", error.code
            )
        case _:
            return ToolServerError(
                "protocol_error", f"{type(error).__name__}: {beginning(str(error), MAX_ERROR_CHARS)}"
            )


def _refused(status: int) -> ToolServerError:
    if status in (401, 403):
        why = f"It refused us ({status}); set 'authorization' or 'headers' of the MCP tool."
    elif status == 404:
        why = "There is no MCP server at that address (404); its path is often /mcp."
    else:
        why = f"It answered with the HTTP status {status}."
    return ToolServerError("http_error", why, status)
