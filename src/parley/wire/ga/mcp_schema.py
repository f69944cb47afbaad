"""Reads what clients say of MCP servers: the tool of type `mcp`, the choice of one of its tools, and the items about their calls.

Laws: those of `schema`; what only OpenAI's account has (connectors, tunnels) is refused by name.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from parley.core.words.ids import ItemId
from parley.core.words.items import (
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpItem,
    McpListTools,
    McpTool,
)
from parley.core.words.limits import MAX_ITEM_TEXT, MAX_MCP_TOOLS
from parley.core.words.settings import Approval, Credentials, ForceMcp, McpServer, ToolFilter
from parley.wire import limits
from parley.wire.schema import (
    Fields,
    Reader,
    array,
    boolean,
    fields,
    invalid,
    json_text,
    missing,
    one_of,
    pattern,
    record,
    shown,
    text,
    whole,
)

ITEM_TYPES = ("mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response")
_HOSTED = "it lives in OpenAI's account. Give the 'server_url' of an MCP server instead."
_DEFERRED = "the model gets all tools at once. Leave it out, and choose with 'allowed_tools'."

_ID = text(limits.MAX_ID, 1)
_WORDS = text(MAX_ITEM_TEXT)
_LABEL = pattern(r"[A-Za-z0-9_-]+", limits.MAX_TOOL_NAME, "letters, digits, underscores and hyphens")
_TOOL = text(limits.MAX_NAME, 1)
_TOKEN = pattern(r"[\x21-\x7e]+", limits.MAX_HEADER, "a bearer token: printable characters without spaces")
_HEADER = pattern(r"[\x20-\x7e\t]*", limits.MAX_HEADER, "printable ASCII characters")
_HEADER_NAME = pattern(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", limits.MAX_NAME, "the name of an HTTP header")

_NOT_FOR_CLIENTS = frozenset(
    (
        "accept",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "mcp-protocol-version",
        "mcp-session-id",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Headers that name the request's target, frame it or hold for one hop (RFC 9110, 7.6.1), and those of the MCP transport. With them a
client could reach another virtual host, or desynchronize a proxy."""


def mcp_server(members: Fields, *, referable: bool) -> McpServer:
    """A tool of type `mcp`. `referable`: it may be a label alone, which refers to the session's server of that label."""
    members.refuse("connector_id", _HOSTED)
    members.refuse("tunnel_id", _HOSTED)
    if members.find("defer_loading", boolean):
        members.refuse("defer_loading", _DEFERRED)
    members.find("allowed_callers", array(one_of("direct"), 1))
    url = members.find("server_url", _url)
    if url is None and not referable:
        raise missing(members.at("server_url"))
    return McpServer(
        label=members.take("server_label", _LABEL),
        url=url or "",
        description=members.find("server_description", text(limits.MAX_TOOL_DESCRIPTION)) or "",
        credentials=Credentials(members.find("authorization", _TOKEN) or "", members.find("headers", _headers) or ()),
        allowed=members.find("allowed_tools", _allowed),
        approval=members.find("require_approval", _approval),
    )


def force_mcp(members: Fields) -> ForceMcp:
    """A `tool_choice` of type `mcp`."""
    return ForceMcp(members.take("server_label", _LABEL), members.find("name", _TOOL) or "")


def _url(value: object, path: str) -> str:
    url = text(limits.MAX_URL, 1)(value, path)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise invalid(
            path, f"Invalid '{path}': {shown(url)}. Expected an http or https URL, such as 'https://host/mcp'."
        )
    return url


def _headers(value: object, path: str) -> tuple[tuple[str, str], ...]:
    members = fields(value, path)
    names = members.names()
    for name in names:
        if name.lower() in _NOT_FOR_CLIENTS:
            raise invalid(
                members.at(name), f"Invalid '{members.at(name)}': Parley sets this header itself. Leave it out."
            )
    if len(names) > limits.MAX_HEADERS:
        raise invalid(path, f"Invalid '{path}': {len(names)} headers, at most {limits.MAX_HEADERS} are accepted.")
    return tuple((_HEADER_NAME(name, path), members.take(name, _HEADER)) for name in names)


def _allowed(value: object, path: str) -> ToolFilter:
    if isinstance(value, list):
        return ToolFilter(array(_TOOL, MAX_MCP_TOOLS)(value, path))
    return record(_filter)(value, path)


def _filter(members: Fields) -> ToolFilter:
    return ToolFilter(members.find("tool_names", array(_TOOL, MAX_MCP_TOOLS)), members.find("read_only", boolean))


def _approval(value: object, path: str) -> Approval:
    if isinstance(value, str):
        wanted: Reader[Literal["always", "never"]] = one_of("always", "never")
        return Approval(never=ToolFilter()) if wanted(value, path) == "never" else Approval()
    members = fields(value, path)
    approval = Approval(members.find("always", record(_filter)), members.find("never", record(_filter)))
    members.finish()
    return approval


def mcp_item(named: str, members: Fields, given: ItemId) -> McpItem:
    """An item about an MCP server, as a client may bring it."""
    if named == "mcp_approval_response":
        return McpApprovalResponse(
            given,
            ItemId(members.take("approval_request_id", _ID)),
            members.take("approve", boolean),
            members.find("reason", _WORDS) or "",
        )
    label = members.take("server_label", _LABEL)
    if named == "mcp_list_tools":
        return McpListTools(given, label, members.take("tools", _tools))
    name, arguments = members.take("name", _TOOL), members.take("arguments", _json)
    if named == "mcp_approval_request":
        return McpApprovalRequest(given, label, name, arguments)
    request = members.find("approval_request_id", _ID)
    return McpCall(
        given,
        label,
        name,
        arguments,
        members.find("output", _WORDS),
        members.find("error", record(_error)),
        None if request is None else ItemId(request),
    )


def _tool(value: object, path: str) -> McpTool:
    members = fields(value, path)
    schema = members.take("input_schema", json_text(limits.MAX_TOOL_PARAMETERS))
    tool = McpTool(
        members.take("name", _TOOL),
        members.find("description", text(limits.MAX_TOOL_DESCRIPTION)) or "",
        schema,
        annotations=members.find("annotations", json_text(limits.MAX_TOOL_PARAMETERS)) or "",
    )
    members.finish()
    return tool


def _tools(value: object, path: str) -> tuple[McpTool, ...]:
    left = MAX_ITEM_TEXT

    def counted(value: object, path_of_tool: str) -> McpTool:
        nonlocal left
        tool = _tool(value, path_of_tool)
        left -= len(tool.description) + len(tool.input_schema) + len(tool.annotations)
        if left < 0:
            raise invalid(
                path, f"Invalid '{path}': at most {MAX_ITEM_TEXT} characters of tools are accepted in one item."
            )
        return tool

    return array(counted, MAX_MCP_TOOLS)(value, path)


def _json(value: object, path: str) -> str:
    """JSON text of an object."""
    arguments = _WORDS(value, path)
    try:
        msgspec.json.decode(arguments, type=dict)
    except msgspec.DecodeError as error:
        raise invalid(path, f"Invalid '{path}': expected a JSON object as text ({error}).") from None
    return arguments


_ERROR: Reader[Literal["protocol_error", "tool_execution_error", "http_error"]] = one_of(
    "protocol_error", "tool_execution_error", "http_error"
)


def _error(members: Fields) -> McpError:
    code = members.find("code", whole(-limits.MAX_CLOCK_MS, limits.MAX_CLOCK_MS))
    return McpError(members.take("type", _ERROR), members.take("message", _WORDS), code or 0)
