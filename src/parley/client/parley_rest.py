"""What a Parley server says over HTTP beside the conversation: that it is one, and where the time of each turn went.

Laws: the conversation needs none of it. A server whose /health lacks `parley` is treated as foreign, and is not sent the key. Answers are
small, timeouts short, and requests never run on the event loop's own thread.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

import msgspec

from parley.client.connection import Server

TIMEOUT_S = 2.0
"""The timeout of a request: a later figure is not shown."""

MAX_ANSWER_BYTES = 1024 * 1024
"""32 turns are some 12 kB."""


class ParleyRest:
    """One server's HTTP side. Call `ask()` first; `turns()` returns None for a foreign server, or without an answer."""

    def __init__(self, server: Server) -> None:
        self._server = server
        handlers = [urllib.request.ProxyHandler({})] if server.here else []
        self._opener = urllib.request.build_opener(*handlers)
        self.is_parley = False

    async def ask(self) -> bool:
        """Whether the server is a Parley."""
        answer = await self._get("/health", "")
        self.is_parley = isinstance(answer, dict) and isinstance(answer.get("parley"), str)
        return self.is_parley

    async def turns(self, session_id: str) -> list[dict[str, Any]] | None:
        """The session's last turns as `runtime/waterfall.py` renders them, oldest first."""
        if not self.is_parley:
            return None
        answer = await self._get(f"/parley/sessions/{quote(session_id)}/turns", self._server.key)
        turns = answer.get("turns") if isinstance(answer, dict) else None
        return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else None

    async def pipelines(self) -> list[dict[str, Any]]:
        """What the server's pipelines are and cover, as `/parley/pipelines` says; empty for a foreign server, or without an answer."""
        if not self.is_parley:
            return []
        answer = await self._get("/parley/pipelines", self._server.key)
        found = answer.get("pipelines") if isinstance(answer, dict) else None
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    async def _get(self, path: str, key: str) -> Any:
        return await asyncio.to_thread(self._fetch, path, key)

    def _fetch(self, path: str, key: str) -> Any:
        request = urllib.request.Request(self._server.http + path)
        if key:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                return msgspec.json.decode(response.read(MAX_ANSWER_BYTES))
        except (OSError, urllib.error.URLError, msgspec.DecodeError, ValueError):
            return None
