"""Checks the tools that a client declares, and resolves the tools that a response names.

Laws: pure; a refusal is a `PeerError` that names the field and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from parley.core.regions.tool_servers import Listing
from parley.core.words.errors import PeerError
from parley.core.words.limits import MAX_TOOL_SERVERS, MAX_TOOLS
from parley.core.words.settings import ForceFunction, ForceMcp, FunctionTool, McpServer, ToolChoice, ToolSource

_PORTS = {"http": 80, "https": 443}


def check_tools(sources: tuple[ToolSource, ...], where: str, tool_server_urls: tuple[str, ...]) -> None:
    """Raises `PeerError` if the tools contradict each other or name a forbidden address.

    `tool_server_urls` as in `Capabilities`.
    """
    if len(sources) > MAX_TOOLS:
        raise PeerError(f"At most {MAX_TOOLS} tools.", code="invalid_value", field=f"{where}.tools")
    functions: set[str] = set()
    labels: set[str] = set()
    for index, source in enumerate(sources):
        at = f"{where}.tools[{index}]"
        if isinstance(source, FunctionTool):
            if source.name in functions:
                raise PeerError(f"Two tools are named '{source.name}'.", code="invalid_value", field=f"{at}.name")
            functions.add(source.name)
            continue
        if source.label in labels:
            message = f"Two MCP servers are labelled '{source.label}'."
            raise PeerError(message, code="invalid_value", field=f"{at}.server_label")
        labels.add(source.label)
        _check_url(source.url, at, tool_server_urls)
    if len(labels) > MAX_TOOL_SERVERS:
        raise PeerError(f"At most {MAX_TOOL_SERVERS} MCP servers.", code="invalid_value", field=f"{where}.tools")


def check_choice(choice: ToolChoice, sources: tuple[ToolSource, ...], where: str) -> None:
    """Raises `PeerError` if the choice demands a missing tool. It is checked when a response is made and no earlier: a
    client may send the choice before its tools."""
    field = f"{where}.tool_choice"
    functions = {source.name for source in sources if isinstance(source, FunctionTool)}
    labels = {source.label for source in sources if isinstance(source, McpServer)}
    if isinstance(choice, ForceFunction) and choice.name not in functions:
        message = (
            f"tool_choice names the function '{choice.name}', which is not among the tools; add it, or choose another."
        )
        raise PeerError(message, code="invalid_value", field=field)
    if isinstance(choice, ForceMcp) and choice.label not in labels:
        message = f"tool_choice names the MCP server '{choice.label}', which is not among the tools; add it, or choose another."
        raise PeerError(message, code="invalid_value", field=field)
    if choice == "required" and not functions and not labels:
        message = "tool_choice is 'required', but there are no tools; send them in session.tools, or choose 'auto'."
        raise PeerError(message, code="invalid_value", field=field)


def _check_url(url: str, at: str, allowed: tuple[str, ...]) -> None:
    if any(covers(one, url) for one in allowed):
        return
    listed = ", ".join(allowed) or "none"
    if not _is_literal(url):
        raise PeerError(
            f"The MCP server '{url}' has a '.' or '..' segment, a backslash or an encoded '.', '/', '\\' or '%' in its path, which could "
            f"lead out of the addresses that this server allows ({listed}); write the path without them.",
            code="invalid_value",
            field=f"{at}.server_url",
        )
    raise PeerError(
        f"This server does not connect to the MCP server '{url}' (allowed: {listed}); "
        "its owner can add the address to server.allowed_mcp_servers.",
        code="invalid_value",
        field=f"{at}.server_url",
    )


def covers(allowed: str, url: str) -> bool:
    """Whether `url` lies at or below the address `allowed` ("*": any): the same scheme, host and port, and a path that begins
    with its path, segment by segment. A path that a server may read as another one is covered by "*" only."""
    if allowed == "*":
        return True
    try:
        ours, theirs = urlsplit(allowed), urlsplit(url)
        same = (ours.scheme, ours.hostname, ours.port or _PORTS.get(ours.scheme)) == (
            theirs.scheme,
            theirs.hostname,
            theirs.port or _PORTS.get(theirs.scheme),
        )
    except ValueError:
        return False
    root = ours.path.rstrip("/")
    inside = theirs.path == root or theirs.path.startswith(root + "/")
    return same and inside and _is_literal(url)


_ENCODED = re.compile(r"%(2e|2f|5c|25)", re.IGNORECASE)


def _is_literal(url: str) -> bool:
    """Whether every server reads the path of `url` as it stands: nothing in it is decoded to, or resolved as, another path."""
    path = url.partition("?")[0].partition("#")[0]
    segments = urlsplit(path).path.split("/")
    return (
        "\\" not in path and not _ENCODED.search(path) and all(s.partition(";")[0] not in (".", "..") for s in segments)
    )


def for_response(sources: tuple[ToolSource, ...], servers: Mapping[str, Listing]) -> tuple[ToolSource, ...]:
    """A response's own tools, in which an MCP server is one of the session's, named by its label.

    The response's approval and allowed tools override the session's. Raises `PeerError` for other servers.
    """
    return tuple(
        _of_session(source, index, servers) if isinstance(source, McpServer) else source
        for index, source in enumerate(sources)
    )


def _of_session(source: McpServer, index: int, servers: Mapping[str, Listing]) -> McpServer:
    listing = servers.get(source.label)
    if listing is None or source.url not in ("", listing.server.url):
        raise PeerError(
            f"A response can use the MCP servers of its session only, and '{source.label}' at that address is none of them; "
            "name it in session.tools first.",
            code="invalid_value",
            field=f"response.tools[{index}].server_label",
        )
    known = listing.server
    return replace(
        known,
        allowed=known.allowed if source.allowed is None else source.allowed,
        approval=known.approval if source.approval is None else source.approval,
    )
