"""A real MCP server with one tool, in a thread of its own, for the clients that name one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from mcp.server.mcpserver import MCPServer


@dataclass
class Library:
    """`calls` are the titles that were asked for."""

    url: str = ""
    calls: list[str] = field(default_factory=list)

    def find(self, title: str) -> str:
        """Says on which shelf a book is."""
        self.calls.append(title)
        return f"{title} is on the third shelf"


@contextmanager
def mcp_library() -> Iterator[Library]:
    """Serve it."""
    library = Library()
    tools = MCPServer("library")
    tools.tool()(library.find)
    listener = socket.create_server(("127.0.0.1", 0))
    library.url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    app = tools.streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield library
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
