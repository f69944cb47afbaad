"""The server's life: the socket is taken first, then uvicorn serves on it, then every reply may end.

Laws: from the first SIGINT or SIGTERM no session is admitted and replies may end, for `shutdown_grace_s` at the most; then, or on a
second signal, all links are closed with 1012 and the server ends at once. Nothing is left running.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from parley.config import ServerConfig
from parley.server.admission import Sessions
from parley.server.http_connection import HttpConnections, Patience
from parley.server.links.websocket.connection import Gate, link_class
from parley.server.sockets import listen_at
from parley.server.time_limits import CLOSE_S
from parley.server.tls import tls_context

log = logging.getLogger("parley.server")

BACKLOG = 2048
"""Connections that may wait to be accepted: a benchmark's whole crowd at once. Event loops accept all of them in one go, before one that is
closed in their favour has given its descriptor back: no more than the reserve may wait."""

ABORT_S = 0.3
"""After a second signal: time for the close frames to leave."""

TICKS_PER_SECOND = 10
"""uvicorn's. Whether a descriptor can be had, and whether running sessions are still allowed, is looked at once a second."""

FORCED_S = 0.1
"""After a second signal: time for requests to end."""

LOOKS_S = 0.01
"""How often the end of all connections is looked for: uvicorn's set of them tells nobody."""

LINKS_END_S = 6
"""Links end themselves within five seconds of their close (`CLOSE_S`)."""


def listen(server: ServerConfig) -> socket.socket:
    """The listening socket of HTTP. Raises `ConfigError`."""
    remedy = "Stop what listens there, or choose another port: --port 0 takes any free one."
    return listen_at(server.host, server.port, remedy)


class Uvicorn(uvicorn.Server):
    """uvicorn, except that a signal lets replies end first, and that a TLS handshake has a time limit. Call `serve_on`; `leave` ends it
    from inside.

    `on_started` is called once connections are accepted, `every_second` about so often, `ending` before connections are closed: it ends the
    links that are none of uvicorn's connections. `calls` makes the connection of each telephone call, from the set of those that are open.
    Raises `ConfigError` for TLS files.
    """

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        sessions: Sessions,
        server: ServerConfig,
        *,
        on_started: Callable[[], None],
        every_second: Callable[[], None],
        ending: Callable[[], Awaitable[None]],
        patience: Patience,
        calls: Callable[[set[Any]], asyncio.Protocol],
    ) -> None:
        connections = HttpConnections(patience)
        super().__init__(
            uvicorn.Config(
                app,
                http=connections.class_(),
                ws=link_class(gate),
                loop="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=min(BACKLOG, connections.descriptors.reserve or BACKLOG),
            )
        )
        self._tls = tls_context(server)
        self._handshake_s = patience.request_s
        self._descriptors = connections.descriptors
        self._sessions = sessions
        self._grace_s = server.shutdown_grace_s
        self._on_started = on_started
        self._every_second = every_second
        self._calls = calls
        self._calls_listener: socket.socket | None = None
        self._ending = ending
        self._loop: asyncio.AbstractEventLoop
        self._deadline: asyncio.TimerHandle | None = None
        self._stopped = asyncio.Event()

    async def serve_on(self, listener: socket.socket, calls: socket.socket | None = None) -> None:
        """Serve until `leave` is called or a signal comes; `calls` is where telephone systems connect to."""
        self._calls_listener = calls
        self._loop = asyncio.get_running_loop()
        await self.serve(sockets=[listener])
        if self._deadline is not None:
            self._deadline.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._tls is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self.servers = [await self._tls_server(self._tls, one) for one in sockets or ()]
        if self._calls_listener is not None:
            connections: set[Any] = self.server_state.connections
            self.servers.append(
                await self._loop.create_server(lambda: self._calls(connections), sock=self._calls_listener)
            )
        self._on_started()

    async def _tls_server(self, context: ssl.SSLContext, listener: socket.socket) -> asyncio.Server:
        """As uvicorn makes it, except that a handshake that is not done in time ends, as a request does."""
        return await self._loop.create_server(
            lambda: self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            ),
            sock=listener,
            ssl=context,
            ssl_handshake_timeout=self._handshake_s,
            ssl_shutdown_timeout=CLOSE_S,
            backlog=self.config.backlog,
        )

    async def main_loop(self) -> None:
        """uvicorn's, which ticks until it is to end; here the end is not waited for until the next tick."""
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), 1 / TICKS_PER_SECOND)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's, ten times a second."""
        if counter % TICKS_PER_SECOND == 0:
            self._descriptors.probe()
            self._every_second()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """In place of uvicorn's, which looks ten times a second whether it is done: close what is open, and wait until it is."""
        await self._ending()
        for each in (*self.servers, *(sockets or ())):
            each.close()
        await asyncio.sleep(0)  # what was accepted last becomes a connection
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(LINKS_END_S):
                await self._all_closed()
        except TimeoutError:
            log.error("%d requests did not end and are cancelled", len(self.server_state.tasks))
            for task in tuple(self.server_state.tasks):
                task.cancel(msg="the server has ended")

    async def _all_closed(self) -> None:
        begun_s = self._loop.time()
        while self.server_state.connections or self.server_state.tasks:
            if self.force_exit and self._loop.time() - begun_s > FORCED_S:
                break
            await asyncio.sleep(LOOKS_S)
        for server in self.servers:
            await server.wait_closed()

    def leave(self) -> None:
        """Admit no session any more, let replies end, then stop. On the event loop; a second call stops at once."""
        if self._deadline is not None:
            log.info("stopping at once: %d sessions are closed", len(self._sessions))
            self.force_exit = True
            self._stop()
            self._loop.call_later(ABORT_S, self._abort_links)
            return
        if count := len(self._sessions):
            log.info("stopping: %d sessions may end their replies within %g s", count, self._grace_s)
        self._deadline = self._loop.call_later(self._grace_s, self._stop)
        self._sessions.wind_down(self._stop)

    def _stop(self) -> None:
        self.should_exit = True
        self._stopped.set()

    def _abort_links(self) -> None:
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """uvicorn's signal handler; it runs between two bytecodes of anything, so it only schedules."""
        self._loop.call_soon_threadsafe(self.leave)
